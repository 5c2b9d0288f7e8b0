"""The order of judgement, what the ledger's answers mean, and what is learned: all without a running proxy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import ClassVar, Self

import msgspec
import pytest

from fsproxy.core.audit.facts import wants_no_name
from fsproxy.core.filters.base import Filter
from fsproxy.core.filters.quota import QuotaFilter
from fsproxy.core.filters.ramping import RampingFilter
from fsproxy.core.limits.operations import Admit, Admitted, Confirm, Mark, Recall, Release
from fsproxy.core.limits.ramping import Draw, bucket, visitor
from fsproxy.core.model import FilterName, Hit, Instant, Mode, OnTrouble, Route, Rule, SessionFacts
from fsproxy.core.pipeline import (
    CAPTURE,
    Decision,
    Judgement,
    PageAnswer,
    Step,
    judge,
    learn,
    mark,
    recall,
    settle,
)
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import (
    CoreSettings,
    DeletingUserSettings,
    DomainRule,
    DomainSettings,
    Entry,
    FilterSettings,
    IpSettings,
    OptOutSettings,
    OrgSettings,
    QuotaSettings,
    RampingSettings,
)
from fsproxy.core.uid_digest import uid_digest
from tests.support.urls import of_url

NOW = Instant(1_795_287_341.0)
PAGE = SessionFacts(route=Route.PAGE, org="o-1", session_id="s-1", user_id="u-1", **of_url("https://a.example/"))
BUNDLE = msgspec.structs.replace(PAGE, route=Route.BUNDLE)


@dataclass(frozen=True)
class Says:
    """A filter that always says the same, or raises."""

    name: FilterName  # type: ignore[misc] # of each object here
    hits: bool = True
    mode: Mode = Mode.ENFORCE
    raises: bool = False
    on_pages_only: ClassVar[bool] = False

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        """Is not compiled."""
        raise NotImplementedError

    @property
    def hit(self) -> Hit:
        return Hit(self.name, ReasonCode.IP_FILTER, Rule(f"{self.name}:says"))

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        if self.raises:
            raise RuntimeError("a value of the visitor's")
        return self.hit if self.hits else None


def policy(*filters: Says, on_error: OnTrouble = OnTrouble.ALLOW, **core: object) -> OrgPolicy:
    """A policy of these filters alone."""
    plain = FilterSettings(opt_out=OptOutSettings(cookies=()))
    made = Snapshot.compile(CoreSettings(default=OrgSettings(filters=plain), **core), 1).default  # type: ignore[arg-type]
    given: tuple[Filter, ...] = tuple(filters)  # type: ignore[arg-type] # their names are their own
    return replace(made, on_page=given, on_bundle=given, on_direct=given[:1], on_error=on_error)


IP, AGENT, GEO = Says(FilterName.IP), Says(FilterName.USER_AGENT), Says(FilterName.GEO)


def test_the_first_hit_blocks_and_the_rest_is_not_asked() -> None:
    verdict = judge(policy(replace(IP, hits=False), AGENT, replace(GEO, raises=True)), PAGE, NOW)
    assert (verdict.block, verdict.shadow, verdict.failed, verdict.admit) == (AGENT.hit, (), (), None)


def test_shadows_are_kept_in_order_and_hide_no_later_hit() -> None:
    shadows = (replace(IP, mode=Mode.SHADOW), replace(AGENT, mode=Mode.SHADOW))
    verdict = judge(policy(*shadows, GEO), PAGE, NOW)
    assert (verdict.block, verdict.shadow) == (GEO.hit, (IP.hit, AGENT.hit))
    decision = settle(policy(*shadows, GEO), verdict, None)
    assert (decision.block, decision.shadow) == (GEO.hit, (IP.hit, AGENT.hit))


def test_after_a_block_no_later_shadow_is_noted() -> None:
    verdict = judge(policy(IP, replace(AGENT, mode=Mode.SHADOW)), PAGE, NOW)
    assert verdict.shadow == ()


@pytest.mark.parametrize("route", [route for route in Route if route is not Route.PAGE])
def test_only_pages_ask_the_ledger(route: Route) -> None:
    assert judge(policy(), msgspec.structs.replace(PAGE, route=route), NOW).admit is None


def test_direct_calls_have_filters_of_their_own() -> None:
    direct = msgspec.structs.replace(PAGE, route=Route.DIRECT_EVENT)
    assert judge(policy(replace(IP, hits=False), AGENT), direct, NOW).block is None
    assert judge(policy(replace(IP, hits=False), AGENT), BUNDLE, NOW).block == AGENT.hit


class TestFilterThatRaises:
    """Our fault: counted, and ``filters.on_error`` says what becomes of the session."""

    def test_under_allow_it_is_as_if_it_had_passed(self) -> None:
        verdict = judge(policy(replace(IP, raises=True), AGENT), PAGE, NOW)
        assert (verdict.block, verdict.failed) == (AGENT.hit, (FilterName.IP,))

    def test_under_allow_the_session_is_captured_when_nothing_else_hits(self) -> None:
        own = policy(replace(IP, raises=True))
        verdict = judge(own, PAGE, NOW)
        decision = settle(own, verdict, Admitted(under_way=False, user_admitted=False, over_quota=False))
        assert (decision.block, decision.failed) == (None, (FilterName.IP,))

    def test_under_block_it_blocks_as_unspecified(self) -> None:
        verdict = judge(policy(replace(IP, raises=True), AGENT, on_error=OnTrouble.BLOCK), PAGE, NOW)
        assert verdict.block == Hit(FilterName.IP, ReasonCode.UNSPECIFIED, Rule("ip:error"))
        assert verdict.failed == (FilterName.IP,)

    def test_in_shadow_it_blocks_nobody(self) -> None:
        raising = replace(IP, raises=True, mode=Mode.SHADOW)
        verdict = judge(policy(raising, AGENT, on_error=OnTrouble.BLOCK), PAGE, NOW)
        assert verdict.block == AGENT.hit
        assert [hit.code for hit in verdict.shadow] == [ReasonCode.UNSPECIFIED]

    def test_every_one_is_named(self) -> None:
        verdict = judge(policy(replace(IP, raises=True), replace(GEO, raises=True)), BUNDLE, NOW)
        assert verdict.failed == (FilterName.IP, FilterName.GEO)

    def test_its_message_is_nowhere_in_what_is_said(self) -> None:
        verdict = judge(policy(replace(IP, raises=True), on_error=OnTrouble.BLOCK), PAGE, NOW)
        assert "visitor" not in repr(verdict)


def test_a_trace_has_one_step_a_filter_also_after_the_block() -> None:
    trace: list[Step] = []
    chain = (replace(IP, mode=Mode.SHADOW), Says(FilterName.GEO, raises=True), AGENT, Says(FilterName.OPT_OUT))
    verdict = judge(policy(*chain), PAGE, NOW, trace=trace)
    assert [(step.filter, step.judgement) for step in trace] == [
        (FilterName.IP, Judgement.SHADOW),
        (FilterName.GEO, Judgement.FAILED),
        (FilterName.USER_AGENT, Judgement.HIT),
        (FilterName.OPT_OUT, Judgement.NOT_REACHED),
    ]
    assert judge(policy(*chain), PAGE, NOW) == verdict


def sampling(quota: Mode | None = None, ramping: Mode | None = None, share: float = 0.0) -> OrgPolicy:
    """A policy of a quota of one, of ramping, or of both."""
    filters = FilterSettings(
        quota=QuotaSettings(sessions=1, mode=quota or Mode.OFF),
        ramping=RampingSettings(share=share, mode=ramping or Mode.OFF),
    )
    return Snapshot.compile(CoreSettings(default=OrgSettings(filters=filters)), 1).default


def settled(own: OrgPolicy, facts: SessionFacts = PAGE, **answer: bool) -> Decision:
    verdict = judge(own, facts, NOW, "token-1")
    said = {"under_way": False, "user_admitted": False, "over_quota": False, **answer}
    return settle(own, verdict, Admitted(**said))


class TestLedger:
    """What is asked, and what the answers mean."""

    def test_a_page_asks_with_all_that_it_knows(self) -> None:
        own = sampling(quota=Mode.ENFORCE, ramping=Mode.ENFORCE)
        admit = judge(own, PAGE, NOW, "token-1").admit
        assert admit is not None
        assert own.quota is not None
        assert admit == Admit("o-1", "token-1", "s-1", "u-1", True, own.quota.terms(NOW), ramped_user="u-1")
        assert admit.quota is not None
        assert (admit.quota.limit, admit.quota.enforced) == (1, True)

    def test_a_session_under_way_passes_quota_and_ramping(self) -> None:
        own = sampling(quota=Mode.ENFORCE, ramping=Mode.ENFORCE)
        decision = settled(own, under_way=True, over_quota=True)
        assert (decision.block, decision.shadow, decision.new_session, decision.token) == (None, (), False, "token-1")

    def test_a_new_session_within_the_quota_is_captured_and_reserved(self) -> None:
        decision = settled(sampling(quota=Mode.ENFORCE))
        assert (decision.block, decision.new_session, decision.token) == (None, True, "token-1")

    def test_a_new_session_over_the_quota_is_blocked_and_holds_nothing(self) -> None:
        own = sampling(quota=Mode.ENFORCE)
        decision = settled(own, over_quota=True)
        assert isinstance(own.quota, QuotaFilter)
        assert (decision.block, decision.token) == (own.quota.hit, "")
        assert own.quota.hit.code is ReasonCode.OVER_QUOTA

    def test_a_ramped_out_session_is_blocked_before_the_quota_is_looked_at(self) -> None:
        own = sampling(quota=Mode.ENFORCE, ramping=Mode.ENFORCE)
        decision = settled(own, over_quota=True)
        assert isinstance(own.ramping, RampingFilter)
        assert (decision.block, decision.shadow, decision.token) == (own.ramping.hit, (), "")

    def test_a_visitor_who_was_admitted_before_passes_ramping_but_not_the_quota(self) -> None:
        own = sampling(quota=Mode.ENFORCE, ramping=Mode.ENFORCE)
        assert settled(own, user_admitted=True).block is None
        over = settled(own, user_admitted=True, over_quota=True).block
        assert over is not None
        assert over.code is ReasonCode.OVER_QUOTA

    def test_shadows_of_both_are_noted_and_the_session_is_reserved(self) -> None:
        own = sampling(quota=Mode.SHADOW, ramping=Mode.SHADOW)
        decision = settled(own, over_quota=True)
        assert [hit.filter for hit in decision.shadow] == [FilterName.RAMPING, FilterName.QUOTA]
        assert (decision.block, decision.token) == (None, "token-1")
        admit = judge(own, PAGE, NOW).admit
        assert admit is not None
        assert (admit.ramped_out, admit.ramped_user) == (False, "u-1")
        inside = judge(sampling(ramping=Mode.ENFORCE, share=0.999), PAGE, NOW).admit
        assert inside is not None
        assert (inside.ramped_out, inside.ramped_user) == (False, "")

    def test_ramping_in_shadow_hides_no_quota(self) -> None:
        decision = settled(sampling(quota=Mode.ENFORCE, ramping=Mode.SHADOW), over_quota=True)
        assert decision.block is not None
        assert decision.block.filter is FilterName.QUOTA
        assert [hit.filter for hit in decision.shadow] == [FilterName.RAMPING]

    def test_a_first_visit_is_judged_by_its_fresh_id(self) -> None:
        own = sampling(ramping=Mode.ENFORCE, share=0.5)
        first = msgspec.structs.replace(PAGE, user_id="")
        blocked = {
            judge(own, msgspec.structs.replace(first, fresh_user_id=f"fresh-{n}"), NOW).ramping is not None
            for n in range(50)
        }
        assert blocked == {True, False}

    def test_the_trace_names_what_only_the_ledger_knows(self) -> None:
        trace: list[Step] = []
        judge(sampling(quota=Mode.ENFORCE, ramping=Mode.SHADOW), PAGE, NOW, trace=trace)
        assert [(step.filter, step.judgement) for step in trace][-2:] == [
            (FilterName.RAMPING, Judgement.SHADOW),
            (FilterName.QUOTA, Judgement.ASKS_LEDGER),
        ]


def shared(mode: Mode = Mode.ENFORCE, ramping: Mode = Mode.OFF, share: float = 0.0) -> OrgPolicy:
    """A policy with a domain rule that captures none of its visitors, and perhaps with ramping that admits none."""
    rule = DomainRule(True, Entry("a.example", "f:1:1", "none-of-a"), share=share)
    filters = FilterSettings(
        domain=DomainSettings(rules=(rule,), mode=mode), ramping=RampingSettings(share=share, mode=ramping)
    )
    return Snapshot.compile(CoreSettings(default=OrgSettings(filters=filters)), 1).default


class TestShare:
    """A domain rule's share, which is decided with the ledger's answer as ramping is."""

    def test_the_ledger_is_asked_about_the_visitor_as_the_rule_knows_him(self) -> None:
        admit = judge(shared(), PAGE, NOW, "token-1").admit
        assert admit is not None
        assert (admit.share_user, admit.shared_out, admit.ramped_out) == ("none-of-a\nu-1", True, False)
        other = msgspec.structs.replace(PAGE, **of_url("https://b.example/"))
        admit = judge(shared(), other, NOW, "token-1").admit
        assert admit is not None
        assert (admit.share_user, admit.shared_out) == ("", False)

    def test_a_new_session_outside_is_blocked_with_the_code_of_ramping(self) -> None:
        block = settled(shared()).block
        assert block is not None
        assert (block.code, block.filter, block.rule.id) == (ReasonCode.TRAFFIC_RAMPING, FilterName.DOMAIN, "none-of-a")

    def test_a_session_under_way_and_a_visitor_whom_the_share_admitted_pass(self) -> None:
        assert settled(shared(), under_way=True).block is None
        passed = settled(shared(), share_admitted=True)
        assert (passed.block, passed.token, [hit.rule.id for hit in passed.admitted]) == (
            None,
            "token-1",
            ["none-of-a"],
        )
        # Whom ramping admitted is not in every share, nor the other way round.
        assert settled(shared(), user_admitted=True).block is not None
        both = shared(ramping=Mode.ENFORCE)
        ramped = settled(both, share_admitted=True).block
        assert ramped is not None
        assert ramped.filter is FilterName.RAMPING
        assert settled(both, share_admitted=True, user_admitted=True).block is None

    def test_in_shadow_it_is_noted_and_hides_nothing(self) -> None:
        decision = settled(shared(Mode.SHADOW, Mode.ENFORCE))
        assert [hit.rule.id for hit in decision.shadow] == ["none-of-a"]
        assert decision.block is not None
        assert decision.block.filter is FilterName.RAMPING

    def test_other_rules_come_first(self) -> None:
        filters = FilterSettings(
            domain=DomainSettings(rules=(DomainRule(True, Entry("a.example"), share=0.0),)),
            ip=IpSettings(block=(Entry("192.0.2.1"),)),
        )
        own = Snapshot.compile(CoreSettings(default=OrgSettings(filters=filters)), 1).default
        facts = msgspec.structs.replace(PAGE, client_ip=ip_address("192.0.2.1"))
        block = judge(own, facts, NOW, "token-1").block
        assert block is not None
        assert block.code is ReasonCode.IP_FILTER

    @pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.SHADOW])
    def test_a_first_visit_is_remembered_by_each_share_that_admits_it_and_excludes_its_new_id(self, mode: Mode) -> None:
        for n in range(50):
            fresh, user = f"fresh-{n}", f"user-{n}"
            first = msgspec.structs.replace(PAGE, user_id="", fresh_user_id=fresh)
            for own in (shared(mode, share=0.5), shared(mode, mode, 0.5), sampling(ramping=mode, share=0.5)):
                assert own.draws
                decision = settled(own, first)
                # Ramping has the empty salt, a rule its id.
                salts = [""] * (own.ramping is not None) + ["none-of-a"] * (own.shares is not None)
                admits = [salt for salt in salts if bucket("o-1", salt, fresh) < 0.5]
                assert (decision.block is not None) is (mode is Mode.ENFORCE and admits != salts)
                if decision.block is None:
                    (confirm,) = learn(first, decision, PageAnswer(200, user=user))
                    assert isinstance(confirm, Confirm)
                    outside = [salt for salt in admits if bucket("o-1", salt, user) >= 0.5]
                    assert confirm.visitors == tuple(visitor(salt, user) for salt in outside)
        assert not sampling(quota=Mode.ENFORCE).draws

    def test_an_explanation_says_that_the_share_excludes_him(self) -> None:
        trace: list[Step] = []
        judge(shared(), PAGE, NOW, "token-1", trace)
        steps = [(each.judgement, each.hit and each.hit.rule.id) for each in trace if each.filter is FilterName.DOMAIN]
        assert steps == [(Judgement.PASS, None), (Judgement.HIT, "none-of-a")]


class TestLedgerDown:
    """``state.on_error``."""

    def test_under_allow_capture_goes_on_loudly_without_limits(self) -> None:
        own = sampling(quota=Mode.ENFORCE, ramping=Mode.ENFORCE)
        decision = settle(own, judge(own, PAGE, NOW, "token-1"), None)
        assert (decision.block, decision.ledger_down, decision.token) == (None, True, "")

    def test_under_block_new_pages_are_blocked_as_unspecified(self) -> None:
        own = policy(state_on_error=OnTrouble.BLOCK)
        decision = settle(own, judge(own, PAGE, NOW), None)
        assert decision.block == Hit(FilterName.QUOTA, ReasonCode.UNSPECIFIED, Rule("state:down"))
        assert decision.ledger_down

    def test_under_block_bundles_go_on(self) -> None:
        own = policy(state_on_error=OnTrouble.BLOCK)
        assert settle(own, judge(own, BUNDLE, NOW), None) == CAPTURE

    def test_in_top_level_shadow_nothing_is_blocked(self) -> None:
        own = policy(state_on_error=OnTrouble.BLOCK, mode=Mode.SHADOW)
        assert settle(own, judge(own, PAGE, NOW), None).block is None


NEW = Decision(new_session=True, token="token-1")


class TestLearning:
    """What a page's end means for the ledger."""

    @pytest.mark.parametrize("answer", [None, *map(PageAnswer, (202, 201, 204, 302, 404, 500, 503))])
    def test_whatever_is_no_200_gives_the_reservation_back(self, answer: PageAnswer | None) -> None:
        assert learn(PAGE, NEW, answer) == (Release("o-1", "token-1"),)

    def test_a_200_confirms_under_the_ids_of_request_and_answer(self) -> None:
        answer = PageAnswer(200, session="s-2", user="u-2", page="p-2", is_new=True)
        assert learn(PAGE, NEW, answer) == (Confirm("o-1", "token-1", ("s-1", "s-2"), ("u-1", "u-2"), new=True),)

    def test_ids_that_are_the_same_or_missing_are_said_once_or_not_at_all(self) -> None:
        assert learn(PAGE, NEW, PageAnswer(200, session="s-1", user="u-1")) == (
            Confirm("o-1", "token-1", ("s-1",), ("u-1",), new=True),
        )
        nameless = msgspec.structs.replace(PAGE, session_id="", user_id="")
        assert learn(nameless, NEW, PageAnswer(200)) == (Confirm("o-1", "token-1", (), (), new=True),)

    @pytest.mark.parametrize(("is_new", "counts"), [(True, True), (None, True), (False, False)])
    def test_a_session_that_is_not_new_to_the_upstream_does_not_count(self, is_new: bool | None, counts: bool) -> None:  # noqa: FBT001 - a row
        (confirm,) = learn(PAGE, NEW, PageAnswer(200, is_new=is_new))
        assert isinstance(confirm, Confirm)
        assert confirm.new is counts

    def test_a_session_under_way_does_not_count_again(self) -> None:
        (confirm,) = learn(PAGE, Decision(token="token-1"), PageAnswer(200, is_new=True))
        assert isinstance(confirm, Confirm)
        assert confirm.new is False

    def test_only_an_admitted_first_visit_is_remembered(self) -> None:
        first = msgspec.structs.replace(PAGE, user_id="", fresh_user_id="fresh-1")
        (confirm,) = learn(first, msgspec.structs.replace(NEW, drawn=(Draw("", 0.0),)), PageAnswer(200, user="u-2"))
        assert isinstance(confirm, Confirm)
        assert (confirm.users, confirm.visitors) == (("u-2",), ("u-2",))
        (again,) = learn(PAGE, NEW, PageAnswer(200, user="u-2"))
        assert isinstance(again, Confirm)
        assert again.visitors == ()

    def test_where_nothing_was_reserved_nothing_is_learned(self) -> None:
        assert learn(PAGE, CAPTURE, PageAnswer(200)) == ()
        assert learn(PAGE, CAPTURE, None) == ()

    def test_a_forwarded_bundle_keeps_its_session_under_way(self) -> None:
        assert mark(BUNDLE) == (Mark("o-1", "s-1", "u-1"),)
        assert mark(SessionFacts(route=Route.BUNDLE, session_id="s-1")) == (Mark("", "s-1", ""),)
        assert mark(SessionFacts(route=Route.BUNDLE, user_id="u-1")) == (Mark("", "", "u-1"),)
        assert mark(SessionFacts(route=Route.BUNDLE, org="o-1")) == ()

    def test_the_uid_that_a_page_or_a_body_tells_is_remembered_as_a_digest(self) -> None:
        identified = msgspec.structs.replace(PAGE, app_id="ann@example.com")
        (confirm,) = learn(identified, NEW, PageAnswer(200))
        assert isinstance(confirm, Confirm)
        assert confirm.uid == uid_digest("ann@example.com")
        (again,) = learn(identified, Decision(token="t", held=False), PageAnswer(200))
        assert isinstance(again, Confirm)
        assert again.uid == confirm.uid
        assert mark(BUNDLE, 7) == (Mark("o-1", "s-1", "u-1", 7),)

    def test_only_where_somebody_is_listed_is_a_sessions_uid_asked_for(self) -> None:
        listed = FilterSettings(deleting_user=DeletingUserSettings(block=(Entry("ann"),)))
        own = Snapshot.compile(CoreSettings(default=OrgSettings(filters=listed)), 1).default
        assert recall(own, BUNDLE) == (Recall("o-1", "s-1", "u-1"),)
        assert recall(own, SessionFacts(route=Route.BUNDLE, session_id="s-1")) == (Recall("", "s-1", ""),)
        assert recall(own, SessionFacts(route=Route.BUNDLE, user_id="u-1")) == (Recall("", "", "u-1"),)
        assert recall(own, SessionFacts(route=Route.BUNDLE, org="o-1")) == ()
        assert recall(Snapshot.compile(CoreSettings(), 1).default, BUNDLE) == ()


