"""Audit lines judged again: what is known is decided, and what the line leaves out is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.audit.record import Outcome
from fsproxy.core.limits.operations import Admitted
from fsproxy.core.limits.ramping import bucket
from fsproxy.core.model import FilterName, Instant, Location, Mode, Route, SessionFacts
from fsproxy.core.pipeline import judge, settle
from fsproxy.core.policy import Snapshot
from fsproxy.core.replay.again import Replay, Replayed, recorded
from fsproxy.core.replay.facts import PageLine
from fsproxy.core.run_time_lists import ListChange, RunTimeLists
from fsproxy.core.settings import (
    BlockedUserSettings,
    CoreSettings,
    DeletingUserSettings,
    DomainRule,
    DomainSettings,
    Entry,
    GeoSettings,
    IpSettings,
    OptOutSettings,
    QuotaSettings,
    RampingSettings,
    RampingStep,
    ScriptSettings,
    UrlSettings,
    UserAgentSettings,
)
from fsproxy.core.uid_digest import uid_digest
from support.made_lines import line_of
from tests.support.urls import of_url

NOW = Instant(1795287341.5)
FACTS = SessionFacts(
    route=Route.PAGE, org="o-1", session_id="s", page_id="p", user_id="client-1", **of_url("https://www.example.com/a"),
    client_ip=ip_address("10.1.2.3"), user_agent="Mozilla/5.0", compiled_timestamp=1754000000,
)  # fmt: skip

NEW = Admitted(under_way=False, user_admitted=False, over_quota=False)


def rules(mode: Mode = Mode.ENFORCE, **filters: Any) -> Snapshot:
    core = CoreSettings(mode=mode)
    org = replace(core.default, filters=replace(core.default.filters, **filters))
    return Snapshot.compile(replace(core, default=org), 1)


def entries(*texts: str) -> tuple[Entry, ...]:
    return tuple(Entry(text) for text in texts)


def line(
    facts: SessionFacts = FACTS,
    snapshot: Snapshot | None = None,
    *,
    mask: str = "full",
    answer: Admitted | None = NEW,
    **more: Any,
) -> PageLine:
    """The line of a page that was judged under ``snapshot``."""
    policy = (snapshot or rules()).policy(facts.org)
    decision = settle(policy, judge(policy, facts, NOW, "token"), answer)
    outcome = Outcome.CAPTURED if decision.block is None else Outcome.BLOCKED
    written = line_of(
        facts, outcome, arrived=NOW, request_id="r", decision=decision, policy=policy, mask=address_mask(mask, "key"),
        **more,
    )  # fmt: skip
    return msgspec.json.decode(written, type=PageLine)


def again(found: PageLine, *, same_users: bool = False, **filters: Any) -> Replayed:
    return Replay(rules(**filters), same_users=same_users).decide(found)


def changed(**more: Any) -> SessionFacts:
    if "url" in more:
        more |= of_url(more["url"])
    return msgspec.structs.replace(FACTS, **more)


def test_a_rule_that_is_added_blocks_and_one_that_is_taken_away_does_not() -> None:
    blocks = rules(ip=IpSettings(block=entries("10.0.0.0/8")))
    assert again(line(), ip=IpSettings(block=entries("10.0.0.0/8"))) == Replayed(5, "ip:block:10.0.0.0/8")
    found = line(snapshot=blocks)
    assert recorded(found).code == 5
    assert again(found) == Replayed(0)


def test_what_a_list_at_run_time_decided_cannot_be_decided_by_a_file() -> None:
    lists = RunTimeLists()
    at = float(NOW)
    lists.change(ListChange(FilterName.IP, ("10.0.0.0/8",), (), at + 60, at))
    lists.change(ListChange(FilterName.BLOCKED_USER, (uid_digest("ann"),), (), at + 60, at))
    for mode, name, facts, code in (
        (Mode.ENFORCE, FilterName.IP, FACTS, 5),
        (Mode.ENFORCE, FilterName.BLOCKED_USER, changed(app_id="ann"), -1),
        (Mode.SHADOW, FilterName.IP, FACTS, 0),
    ):
        core = CoreSettings(mode=mode, run_time={name: lists.by_name[name]})
        found = line(facts, Snapshot.compile(core, 1))
        assert (found.reason_code or 0, recorded(found).shadow) == (code, ())
        decided = again(found)
        assert decided.undecidable == (f"{name}: a list at run time decided" if code else "")
    # The rules of a running program remember answers, and its lists change.
    running = Replay(Snapshot.compile(CoreSettings(run_time={FilterName.IP: lists.by_name[FilterName.IP]}), 1))
    assert running.decide(line()) == Replayed(0)


@pytest.mark.parametrize("mask", ["truncated", "hashed", "none"])
def test_an_address_that_is_not_whole_is_undecidable_where_a_rule_needs_all_of_it(mask: str) -> None:
    decided = again(line(mask=mask), ip=IpSettings(block=entries("10.1.2.3")))
    assert decided.undecidable == "ip: the line does not hold the whole address"
    assert again(line(mask=mask)).undecidable == ""


@pytest.mark.parametrize(
    ("block", "allow", "known"),
    [
        (["10.0.0.0/8"], [], True),
        (["10.1.2.*"], [], True),
        (["10.9.9.9"], [], True),
        (["10.1.2.128/25"], [], False),
        (["10.0.0.0/8"], ["10.1.2.3"], False),
        (["10.*.2.7"], [], False),
        (["10.*.3.7"], [], True),
    ],
)
def test_a_truncated_address_decides_what_its_whole_network_shares(
    block: list[str], allow: list[str], *, known: bool
) -> None:
    filters = {"ip": IpSettings(block=entries(*block), allow=entries(*allow))}
    for last in (0, 3, 7, 255):
        facts = changed(client_ip=ip_address(f"10.1.2.{last}"))
        decided = again(line(facts, mask="truncated"), **filters)
        assert (decided.undecidable == "") is known
        if known:
            assert decided == again(line(facts), **filters)


def test_of_the_rules_that_need_what_is_lacking_the_first_three_are_named() -> None:
    found = again(line(mask="none"), ip=IpSettings(block=entries(*(f"10.{each}.0.0/16" for each in range(5)))))
    assert found.rules == ("ip:block:10.0.0.0/16", "ip:block:10.1.0.0/16", "ip:block:10.2.0.0/16")
    some = entries("10.1.2.0/25", "10.1.2.0/26", "10.1.2.0/27", "10.1.2.0/28", "10.1.3.0/28")
    assert len(again(line(mask="truncated"), ip=IpSettings(block=some)).rules) == 3


def test_a_truncated_v6_address_decides_what_its_whole_network_shares() -> None:
    found = line(changed(client_ip=ip_address("2001:db8:1:2::3")), mask="truncated")
    assert again(found, ip=IpSettings(block=entries("2001:db8::/32"))).code == 5
    assert again(found, ip=IpSettings(block=entries("2001:db8:1::/64"))).undecidable
    assert again(found, ip=IpSettings(block=entries("2001:db8:2::/64"))) == Replayed(0)


def test_an_earlier_rule_decides_what_a_later_one_could_not() -> None:
    found = line(mask="none")
    filters = {
        "ip": IpSettings(block=entries("10.1.2.3")),
        "domain": DomainSettings(rules=(DomainRule(False, Entry("www.example.com")),)),
    }
    assert again(found, **filters).code == 4


ACCOUNT = DomainRule(False, Entry("**"), "/account/**")


def test_a_page_is_undecidable_where_a_rule_would_need_its_path() -> None:
    """The path is in no line. Where an earlier rule decides, or the rule is about another host, none is needed."""
    needed = again(line(), domain=DomainSettings(rules=(ACCOUNT,)))
    assert (needed.undecidable, needed.rules) == (
        "domain: the line does not hold the path of the URL",
        ("domain:block:**/account/**",),
    )
    earlier = DomainSettings(rules=(DomainRule(False, Entry("www.example.com")), ACCOUNT))
    assert again(line(), domain=earlier).code == 4
    other = replace(ACCOUNT, pattern=Entry("*.example.org"))
    assert again(line(), domain=DomainSettings(rules=(other,))) == Replayed(0)
    shadow = again(line(), domain=DomainSettings(rules=(ACCOUNT,), mode=Mode.SHADOW))
    assert [(hit.filter, hit.rule) for hit in shadow.shadow] == [("domain", "")]


def test_a_rule_that_had_ended_by_the_time_of_the_page_is_skipped() -> None:
    for until, code in ((int(NOW) - 86_400, 0), (int(NOW) + 86_400, 4)):
        rule = DomainRule(False, Entry("www.example.com"), None, None, until)
        assert again(line(), domain=DomainSettings(rules=(rule,))).code == code


def test_a_share_is_drawn_again_by_the_visitor_in_the_line() -> None:
    def domain(share: float, mode: Mode = Mode.ENFORCE) -> DomainSettings:
        return DomainSettings(rules=(DomainRule(True, Entry("www.example.com"), None, share),), mode=mode)

    share = bucket("o-1", "domain:capture:www.example.com", "client-1")
    assert again(line(), domain=domain(share)).code == 8
    assert again(line(), domain=domain(share, Mode.SHADOW)).shadow[0].rule == "domain:capture:www.example.com"
    assert again(line(), domain=domain(share + 0.01)).code == 0
    assert again(line(answer=Admitted(True, False, False)), domain=domain(0.0)).code == 0
    nameless = line(changed(user_id=""))
    lacking = again(nameless, domain=domain(share))
    assert lacking.undecidable == "domain: the line does not hold the user's id"
    assert lacking.rules == ("domain:capture:www.example.com",)
    assert [again(nameless, domain=domain(each)) for each in (0.0, 1.0)] == [
        Replayed(8, "domain:capture:www.example.com"),
        Replayed(0),
    ]
    cut = line(changed(user_id="u" * 300))
    assert [again(cut, domain=domain(each)).undecidable != "" for each in (0.0, share, 1.0)] == [False, True, False]
    assert again(line(changed(user_id="", fresh_user_id="client-1")), domain=domain(share)).code == 8
    assert again(line(changed(url="https://else.example/")), domain=domain(0.0)).code == 0


def test_a_visitor_whom_a_share_admitted_before_passes_it_again_and_no_other() -> None:
    mine = DomainRule(True, Entry("www.example.com"), None, 0.0)
    snapshot = rules(domain=DomainSettings(rules=(mine,)))
    passed = line(snapshot=snapshot, answer=Admitted(False, False, False, share_admitted=True))
    assert Replay(snapshot).decide(passed) == Replayed(0)
    other = replace(mine, pattern=Entry("www.example.com", id="other"))
    assert again(passed, domain=DomainSettings(rules=(other,))).code == 8
    assert again(passed, ramping=RampingSettings(share=0.0)).code == 8


def test_a_shadow_that_cannot_be_known_leaves_the_decision_known() -> None:
    decided = again(line(mask="none"), ip=IpSettings(block=entries("10.1.2.3"), mode=Mode.SHADOW))
    assert (decided.code, decided.undecidable) == (0, "")
    assert [(hit.filter, hit.rule) for hit in decided.shadow] == [("ip", "")]


def test_shadow_hits_are_found() -> None:
    decided = again(line(), ip=IpSettings(block=entries("10.1.2.3"), mode=Mode.SHADOW))
    assert [(hit.filter, hit.rule) for hit in decided.shadow] == [("ip", "ip:block:10.1.2.x")]


def test_a_location_that_nobody_asked_for_is_not_unknown_but_undecidable() -> None:
    geo = GeoSettings(only=entries("US"))
    assert again(line(), geo=geo).undecidable.startswith("geo:")
    located = line(changed(location=Location("FR")), rules(geo=geo))
    assert again(located, geo=GeoSettings(never=entries("FR"))).code == 7
    assert again(line(snapshot=rules(geo=geo)), geo=geo).code == 7


def test_a_cookie_that_was_not_asked_for_is_undecidable_unless_there_were_none() -> None:
    new = OptOutSettings(cookies=entries("leave", "fs_optout=1"))
    assert again(line(), opt_out=new) == Replayed(0)
    assert again(line(changed(cookies="a=b")), opt_out=new).undecidable.startswith("opt_out:")
    asked = line(changed(cookies="a=b"), rules(opt_out=new))
    assert again(asked, opt_out=new) == Replayed(0)
    assert again(asked, opt_out=OptOutSettings(cookies=entries("leave=1"))) == Replayed(0)


@pytest.mark.parametrize("signal", ["gpc", "dnt"])
def test_signals_are_known_whatever_was_asked(signal: str) -> None:
    found = line(changed(**{signal: True}))
    assert again(found, opt_out=OptOutSettings(**{signal: True})).rule == f"opt_out:{signal}"
    assert again(found) == Replayed(0)


def test_a_uid_is_in_no_line_so_lists_of_users_are_undecidable_for_who_has_one() -> None:
    lists = {
        "deleting_user": DeletingUserSettings(block=entries("me@x.example")),
        "blocked_user": BlockedUserSettings(block=entries("you@x.example", "me@x.example")),
    }
    assert again(line(), **lists) == Replayed(0)
    for uid, code in (("me@x.example", 12), ("you@x.example", -1), ("else@x.example", 0)):
        found = line(changed(app_id=uid), rules(**lists))
        assert again(found, **lists).undecidable.startswith("deleting_user:")
        assert again(found, same_users=True, **lists).code == code
        assert uid not in msgspec.json.encode(found).decode()


def test_users_being_deleted_are_known_by_the_recorders_own_id() -> None:
    found = line()
    assert again(found, deleting_user=DeletingUserSettings(block=entries("client-1"))).code == 12


def test_the_line_of_who_is_being_deleted_names_nobody_whatever_rule_blocked_first() -> None:
    both = rules(
        ip=IpSettings(block=entries("10.0.0.0/8")), deleting_user=DeletingUserSettings(block=entries("client-1"))
    )
    found = line(snapshot=both)
    assert (found.rule, found.user_id, found.client_ip) == ("ip:block:10.0.0.0/8", "", None)
    assert again(found, ip=IpSettings(block=entries("10.1.2.3"))).undecidable.startswith("ip:")


def test_ramping_places_a_visitor_as_it_did_and_passes_who_the_ledger_passed() -> None:
    half = rules(ramping=RampingSettings(share=0.5))
    for number in range(40):
        facts = changed(user_id="", fresh_user_id=f"fresh-{number}")
        found = line(facts, half)
        assert again(found, ramping=RampingSettings(share=0.5)) == recorded(found)
        under_way = line(facts, half, answer=Admitted(under_way=True, user_admitted=False, over_quota=False))
        assert again(under_way, ramping=RampingSettings(share=0.0)).code == 0
        admitted = line(facts, half, answer=Admitted(under_way=False, user_admitted=True, over_quota=False))
        assert again(admitted, ramping=RampingSettings(share=0.5)).code == 0


def test_a_first_visit_without_an_id_is_undecidable_unless_the_share_is_none_or_all() -> None:
    found = line(changed(user_id=""))
    assert again(found, ramping=RampingSettings(share=0.5)).undecidable.startswith("ramping:")
    assert again(found, ramping=RampingSettings(share=0.0)).code == 8


def test_the_quota_is_taken_as_recorded() -> None:
    over = Admitted(under_way=False, user_admitted=False, over_quota=True)
    quota = QuotaSettings(sessions=1)
    found = line(snapshot=rules(quota=quota), answer=over)
    assert recorded(found).code == 3
    assert again(found, quota=QuotaSettings(sessions=10**6)).code == 3
    assert again(found).code == 0
    assert again(line(), quota=quota).code == 0
    shadowed = line(snapshot=rules(quota=QuotaSettings(sessions=1, mode=Mode.SHADOW)), answer=over)
    assert (recorded(shadowed).code, again(shadowed, quota=quota).code) == (0, 3)


def test_what_is_cut_in_the_line_is_undecidable() -> None:
    agent = UserAgentSettings(block=entries("Bot"))
    assert again(line(changed(user_agent="x" * 600 + "Bot")), user_agent=agent).undecidable.startswith("user_agent:")
    script = ScriptSettings(blocked_versions=entries("v"))
    assert again(line(changed(compiled_version="v" * 150)), script=script).undecidable.startswith("script:")
    assert again(line(changed(org="o" * 150))).undecidable.startswith("org:")
    assert again(line(changed(compiled_version="v")), script=script).code == 11


def test_pages_that_failed_before_they_were_judged_and_lines_of_old_are_told_apart() -> None:
    unread = msgspec.json.decode(
        b'{"event.action":"page","@timestamp":"2026-11-21T00:00:00.000Z","http.request.id":"r"}', type=PageLine
    )
    assert not again(unread).judged
    old = msgspec.structs.replace(unread, org="o-1")
    assert again(old).undecidable.startswith("all:")


def test_a_store_that_was_down_is_down_again() -> None:
    found = line(snapshot=rules(quota=QuotaSettings(sessions=1)), answer=None)
    assert found.ledger_down
    share = DomainSettings(rules=(DomainRule(True, Entry("www.example.com"), None, 0.0),))
    for rule in ({"quota": QuotaSettings(sessions=0)}, {"ramping": RampingSettings(share=0.0)}, {"domain": share}):
        assert again(found, **rule) == Replayed(0), "only the ledger knows whom they let pass"
    assert not again(msgspec.structs.replace(found, ledger_down=False)).judged, "it failed before it was asked"


URLS = st.one_of(
    st.none(), st.integers(), st.text(max_size=30), st.from_regex(r"(https?|ftp|app)://[a-z.\-\[\]:0-9@]{0,20}(:[0-9]{0,6})?[/?#]?.{0,9}"),
    st.sampled_from([
        "https://b\u00fccher.example/", "http://127.1", "https://[::1]:8443/", "about:blank", "file:///x", "http://a.b:0/",
        "https://WWW.Example.com.:443", "https://\x00/", "http://x/\x7f", "HTTPS://a.b", "http:a", "https://u:p@www.example.com:8443",
    ]),
)  # fmt: skip


@settings(max_examples=200)
@given(URLS, st.sampled_from([None, 5, 12, 20, 30]))
def test_any_url_is_judged_as_it_was_though_the_line_holds_its_host_alone(url: object, longest: int | None) -> None:
    filters = {
        "url": UrlSettings(max_length=longest, schemes=("http", "https", "app"), mode=Mode.SHADOW),
        "domain": DomainSettings(
            rules=(
                DomainRule(True, Entry("www.example.com:443")),
                DomainRule(False, Entry("*.example.com")),
                DomainRule(True, Entry("*.b")),
            ),
            otherwise_capture=False,
        ),
    }
    found = line(changed(url=url), rules(**filters))
    decided = again(found, **filters)
    if decided.shadow and not decided.shadow[0].rule:
        assert longest is not None  # the host is longer in the line than in the URL
        decided = Replayed(decided.code, decided.rule, recorded(found).shadow)
    assert decided == recorded(found)


def test_replay_forgets_rather_than_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsproxy.core.replay.again.MOST_REMEMBERED", 10)
    replayed = Replay(rules(user_agent=UserAgentSettings(block=entries("Bot"))))
    for number in range(100):
        agent = f"Agent {number}" + ("Bot" if number % 3 == 0 else "")
        assert replayed.decide(line(changed(user_agent=agent))).code == (6 if number % 3 == 0 else 0)


@pytest.mark.parametrize(
    ("block", "allow"),
    [
        (["10.0.0.0/8"], []),
        (["10.1.2.3"], []),
        (["10.0.0.0/8"], ["10.1.2.7"]),
        (["10.*.*.7"], []),
        (["10.1.2.128/25", "10.1.3.0/24"], []),
        (["::ffff:10.1.2.3"], []),
    ],
)
def test_addresses_are_told_apart_wherever_a_rule_tells_them_apart(block: list[str], allow: list[str]) -> None:
    """One replay, so that what it remembers of an address is asked for the others of its network."""
    filters = {"ip": IpSettings(block=entries(*block), allow=entries(*allow))}
    replayed = Replay(rules(**filters))
    for text in ("10.1.2.9", "10.1.2.3", "10.1.2.7", "10.1.2.200", "10.1.3.7", "10.1.3.3", "192.0.2.7", "2001:db8::1"):
        found = line(changed(client_ip=ip_address(text)), rules(**filters))
        assert replayed.decide(found) == recorded(found), text


def test_a_schedule_places_a_visitor_by_the_time_of_each_line() -> None:
    steps = (RampingStep(date(2026, 12, 1), 0.0), RampingStep(date(2026, 12, 2), 1.0))
    replayed = Replay(rules(ramping=RampingSettings(schedule=steps)))
    found = line()
    before, between, after = (
        msgspec.structs.replace(found, timestamp=f"2026-12-{day}:00:00.000Z") for day in ("01T00", "01T12", "02T00")
    )
    place = bucket("o-1", "", "client-1")
    expected = [8, 0 if place < 0.5 else 8, 0]
    assert [replayed.decide(each).code for each in (before, between, after)] == expected
    assert [replayed.decide(each).code for each in (after, between, before)] == expected[::-1]


def test_pages_that_differ_in_the_length_of_their_urls_alone_are_told_apart() -> None:
    replayed = Replay(rules(url=UrlSettings(max_length=40)))
    short, long = (line(changed(url="https://www.example.com/" + "a" * more)) for more in (16, 17))
    assert [replayed.decide(each).code for each in (short, long, short)] == [0, 9, 0]


def test_what_is_lacking_is_said_in_words() -> None:
    assert again(line(changed(org="o" * 150))).undecidable == "org: its id is cut in the line"
    old = msgspec.structs.replace(line(), facts=msgspec.Raw(b""))
    assert again(old).undecidable == "all: the line was written before lines had what replay needs"


def test_a_filter_that_had_failed_leaves_the_page_undecidable() -> None:
    found = msgspec.structs.replace(line(), filters_failed=("ip", "geo"))
    assert again(found).undecidable == "ip: the filter had failed"


def test_lines_that_are_judged_again_and_again_come_out_the_same() -> None:
    """What is remembered of one page is never taken for another's."""
    filters = {
        "ip": IpSettings(block=entries("10.1.2.3")),
        "user_agent": UserAgentSettings(block=entries("Bot")),
        "domain": DomainSettings(rules=(DomainRule(False, Entry("bad.example")),)),
        "ramping": RampingSettings(share=0.5),
    }
    variants = [
        changed(client_ip=ip_address(ip), user_agent=agent, url=url, user_id=user)
        for ip in ("10.1.2.3", "10.1.2.4")
        for agent in ("Mozilla/5.0", "Bot/1")
        for url in ("https://www.example.com/", "https://bad.example/")
        for user in ("u-1", "u-2", "u-3", "u-4")
    ]
    lines = [line(facts) for facts in variants]
    alone = [again(each, **filters) for each in lines]
    together = Replay(rules(**filters))
    assert [together.decide(each) for each in lines] == alone
    assert [together.decide(each) for each in reversed(lines)] == alone[::-1]
    assert {each.code for each in alone} == {0, 4, 5, 6, 8}


