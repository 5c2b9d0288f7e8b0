"""What holds for every filter: it is listed, tested and documented, and it never raises."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.filters import FILTERS, domain, geo, ip, opt_out, url, user_agent
from fsproxy.core.filters.base import Filter
from fsproxy.core.model import FilterName, Hit, Instant, Location, Mode, OnTrouble, Route, Rule, SessionFacts
from fsproxy.core.settings import (
    BlockedUserSettings,
    CoreSettings,
    DeletingUserSettings,
    DomainRule,
    DomainSettings,
    Entry,
    FilterSettings,
    GeoSettings,
    IpSettings,
    OptOutSettings,
    OrgSettings,
    QuotaSettings,
    RampingSettings,
    RampingStep,
    ScriptSettings,
    UrlSettings,
    UserAgentSettings,
)
from tests.support.cookies import header_of
from tests.support.urls import of_url

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "fsproxy" / "core" / "filters"


def test_filters_stand_in_the_order_of_their_names() -> None:
    assert [kind.name for kind in FILTERS] == list(FilterName)


@pytest.mark.parametrize("name", FilterName)
def test_a_filter_has_a_file_and_a_test_of_its_name(name: FilterName) -> None:
    assert (FOLDER / f"{name}.py").is_file()
    assert (Path(__file__).parent / f"test_{name}.py").is_file()


def test_every_file_of_the_folder_is_a_filter_that_is_listed() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base"}
    assert files == {kind.name.value for kind in FILTERS}


def test_the_documented_table_has_every_filter_in_its_order() -> None:
    text = (ROOT / "docs/reference/filters.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\w+) \| -?\d", text, re.MULTILINE)
    assert listed == [kind.name.value for kind in FILTERS]


def _org() -> OrgSettings:
    return OrgSettings(
        mobile=False,
        filters=FilterSettings(
            script=ScriptSettings(min_compiled=1_691_020_800, require=True, blocked_versions=(Entry("1"),)),
            url=UrlSettings(max_length=100, match_origin=True),
            domain=DomainSettings(
                rules=(
                    DomainRule(capture=True, pattern=Entry("*.a")),
                    DomainRule(capture=False, pattern=Entry("a.*:80")),
                ),
                otherwise_capture=False,
            ),
            ip=IpSettings(block=(Entry("10.0.0.0/8"), Entry("::/1"), Entry("1.*.1.1")), allow=(Entry("10.0.0.0/9"),)),
            user_agent=UserAgentSettings(
                block=(Entry("a"), Entry("regex:[^b]")), allow=(Entry("c"),), crawlers=True, block_missing=True
            ),
            geo=GeoSettings(never=(Entry("EU"), Entry("US-CA"))),
            opt_out=OptOutSettings(gpc=True, dnt=True),
            deleting_user=DeletingUserSettings(block=(Entry("0"),)),
            blocked_user=BlockedUserSettings(block=(Entry("1"),)),
            ramping=RampingSettings(schedule=(RampingStep(date(2020, 1, 1), 0), RampingStep(date(2030, 1, 1), 1))),
            quota=QuotaSettings(sessions=1),
        ),
    )


def _compiled(core: CoreSettings) -> list[Filter]:
    made = [kind.compile(_org(), core) for kind in FILTERS]
    return [each for each in made if each is not None]


EVERY = _compiled(CoreSettings(unlisted=OnTrouble.ALLOW))

wild_text = st.text(st.characters(), max_size=40)
"""Lone surrogates and control characters included."""
wild = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | wild_text
    | st.binary(max_size=10)
    | st.builds("{}{}".format, st.sampled_from(["http://", "https://a", "http://[", "HTTP:", "//"]), wild_text),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(wild_text, inner, max_size=3),
    max_leaves=5,
)
wild_facts = st.builds(
    SessionFacts,
    route=st.sampled_from(Route),
    org=st.none() | wild_text,
    session_id=wild_text,
    user_id=wild_text,
    fresh_user_id=wild_text,
    app_id=wild_text,
    url=wild,
    compiled_timestamp=wild,
    compiled_version=wild,
    snippet_version=wild,
    origin=st.none() | wild_text | st.builds("https://{}".format, wild_text),
    client_ip=st.none() | st.ip_addresses(),
    user_agent=st.none() | wild_text,
    location=st.none() | st.builds(Location, wild_text, st.none() | wild_text),
    cookies=st.dictionaries(wild_text | st.just("fs_optout"), wild_text, max_size=3).map(header_of),
    gpc=st.booleans(),
    dnt=st.booleans(),
).map(lambda facts: msgspec.structs.replace(facts, **of_url(facts.url)))


def test_every_filter_is_compiled_for_the_property_below() -> None:
    assert [each.name for each in EVERY] == list(FilterName)


@settings(max_examples=200)
@given(facts=wild_facts, now=st.floats(0, 4e9))
def test_no_facts_make_a_filter_raise_and_a_hit_is_always_its_own(facts: SessionFacts, now: float) -> None:
    for each in EVERY:
        hit = each.judge(facts, Instant(now))
        assert hit is None or (isinstance(hit, Hit) and hit.filter is each.name and bool(hit.rule.id))


def test_the_top_mode_off_leaves_the_privacy_rules_alone_and_shadow_only_shadows_all_others() -> None:
    assert [each.name for each in _compiled(CoreSettings(mode=Mode.OFF))] == ["opt_out", "deleting_user"]
    shadowed = {each.name: each.mode for each in _compiled(CoreSettings(mode=Mode.SHADOW))}
    assert {name for name, mode in shadowed.items() if mode is not Mode.SHADOW} == {"opt_out", "deleting_user"}


def test_the_filters_that_judge_pages_alone_are_those_that_the_rules_name() -> None:
    """rules.md 1: script, url, opt_out, ramping and quota are judged on pages alone."""
    pages_alone = {kind.name.value for kind in FILTERS if kind.on_pages_only}
    assert pages_alone == {"script", "url", "opt_out", "ramping", "quota"}


@pytest.mark.parametrize(
    ("problem", "text", "allowed"),
    [
        (
            domain.problem,
            "a b",
            "a host without scheme or path, * for one whole label, perhaps a port (*.example.com, localhost:9000), or ** for any host",
        ),
        (geo.problem, "XX1", "an ISO 3166 code of a country (US, GB) or region (US-CA), or the group EU or EEA"),
        (
            ip.problem,
            "10.0.0.0/99",
            "an IP address, one with * for a part (192.168.1.*), or a network (10.0.0.0/8, 2001:db8::/32)",
        ),
        (opt_out.problem, "=1", "a cookie's name, alone or with =value"),
        (url.problem, "https:", "a URL's scheme without its colon, such as https"),
        (
            user_agent.problem,
            "regex:",
            "a text that the User-Agent contains, or regex: and an expression; not an empty one",
        ),
        (
            user_agent.problem,
            "regex:(",
            "a text that the User-Agent contains, or regex: and an expression in RE2's syntax (no look-around)",
        ),
    ],
)
def test_what_may_stand_in_a_rule_is_said_in_words_that_follow_allowed(
    problem: Callable[[str], str | None], text: str, allowed: str
) -> None:
    assert problem(text) == allowed


def _rules_in(value: object) -> Iterator[Rule]:
    """Every rule that a filter holds, however it keeps it."""
    if isinstance(value, Hit):
        yield value.rule
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _rules_in(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from _rules_in(each)
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from _rules_in(getattr(value, each.name))


def test_a_rule_that_no_file_holds_stands_nowhere() -> None:
    """Settings that were made without places: defaults, and what programs make."""
    only = OrgSettings(enabled=False, filters=FilterSettings(geo=GeoSettings(only=(Entry("US"),))))
    constant = OrgSettings(filters=FilterSettings(ramping=RampingSettings(share=0.5)))
    blocks = CoreSettings(unlisted=OnTrouble.BLOCK)
    rules: list[Rule] = []
    for org, core in ((_org(), CoreSettings()), (only, CoreSettings()), (constant, blocks)):
        for kind in FILTERS:
            rules += _rules_in(kind.compile(org, core))
    ids = {rule.id for rule in rules}
    assert {"org:unlisted", "org:disabled", "geo:only", "domain:otherwise", "ramping:share", "ramping:schedule"} <= ids
    assert {rule.where for rule in rules} == {""}