class TestNaming:
    """Who may not stand in an audit line."""

    def test_whoever_opted_out_whatever_the_route(self) -> None:
        own = Snapshot.compile(CoreSettings(), 1).default
        for facts in (PAGE, BUNDLE):
            assert not wants_no_name(own, facts, NOW)
            assert wants_no_name(own, msgspec.structs.replace(facts, cookies="fs_optout=1"), NOW)

    def test_when_a_filter_cannot_say_nobody_is_named(self) -> None:
        unnaming: tuple[Filter, ...] = (Says(FilterName.OPT_OUT, raises=True),)  # type: ignore[assignment]
        assert wants_no_name(replace(policy(), unnaming=unnaming), PAGE, NOW)


def test_of_a_session_under_way_only_new_ids_are_told() -> None:
    facts = SessionFacts(route=Route.PAGE, org="o-1", session_id="s", user_id="u")
    going_on = Decision(token="t", held=False)
    assert learn(facts, going_on, None) == ()
    assert learn(facts, going_on, PageAnswer(202)) == ()
    assert learn(facts, going_on, PageAnswer(200, session="s", user="u")) == ()
    (told,) = learn(facts, going_on, PageAnswer(200, session="other", user="u"))
    assert isinstance(told, Confirm)
    assert told.sessions == ("s", "other")
    assert learn(facts, Decision(token="t"), None) == (Release("o-1", "t"),)


