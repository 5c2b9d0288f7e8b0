"""The nouns' few verbs."""

from __future__ import annotations

from enum import Enum

import pytest

from fsproxy.core.model import (
    DIRECT,
    RETRIED_ON_502_ALONE,
    CallKind,
    Encoding,
    FilterName,
    Hit,
    ListedRule,
    Location,
    Mode,
    OnTrouble,
    PropertyType,
    Route,
    Rule,
    SessionFacts,
    rule_hit,
)
from fsproxy.core.reasons import ReasonCode


@pytest.mark.parametrize(
    ("own", "cap", "result"),
    [
        (Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE),
        (Mode.ENFORCE, Mode.SHADOW, Mode.SHADOW),
        (Mode.ENFORCE, Mode.OFF, Mode.OFF),
        (Mode.SHADOW, Mode.ENFORCE, Mode.SHADOW),
        (Mode.SHADOW, Mode.SHADOW, Mode.SHADOW),
        (Mode.SHADOW, Mode.OFF, Mode.OFF),
        (Mode.OFF, Mode.ENFORCE, Mode.OFF),
        (Mode.OFF, Mode.SHADOW, Mode.OFF),
        (Mode.OFF, Mode.OFF, Mode.OFF),
    ],
)
def test_a_cap_only_ever_weakens(own: Mode, cap: Mode, result: Mode) -> None:
    assert own.capped(cap) is result


def test_direct_routes_are_the_three_without_a_recorder() -> None:
    direct = {Route.DIRECT_EVENT, Route.DIRECT_IDENTIFY, Route.DIRECT_SET_USER_VARS}
    assert direct == DIRECT


def test_only_recorders_uploads_are_retried_on_502_alone() -> None:
    assert {Route.BUNDLE, Route.EVENT} == RETRIED_ON_502_ALONE


def test_user_kinds_are_identify_and_set_user_vars() -> None:
    assert {kind for kind in CallKind if kind.is_user} == {CallKind.IDENTIFY, CallKind.SET_USER_VARS}


def test_what_is_made_once_a_request_cannot_be_changed() -> None:
    facts = SessionFacts(route=Route.PAGE)
    with pytest.raises(AttributeError):
        facts.org = "o-1"  # type: ignore[misc]
    hit = Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8"))
    with pytest.raises(AttributeError):
        hit.code = ReasonCode.GEOGRAPHY  # type: ignore[misc]


def test_cookies_of_facts_without_any_are_shared_and_read_only() -> None:
    cookies = SessionFacts(route=Route.PAGE).cookies
    assert not cookies
    with pytest.raises(TypeError):
        cookies["a"] = "b"  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Mode, "enforce shadow off"),
        (OnTrouble, "allow block"),
        (
            Route,
            "page bundle event socket direct_event direct_identify direct_set_user_vars server_api other",
        ),
        (Encoding, "identity gzip unknown"),
        (
            FilterName,
            "org script url domain ip user_agent geo opt_out deleting_user blocked_user ramping quota",
        ),
        (CallKind, "event identify set_user_vars page document"),
        (PropertyType, "str int real date bool strs ints reals dates bools"),
    ],
)
def test_the_words_that_stand_in_files_audit_lines_and_metrics_stay(kind: type[Enum], words: str) -> None:
    assert [each.value for each in kind] == words.split()


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        (Rule("ip:block:10.0.0.0/8", "f.yaml:3:1"), "ip"),
        (Rule("ip", "f.yaml:3:1"), "ip"),
        (Rule("ips", "f.yaml:3:1"), "ips"),
        (Rule("no-office", "f.yaml:3:1"), "no-office"),
        (ListedRule("ip:block:10.0.0.0/8", "/etc/fsproxy/bad.txt:7:1"), "file:bad.txt"),
        (ListedRule("ip:block:10.0.0.0/8", "bad.txt:7:1"), "file:bad.txt"),
        (ListedRule("an-id", "/etc/fsproxy/12:30.txt:7:1"), "file:12:30.txt"),
    ],
)
def test_a_hit_is_counted_for_the_rules_own_id_its_list_or_its_filter(rule: Rule, label: str) -> None:
    hit = Hit(FilterName.IP, ReasonCode.IP_FILTER, rule)
    assert rule_hit(hit, Mode.SHADOW) == (label, FilterName.IP, Mode.SHADOW)


def test_what_a_recorder_did_not_send_is_none_or_empty() -> None:
    facts = SessionFacts(route=Route.PAGE)
    texts = (facts.session_id, facts.page_id, facts.user_id, facts.fresh_user_id, facts.app_id)
    assert texts == ("", "", "", "", "")
    missing = (facts.org, facts.url, facts.compiled_timestamp, facts.compiled_version, facts.snippet_version)
    assert missing == (None,) * 5
    assert (facts.origin, facts.client_ip, facts.user_agent, facts.location) == (None,) * 4
    assert (facts.gpc, facts.dnt) == (False, False)
    assert Rule("ip:block:10.0.0.0/8").where == ""
    assert Location("US").region is None
