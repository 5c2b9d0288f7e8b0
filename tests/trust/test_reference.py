"""The tables of the reference about rules, keys and failures say what the program does, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.restart import with_what_can_change
from fsproxy.config.schema import Config, TopMode
from fsproxy.core.failures import Failure
from fsproxy.core.filters import FILTERS
from fsproxy.core.filters.user_agent import UserAgentFilter
from fsproxy.core.matching.crawlers import BLOCKED_BY_THE_VENDOR, OF_THEIR_KIND
from fsproxy.core.model import FilterName, Instant, Mode, Route, SessionFacts
from fsproxy.core.policy import Snapshot
from fsproxy.core.policy_rules import hits_in
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import FilterSettings
from support.documents import rows, text_of, ticked

UPSTREAM = "upstream: {url: http://127.0.0.1:9000}\n"


# -- filters and codes


def test_the_names_of_known_crawlers_are_those_of_the_program() -> None:
    section = text_of("reference/filters.md").partition("## Known crawlers")[2].partition("\n## ")[0]
    vendor, others = (part.partition(";\n")[0] for part in section.split("\n- ")[2:4])
    assert set(ticked(vendor)) == set(BLOCKED_BY_THE_VENDOR)
    assert set(ticked(others.partition("\n\n")[0])) == set(OF_THEIR_KIND)


def test_the_example_about_crawlers_excepts_what_it_says() -> None:
    (example,) = re.findall(
        r"```yaml\n(filters:\n  user_agent: {crawlers.*?)```", text_of("reference/filters.md"), re.DOTALL
    )
    filters = Snapshot.compile(load_text(UPSTREAM + example, "x.yaml", {}, Path()).core, 1).default.on_page
    (user_agent,) = (each for each in filters if isinstance(each, UserAgentFilter))
    for agent, is_blocked in (("SogouMobileBrowser/5", False), ("Sogou web spider", True), ("adsbot-google", True)):
        hit = user_agent.judge(SessionFacts(route=Route.PAGE, user_agent=agent), Instant(0.0))
        assert (hit is not None) is is_blocked


EVERY_RULE = [
    """
orgs: {unlisted: block, listed: {o-1: {enabled: false}, o-2: {mobile: false}}}
filters:
  on_error: block
  script: {min_compiled: 2023-08-03, require: true, blocked_versions: [v1]}
  url: {schemes: [https], max_length: 9, match_origin: true}
  domain: {rules: [{block: a.example}, {capture: b.example, share: 1%}], otherwise: block}
  ip: {block: [10.0.0.0/8]}
  user_agent: {block: [bot], crawlers: true, block_missing: true}
  geo: {only: [US]}
  opt_out: {gpc: true, dnt: true}
  deleting_user: {block: [a]}
  blocked_user: {block: [a]}
  ramping: {share: 50%}
  quota: {sessions: 1}
""",
    """
filters:
  geo: {never: [US]}
  ramping: {schedule: [{from: 2026-01-01, share: 50%}]}
""",
]


def kind_of(rule: str) -> str:
    """The part of a rule's id that does not depend on what is configured."""
    return ":".join(rule.split(":")[:2])


@cache
def rules_of_the_program() -> dict[str, set[tuple[int, str]]]:
    """The code and the kind of each rule, by filter, when everything is configured."""
    found: dict[str, set[tuple[int, str]]] = {each.value: set() for each in FilterName}
    for text in EVERY_RULE:
        snapshot = Snapshot.compile(load_text(UPSTREAM + text, "fsproxy.yaml", {}, Path()).core, 1)
        for org in ("o-1", "o-2", None):
            for hit in hits_in(snapshot.policy(org)):
                found[hit.filter.value].add((int(hit.code), kind_of(hit.rule.id)))
    return found


def test_the_table_of_filters_has_their_codes_and_rule_ids() -> None:
    known = rules_of_the_program()
    shown = rows(text_of("reference/filters.md"), "# Filters")
    assert [row[0] for row in shown] == [each.value for each in FilterName]
    for name, code, *_, ids in shown:
        codes = {int(each) for each in re.findall(r"-?\d+", code)}
        assert codes == {each for each, _ in known[name]}, name
        kinds = {kind_of(each) for each in with_stem([each for each in ticked(ids) if ":" in each])}
        assert kinds == {each for _, each in known[name]}, name


def with_stem(ids: list[str]) -> list[str]:
    """``a:b``, ``:c`` are ``a:b`` and ``a:c``."""
    return [f"{ids[0].partition(':')[0]}{each}" if each.startswith(":") else each for each in ids]


def test_the_table_of_filters_has_their_keys() -> None:
    shown = {row[0]: row[2] for row in rows(text_of("reference/filters.md"), "# Filters")}
    for each in fields(FilterSettings):
        if each.name not in shown:
            assert each.name in {"on_error", "on_bundles"}
            continue
        kind = type(getattr(FilterSettings(), each.name))
        keys = {field.metadata["key"].at or field.name for field in fields(kind) if "key" in field.metadata}
        assert set(ticked(shown[each.name])) == keys - {"mode"}, each.name