@pytest.mark.parametrize(
    ("found", "filters", "lacking"),
    [
        (
            line(changed(user_agent="x" * 600)),
            {"user_agent": UserAgentSettings(block=entries("Bot"))},
            "user_agent: the line does not hold the whole User-Agent",
        ),
        (line(), {"geo": GeoSettings(never=entries("US"))}, "geo: the location was not asked for"),
        (
            line(changed(app_id="u")),
            {"deleting_user": DeletingUserSettings(block=entries("u"))},
            "deleting_user: the line does not hold the user's id",
        ),
        (
            line(changed(app_id="u")),
            {"blocked_user": BlockedUserSettings(block=entries("u"))},
            "blocked_user: the line does not hold the user's id",
        ),
        (
            line(changed(user_id="")),
            {"ramping": RampingSettings(share=0.5)},
            "ramping: the line does not hold the user's id",
        ),
        (
            line(changed(cookies="a=b")),
            {"opt_out": OptOutSettings(cookies=entries("leave"))},
            "opt_out: whether the cookie was there was not asked then",
        ),
    ],
)
def test_each_filter_says_what_it_lacks(found: PageLine, filters: dict[str, Any], lacking: str) -> None:
    assert again(found, **filters).undecidable == lacking


def test_a_mobile_apps_agent_that_was_cut_is_undecidable_for_the_org() -> None:
    core = CoreSettings()
    snapshot = Snapshot.compile(replace(core, default=replace(core.default, mobile=False)), 1)
    assert Replay(snapshot).decide(line(changed(user_agent="okhttp/4" + "x" * 600))).code == 2
    lacking = "org: the line does not hold the whole User-Agent"
    assert Replay(snapshot).decide(line(changed(user_agent="x" * 600))).undecidable == lacking


