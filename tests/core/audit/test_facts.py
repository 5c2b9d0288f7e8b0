"""The facts of a page in its line: what was sent, in numbers and words that every reader can read."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from fsproxy.core.audit.record import Outcome
from fsproxy.core.filters.base import Filter
from fsproxy.core.model import FilterName, Hit, Mode, Route, Rule, SessionFacts
from fsproxy.core.pipeline import CAPTURE, Decision
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import (
    BlockedUserSettings,
    CoreSettings,
    DeletingUserSettings,
    Entry,
    GeoSettings,
    GeoSource,
    OptOutSettings,
)
from support.made_lines import line_of
from tests.support.urls import of_url

LARGEST = 2**53


def policy_of(**filters: Any) -> OrgPolicy:
    core = CoreSettings()
    org = replace(core.default, filters=replace(core.default.filters, **filters))
    return Snapshot.compile(replace(core, default=org), 1).default


PLAIN = policy_of(opt_out=OptOutSettings(cookies=()))


def facts_of(
    *,
    policy: OrgPolicy = PLAIN,
    decision: Decision = CAPTURE,
    outcome: Outcome = Outcome.CAPTURED,
    **page: Any,
) -> dict[str, Any]:
    """The facts in the line of a page."""
    facts = SessionFacts(route=Route.PAGE, **page)
    return json.loads(line_of(facts, outcome, policy=policy, decision=decision))["fsproxy.facts"]


@pytest.mark.parametrize(
    ("built", "written"),
    [
        (1754000000, 1754000000),
        (1754000000.5, 1754000000.5),
        (0.0, 0.0),
        (-0.0, -0.0),
        (LARGEST, LARGEST),
        (LARGEST + 1, LARGEST),
        (10**400, LARGEST),
        (-LARGEST - 1, -LARGEST),
        (1e300, LARGEST),
        (inf, None),
        (-inf, None),
        (nan, None),
        (True, None),
        ("1754000000", None),
        ([1], None),
        ({}, None),
        (None, None),
    ],
)
def test_a_build_time_is_a_number_that_every_reader_of_json_can_hold(built: object, written: object) -> None:
    for _ in range(2):  # a script that was seen before is remembered
        found = facts_of(compiled_timestamp=built).get("compiled")
        assert (repr(found), type(found)) == (repr(written), type(written))


@pytest.mark.parametrize(
    ("version", "written"),
    [("1.2", "1.2"), ("a\n", r"a\u000a"), ("v" * 101, "v" * 100), (1.2, None), (["1"], None), (None, None)],
)
def test_versions_are_texts_and_are_cut(version: object, written: str | None) -> None:
    facts = facts_of(compiled_version=version, snippet_version=version)
    assert (facts.get("version"), facts.get("snippet")) == (written, written)


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ("", {}),
        ("no-pair", {}),
        ("=no-name", {}),
        ("a=b", {"cookies": True, "no_opt_out": ["leave", "out=1"]}),
        ("leave=x", {"cookies": True, "opt_out": ["leave"], "no_opt_out": ["out=1"]}),
        ("out=1; a=b", {"cookies": True, "opt_out": ["out=1"], "no_opt_out": ["leave"]}),
        ("out=1; leave=", {"cookies": True, "opt_out": ["leave", "out=1"]}),
        ("out=2", {"cookies": True, "no_opt_out": ["leave", "out=1"]}),
    ],
)
def test_each_cookie_that_opts_out_is_among_those_that_came_or_those_that_did_not(
    cookies: str, expected: dict[str, Any]
) -> None:
    policy = policy_of(opt_out=OptOutSettings(cookies=(Entry("leave"), Entry("out=1"))))
    facts = facts_of(policy=policy, cookies=cookies)
    assert {name: facts[name] for name in ("cookies", "opt_out", "no_opt_out") if name in facts} == expected


@pytest.mark.parametrize(
    ("url", "problems"),
    [
        (None, ["missing"]),
        ("", ["missing"]),
        (0, ["not_string"]),
        (["https://a.example/"], ["not_string"]),
        ("https://a.example/\x00", ["control"]),
        ("https://a.example/\x9f", ["control"]),
        ("https://a.example/ä", None),
        ("https://a.example/", None),
        ("nothing\x7f", ["control", "unparseable"]),
        ("https:///x", ["host"]),
        ("https://a.example:0/", ["port"]),
    ],
)
def test_a_url_that_a_rule_would_block_has_its_problems_in_the_line(url: object, problems: list[str] | None) -> None:
    assert facts_of(**of_url(url)).get("url_problems") == problems


@pytest.mark.parametrize(
    ("page", "name", "written"),
    [
        ({"origin": "https://Shop.example:8443"}, "origin", "shop.example"),
        ({"origin": "null"}, "origin", None),
        ({"gpc": True}, "gpc", True),
        ({"dnt": True}, "dnt", True),
        ({"app_id": "uid"}, "identified", True),
        ({}, "identified", None),
        (of_url("https://a.example:8443/"), "port", 8443),
        (of_url("about:blank"), "scheme", "about"),
        (of_url("x" * 120 + ":y"), "scheme", "x" * 100),
    ],
)
def test_what_the_filters_look_at_is_written(page: dict[str, Any], name: str, written: object) -> None:
    assert facts_of(**page).get(name) == written


@pytest.mark.parametrize(
    ("decision", "session"),
    [
        (Decision(), None),
        (Decision(token="t"), "under_way"),
        (Decision(token="t", new_session=True), "new"),
        (Decision(new_session=True, admitted=(Hit(FilterName.RAMPING, ReasonCode.TRAFFIC_RAMPING, Rule("r")),)), "admitted"),
        (Decision(new_session=True, admitted=(Hit(FilterName.DOMAIN, ReasonCode.TRAFFIC_RAMPING, Rule("d")),)), "new"),
        (Decision(token="t", block=Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("i"))), None),
    ],
)  # fmt: skip
def test_what_the_ledger_said_of_the_session_is_written(decision: Decision, session: str | None) -> None:
    assert facts_of(decision=decision).get("session") == session


def test_the_domain_rule_that_admitted_the_visitor_before_is_named_and_cut() -> None:
    hits = tuple(
        Hit(name, ReasonCode.TRAFFIC_RAMPING, Rule(f"{name}:" + "x" * 300)) for name in (FilterName.RAMPING, FilterName.DOMAIN)
    )  # fmt: skip
    facts = facts_of(decision=Decision(new_session=True, admitted=hits))
    assert facts["admitted_by"] == "domain:" + "x" * 249
    assert "admitted_by" not in facts_of(decision=Decision(new_session=True, admitted=hits[:1]))


LISTS = {
    "deleting_user": DeletingUserSettings(block=(Entry("me"),)),
    "blocked_user": BlockedUserSettings(block=(Entry("you", id="y" * 300),)),
}


@pytest.mark.parametrize(
    ("uid", "outcome", "lists", "listed"),
    [
        ("", Outcome.CAPTURED, None, None),
        ("else", Outcome.CAPTURED, ["deleting_user", "blocked_user"], None),
        ("you", Outcome.CAPTURED, ["deleting_user", "blocked_user"], ["y" * 256]),
        (
            "me",
            Outcome.FAILED,
            ["deleting_user"],
            ["deleting_user:listed"],
        ),  # the ids of the other list are made of uids
    ],
)
def test_the_lists_of_users_that_were_asked_are_named_and_the_rules_that_list_the_visitor(
    uid: str, outcome: Outcome, lists: list[str] | None, listed: list[str] | None
) -> None:
    facts = facts_of(policy=policy_of(**LISTS), outcome=outcome, app_id=uid)
    assert (facts.get("lists"), facts.get("listed")) == (lists, listed)
    assert facts.get("unnamed", False) is (uid == "me")


class Broken:
    """A filter that fails."""

    name, mode, on_pages_only = FilterName.DELETING_USER, Mode.ENFORCE, False

    def judge(self, facts: SessionFacts, now: float) -> Hit | None:
        raise RuntimeError


def test_a_list_that_fails_is_not_among_those_that_were_asked() -> None:
    whole = policy_of(**LISTS)
    broken: Filter = Broken()  # type: ignore[assignment]
    facts = facts_of(policy=replace(whole, user_lists=(broken, *whole.user_lists[1:])), app_id="you")
    assert facts["lists"] == ["blocked_user"]


@pytest.mark.parametrize(("source", "located"), [(None, None), (GeoSource(header="x-country"), True)])
def test_a_line_tells_whether_the_location_was_looked_up(source: GeoSource | None, located: bool | None) -> None:  # noqa: FBT001
    geo = GeoSettings(never=(Entry("AQ"),), source=source) if source else GeoSettings()
    assert facts_of(policy=policy_of(geo=geo)).get("located") is located