def test_the_table_of_filters_says_which_are_asked_on_pages_alone() -> None:
    default = FilterSettings().on_bundles
    for row in rows(text_of("reference/filters.md"), "# Filters"):
        (kind,) = [each for each in FILTERS if each.name.value == row[0]]
        assert kind.on_pages_only == (row[3].startswith("pages") and "on_bundles" not in row[3]), row
        assert (row[3].startswith("on_bundles")) == (kind.name in default), row


def test_the_table_of_codes_has_all_of_them_with_their_texts_and_filters() -> None:
    shown = rows(text_of("reference/reason-codes.md"), "# Reason codes")
    assert {int(row[0]): row[1].strip("`") for row in shown} == {int(code): code.text for code in ReasonCode}
    by_code: dict[int, set[str]] = {}
    for name, found in rules_of_the_program().items():
        for code, _ in found:
            by_code.setdefault(code, set()).add(name)
    for row in shown:
        assert set(re.findall(r"\w+", row[2])) >= by_code[int(row[0])]


# -- modes, keys that need a restart


def test_the_table_of_modes_has_all_of_them() -> None:
    text = text_of("reference/modes.md")
    assert [ticked(row[0])[0] for row in rows(text, "# Modes and the kill switch")] == [each.value for each in TopMode]
    assert f"`{' | '.join(each.value for each in Mode)}`" in " ".join(text.split())


CHANGES = {
    "mode": "mode: shadow",
    "listen": "listen: {port: 1}",
    "admin": "admin: {port: 1}",
    "server": "server: {drain: 1s}",
    "workers": "workers: 2\nstate: {backend: redis}",
    "upstream": "upstream: {url: http://127.0.0.2:9000}",
    "client_ip": "client_ip: {header: forwarded}",
    "routes": "routes: {page: [/p]}",
    "socket": "socket: refuse",
    "cors": "cors: {origins: [a.example]}",
    "orgs": "orgs: {unlisted: block}",
    "filters": "filters: {ip: {block: [10.0.0.0/8]}}",
    "client_api": "client_api: {max_calls: 1}",
    "plan": "plan: {mode: shadow}",
    "reload": "reload: {max_change: 5%}",
    "state": "state: {redis: {timeout: 1s}}",
    "state.on_error": "state: {on_error: block}",
    "audit": "audit: {rejections: 1}",
    "audit.to": "audit: {to: stderr}",
    "log": "log: {level: debug}",
}


def test_the_table_of_sections_says_what_needs_a_restart() -> None:
    old = load_text(UPSTREAM, "fsproxy.yaml", {}, Path())
    said: dict[str, bool] = {}
    for names, _, when in rows(text_of("reference/configuration.md"), "bad.yaml: 2 faults were found\n```"):
        for name in ticked(names):
            said[name] = when.startswith("restart")
        for name in ticked(when):
            said[name] = not when.startswith("restart")
    assert set(said) == set(CHANGES)
    for name, text in CHANGES.items():
        new: Config = load_text(text if text.startswith("upstream") else UPSTREAM + text, "fsproxy.yaml", {}, Path())
        used, restart = with_what_can_change(old, new)
        assert new != old
        assert bool(restart) == said[name], name
        assert (used == replace(old, files=used.files, hashes=used.hashes)) == said[name], name


# -- failures


def test_the_table_of_failures_has_the_status_of_each() -> None:
    shown = rows(
        text_of("reference/forwarding.md"),
        "`/rec/event` are always 502. All are problem documents, with CORS on capture routes.",
    )
    said = {name: row[1:] for row in shown for name in ticked(row[0]) if re.fullmatch(r"[a-z_]+", name)}
    assert set(said) == {failure.value for failure in Failure}
    for failure in Failure:
        page, bundle = said[failure.value]
        if page.isdigit():
            assert int(page) == failure.status_on(Route.PAGE) == failure.status_on(Route.OTHER)
            assert bundle in {"", str(failure.status_on(Route.BUNDLE))}
        else:
            assert failure.value in {
                "socket_refused", "upstream_declined", "upstream_cut", "client_gone", "client_stalled",
            }  # fmt: skip


@pytest.mark.parametrize("heading", ["## The upstream is dead", "## Requests are refused"])
def test_every_failure_of_a_walk_is_one_with_its_status(heading: str) -> None:
    text = text_of("how-to/failures.md").partition(heading)[2]
    known = {failure.value: failure for failure in Failure}
    checked = 0
    for row in (each for part in text.split("\n\n") if part.startswith("|") for each in rows(part)):
        for name in ticked(row[1] if row[0][:3].isdigit() else row[0]):
            if name in known and row[0][:3].isdigit():
                assert int(row[0][:3]) == known[name].status
                bundle = re.search(r"on bundle routes (\d+)", row[0])
                assert known[name].status_on(Route.BUNDLE) == int(bundle[1] if bundle else row[0][:3])
                checked += 1
    assert checked or heading == "## The upstream is dead"