@pytest.mark.parametrize(("length", "known"), [(48, True), (49, False), (47, True)])
def test_a_truncated_v6_address_holds_48_bits(length: int, *, known: bool) -> None:
    found = line(changed(client_ip=ip_address("2001:db8:1:8000::3")), mask="truncated")
    decided = again(found, ip=IpSettings(block=entries(f"2001:db8:1::/{length}")))
    assert decided.undecidable == ("" if known else "ip: the line does not hold the whole address")
    assert decided.code == (5 if known else 0)


def test_lists_of_users_that_the_line_does_not_tell_of_stay_undecidable() -> None:
    """The same users, but when the line was written there was no such list to ask."""
    blocked = {"blocked_user": BlockedUserSettings(block=entries("u"))}
    found = line(changed(app_id="u"))
    assert again(found, same_users=True, **blocked).undecidable.startswith("blocked_user:")
    asked = line(changed(app_id="u"), rules(**blocked))
    assert again(asked, **blocked).undecidable.startswith("blocked_user:")
    assert again(asked, same_users=True, **blocked).code == -1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (NEW, "new"),
        (Admitted(under_way=True, user_admitted=False, over_quota=False), "under_way"),
        (None, None),
    ],
)
def test_a_line_tells_whether_its_session_was_new_or_under_way(answer: Admitted | None, said: str | None) -> None:
    facts = msgspec.json.decode(line(answer=answer).facts)
    assert facts.get("session") == said


@pytest.mark.parametrize(
    ("longest", "code", "lacking"),
    [
        (22, 9, ""),
        (23, 0, "url: its length is not known"),
        (28, 0, "url: its length is not known"),
        (29, 0, ""),
        (40, 0, ""),
    ],
)
def test_a_host_that_is_longer_in_the_line_than_in_the_url_leaves_some_lengths_open(
    longest: int, code: int, lacking: str
) -> None:
    """23 characters in the browser; its A-labels make 29 of them."""
    decided = again(line(changed(url="https://bücher.example/")), url=UrlSettings(max_length=longest))
    assert (decided.code, decided.undecidable) == (code, lacking)
