"""A configuration, compiled: which filters each org gets, and where they are judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsproxy.core.model import FilterName, Mode, OnTrouble
from fsproxy.core.policy import Snapshot
from fsproxy.core.settings import (
    PRIVACY,
    BlockedUserSettings,
    ClientApiSettings,
    CoreSettings,
    DeletingUserSettings,
    DomainRule,
    DomainSettings,
    Entry,
    FilterSettings,
    GeoSettings,
    GeoSource,
    IpSettings,
    OnUninspectable,
    OptOutSettings,
    OrgSettings,
    QuotaSettings,
    RampingSettings,
    RateSettings,
    ScriptSettings,
    UserAgentSettings,
)

ALL = FilterSettings(
    script=ScriptSettings(require=True),
    domain=DomainSettings(otherwise_capture=False),
    ip=IpSettings(block=(Entry("10.0.0.0/8"),)),
    user_agent=UserAgentSettings(block=(Entry("Bot"),)),
    geo=GeoSettings(never=(Entry("AQ"),), source=GeoSource(header="x-country")),
    deleting_user=DeletingUserSettings(block=(Entry("u"),)),
    blocked_user=BlockedUserSettings(block=(Entry("u"),)),
    ramping=RampingSettings(share=0.5),
    quota=QuotaSettings(sessions=5),
)
CORE = CoreSettings(unlisted=OnTrouble.BLOCK, default=OrgSettings(filters=ALL))
F = FilterName


def names(filters: tuple[object, ...]) -> list[FilterName]:
    return [each.name for each in filters]  # type: ignore[attr-defined]


def test_every_filter_stands_in_the_order_of_judgement_and_the_ledgers_apart() -> None:
    policy = Snapshot.compile(CORE, 1).default
    assert names(policy.on_page) == [name for name in F if name not in {F.RAMPING, F.QUOTA}]
    assert policy.ramping is not None
    assert policy.quota is not None
    assert names(policy.unnaming) == [F.OPT_OUT, F.DELETING_USER]


def test_on_bundles_are_the_listed_filters_and_always_the_org() -> None:
    default = Snapshot.compile(CORE, 1).default
    assert names(default.on_bundle) == [F.ORG, F.DOMAIN, F.IP, F.USER_AGENT, F.DELETING_USER, F.BLOCKED_USER]
    none = replace(ALL, on_bundles=frozenset())
    policy = Snapshot.compile(replace(CORE, default=OrgSettings(filters=none)), 1).default
    assert names(policy.on_bundle) == [F.ORG]
    assert names(policy.on_direct) == [F.ORG, F.GEO]


def test_direct_calls_pass_geography_too() -> None:
    policy = Snapshot.compile(CORE, 1).default
    assert names(policy.on_direct) == [F.ORG, F.DOMAIN, F.IP, F.USER_AGENT, F.GEO, F.DELETING_USER, F.BLOCKED_USER]


def test_what_is_judged_on_pages_alone_stays_there_even_when_it_is_listed() -> None:
    listed = replace(ALL, on_bundles=frozenset(F))
    policy = Snapshot.compile(replace(CORE, default=OrgSettings(filters=listed)), 1).default
    assert {F.SCRIPT, F.URL, F.OPT_OUT}.isdisjoint(names(policy.on_bundle))
    assert F.GEO in names(policy.on_bundle)


def test_a_filter_without_rules_costs_nothing() -> None:
    plain = FilterSettings(opt_out=OptOutSettings(cookies=()))
    policy = Snapshot.compile(CoreSettings(default=OrgSettings(filters=plain)), 1).default
    assert names(policy.on_page) == [F.URL]
    assert policy.on_bundle == ()
    assert (policy.ramping, policy.quota, policy.geo_source) == (None, None, None)


def test_a_location_is_looked_up_only_where_a_rule_asks_for_it() -> None:
    assert Snapshot.compile(CORE, 1).default.geo_source == GeoSource(header="x-country")
    off = replace(ALL, geo=replace(ALL.geo, mode=Mode.OFF))
    assert Snapshot.compile(replace(CORE, default=OrgSettings(filters=off)), 1).default.geo_source is None


@pytest.mark.parametrize("cap", [Mode.SHADOW, Mode.OFF])
def test_the_top_level_mode_caps_every_filter_but_those_that_protect_visitors(cap: Mode) -> None:
    policy = Snapshot.compile(replace(CORE, mode=cap), 1).default
    judged = [*policy.on_page, *policy.on_bundle, *(f for f in (policy.ramping, policy.quota) if f is not None)]
    others = {each.mode for each in judged if each.name.value not in PRIVACY}
    assert others == ({Mode.SHADOW} if cap is Mode.SHADOW else set())
    assert {(each.name.value, each.mode) for each in policy.unnaming} == {(n, Mode.ENFORCE) for n in PRIVACY[:2]}
    assert policy.protects
    assert policy.cap is cap
    api = policy.client_api
    assert {api.mode, api.cardinality.mode, api.rate.mode} == {cap}
    assert (policy.validates_calls, policy.counts_rates) == ((cap is Mode.SHADOW,) * 2)


def test_the_mode_of_calls_caps_those_of_their_limits() -> None:
    shadow = ClientApiSettings(mode=Mode.SHADOW, rate=RateSettings(mode=Mode.OFF))
    policy = Snapshot.compile(CoreSettings(default=OrgSettings(client_api=shadow)), 1).default
    assert (policy.client_api.cardinality.mode, policy.client_api.rate.mode) == (Mode.SHADOW, Mode.OFF)
    assert not policy.counts_rates


DRAWN = (DomainRule(True, Entry("a.example"), share=0.5),)


@pytest.mark.parametrize(
    ("filters", "draws"),
    [
        (FilterSettings(), False),
        (FilterSettings(quota=QuotaSettings(sessions=5)), False),
        (FilterSettings(domain=DomainSettings(rules=(DomainRule(True, Entry("a.example")),))), False),
        (FilterSettings(ramping=RampingSettings(share=0.5)), True),
        (FilterSettings(domain=DomainSettings(rules=DRAWN)), True),
        (FilterSettings(domain=DomainSettings(rules=DRAWN), ramping=RampingSettings(share=0.5)), True),
        (FilterSettings(domain=DomainSettings(rules=DRAWN, mode=Mode.OFF)), False),
    ],
)
def test_first_visits_are_drawn_where_ramping_or_a_share_may_exclude_them(
    filters: FilterSettings, *, draws: bool
) -> None:
    policy = Snapshot.compile(CoreSettings(default=OrgSettings(filters=filters)), 1).default
    assert policy.draws is draws
    assert (policy.shares is not None) is (draws and bool(filters.domain.rules))


@pytest.mark.parametrize("on", OnUninspectable)
@pytest.mark.parametrize("mode", Mode)
def test_a_body_that_cannot_be_read_is_refused_only_where_that_is_set_and_enforced(
    on: OnUninspectable, mode: Mode
) -> None:
    org = OrgSettings(client_api=ClientApiSettings(on_uninspectable=on))
    policy = Snapshot.compile(CoreSettings(default=org, mode=mode), 1).default
    assert policy.blocks_uninspectable is (on is OnUninspectable.BLOCK and mode is Mode.ENFORCE)


@pytest.mark.parametrize(
    ("mode", "block", "reads"),
    [(Mode.ENFORCE, (), True), (Mode.SHADOW, (), True), (Mode.OFF, (), False), (Mode.OFF, (Entry("u"),), True)],
)
def test_bodies_are_searched_for_calls_to_validate_them_or_for_listed_users(
    mode: Mode, block: tuple[Entry, ...], *, reads: bool
) -> None:
    filters = FilterSettings(deleting_user=DeletingUserSettings(block=block))
    org = OrgSettings(filters=filters, client_api=ClientApiSettings(mode=mode))
    policy = Snapshot.compile(CoreSettings(default=org), 1).default
    assert (policy.validates_calls, policy.reads_calls) == (mode is not Mode.OFF, reads)


def test_orgs_without_settings_of_their_own_share_those_of_the_default() -> None:
    snapshot = Snapshot.compile(replace(CORE, mode=Mode.SHADOW, orgs={"o-1": CORE.default}), 1)
    assert snapshot.policy("o-1").client_api is snapshot.default.client_api


def test_orgs_have_their_own_policy_and_all_others_the_default() -> None:
    own = OrgSettings(listed=True, filters=replace(ALL, ip=IpSettings()), client_api=ClientApiSettings(max_payload=7))
    snapshot = Snapshot.compile(replace(CORE, orgs={"o-1": own}), 3)
    assert snapshot.generation == 3
    assert snapshot.policy("o-1").client_api.max_payload == 7
    assert F.IP not in names(snapshot.policy("o-1").on_page)
    assert F.ORG not in names(snapshot.policy("o-1").on_page)
    for other in ("o-2", "", None, "O-1"):
        assert snapshot.policy(other) is snapshot.default


def test_orgs_that_override_nothing_share_the_compiled_tables() -> None:
    """10,000 orgs must not hold 10,000 copies of 10,000 rules."""
    orgs = {f"o-{number}": OrgSettings(listed=True, filters=ALL) for number in range(3)}
    orgs["o-own"] = OrgSettings(listed=True, filters=replace(ALL, ip=IpSettings(block=(Entry("11.0.0.0/8"),))))
    snapshot = Snapshot.compile(replace(CORE, orgs=orgs), 1)

    def ip(org: str) -> object:
        return next(each for each in snapshot.policy(org).on_page if each.name is F.IP)

    assert ip("o-0") is ip("o-1") is ip("o-2")
    assert ip("o-own") is not ip("o-0")
    default = {each.name: each for each in snapshot.default.on_page if each.name is not F.ORG}
    assert all(default[each.name] is each for each in snapshot.policy("o-own").on_page if each.name is not F.IP)