def test_a_page_that_waits_for_the_ledgers_answer_has_no_session_and_holds_nothing_yet() -> None:
    pending = judge(sampling(quota=Mode.ENFORCE), PAGE, NOW, "token-1")
    assert pending.admit is not None
    assert (pending.block, pending.new_session, pending.token, pending.ledger_down) == (None, False, "", False)
    assert learn(PAGE, pending, None) == ()


def test_the_words_of_an_explanation_are_those_that_people_read() -> None:
    assert [each.value for each in Judgement] == ["pass", "hit", "shadow", "failed", "not reached", "asks the ledger"]


def test_a_page_without_an_org_is_counted_under_the_empty_one_and_without_a_token_holds_nothing() -> None:
    page = msgspec.structs.replace(PAGE, org=None)
    own = sampling(quota=Mode.ENFORCE)
    admit = judge(own, page, NOW).admit
    assert admit is not None
    assert (admit.org, admit.token) == ("", "")
    decision = Decision(new_session=True, token="t")
    (confirm,) = learn(page, decision, PageAnswer(200))
    (release,) = learn(page, decision, None)
    (marked,) = mark(page)
    assert (confirm.org, release.org, marked.org) == ("", "", "")  # type: ignore[union-attr]  # each has one


def test_an_answer_without_ids_tells_nothing_new_of_a_session_under_way() -> None:
    decision = Decision(token="t", held=False)
    for session in ("", "s-1"):
        for user in ("", "u-1"):
            assert learn(PAGE, decision, PageAnswer(200, session=session, user=user)) == ()
    assert learn(PAGE, decision, PageAnswer(200, session="another")) != ()
    assert learn(PAGE, decision, PageAnswer(200, user="another")) != ()
