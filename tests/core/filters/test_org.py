"""Reasons 1 and 2: unlisted, disabled, mobile."""

from __future__ import annotations

import pytest

from fsproxy.core.filters.org import OrgFilter
from fsproxy.core.model import FilterName, Hit, Instant, Mode, OnTrouble, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, OrgSettings

NOW = Instant(1_795_287_301.0)
BLOCK = CoreSettings(unlisted=OnTrouble.BLOCK)


def _hit(org: OrgSettings, core: CoreSettings, name: str | None = "o-1", agent: str | None = None) -> Hit | None:
    made = OrgFilter.compile(org, core)
    return made.judge(SessionFacts(route=Route.PAGE, org=name, user_agent=agent), NOW) if made is not None else None


def test_an_unlisted_org_is_blocked_only_when_configured_and_so_is_no_org_at_all() -> None:
    for name in ("o-nobody", "", None):
        hit = _hit(OrgSettings(), BLOCK, name)
        assert hit is not None
        assert (hit.filter, hit.code) == (FilterName.ORG, ReasonCode.ACCOUNT_DOES_NOT_EXIST)
        assert hit.rule.id == "org:unlisted"
        assert _hit(OrgSettings(), CoreSettings(), name) is None


def test_a_listed_org_is_not_unlisted() -> None:
    assert _hit(OrgSettings(listed=True), BLOCK) is None


def test_a_disabled_org_is_blocked_with_reason_2() -> None:
    hit = _hit(OrgSettings(listed=True, enabled=False, places={"enabled": "fsproxy.yaml:9:5"}), CoreSettings())
    assert hit is not None
    assert (hit.code, hit.rule.id) == (ReasonCode.ACCOUNT_DISABLED, "org:disabled")
    assert hit.rule.where == "fsproxy.yaml:9:5"


@pytest.mark.parametrize(
    ("agent", "blocked"),
    [
        ("okhttp/4.12.0", True),
        ("MyApp/3 CFNetwork/1490.0.4 Darwin/23.2.0", True),
        ("Dalvik/2.1.0 (Linux; U; Android 14)", True),
        ("OkHttp/4", False),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1", False),
        ("", False),
        (None, False),
    ],
)
def test_a_mobile_apps_agent_is_blocked_where_the_org_has_no_mobile(agent: str | None, *, blocked: bool) -> None:
    hit = _hit(OrgSettings(listed=True, mobile=False), CoreSettings(), agent=agent)
    assert (hit is not None) is blocked
    if hit is not None:
        assert (hit.code, hit.rule.id) == (ReasonCode.ACCOUNT_DISABLED, "org:mobile")
    assert _hit(OrgSettings(listed=True), CoreSettings(), agent=agent) is None


def test_a_disabled_org_without_mobile_is_named_disabled() -> None:
    hit = _hit(OrgSettings(listed=True, enabled=False, mobile=False), CoreSettings(), agent="okhttp/4")
    assert hit is not None
    assert hit.rule.id == "org:disabled"


def test_an_unlisted_org_is_named_unlisted_whatever_else_it_is() -> None:
    hit = _hit(OrgSettings(enabled=False, mobile=False), BLOCK, agent="okhttp/4")
    assert hit is not None
    assert (hit.code, hit.rule.id) == (ReasonCode.ACCOUNT_DOES_NOT_EXIST, "org:unlisted")


def test_which_agents_are_mobile_is_configurable() -> None:
    core = CoreSettings(mobile_agents=("MyApp",))
    org = OrgSettings(listed=True, mobile=False)
    assert _hit(org, core, agent="MyApp/1") is not None
    assert _hit(org, core, agent="okhttp/4") is None
    assert OrgFilter.compile(org, CoreSettings(mobile_agents=())) is None


def test_orgs_have_a_mode_of_their_own_capped_by_the_top_mode() -> None:
    def mode_of(own: Mode, top: Mode) -> Mode | None:
        made = OrgFilter.compile(OrgSettings(enabled=False), CoreSettings(orgs_mode=own, mode=top))
        return made.mode if made is not None else None

    assert mode_of(Mode.ENFORCE, Mode.ENFORCE) is Mode.ENFORCE
    assert mode_of(Mode.SHADOW, Mode.ENFORCE) is Mode.SHADOW
    assert mode_of(Mode.ENFORCE, Mode.SHADOW) is Mode.SHADOW
    assert mode_of(Mode.OFF, Mode.ENFORCE) is None
    assert mode_of(Mode.ENFORCE, Mode.OFF) is None


def test_it_compiles_to_nothing_only_when_nothing_can_hit() -> None:
    assert OrgFilter.compile(OrgSettings(listed=True), BLOCK) is None
    assert OrgFilter.compile(OrgSettings(), CoreSettings()) is None
    assert OrgFilter.compile(OrgSettings(), BLOCK) is not None
    assert OrgFilter.compile(OrgSettings(mobile=False), CoreSettings()) is not None


def test_the_rules_of_an_org_stand_where_their_keys_do() -> None:
    unlisted = _hit(OrgSettings(), CoreSettings(unlisted=OnTrouble.BLOCK, places={"unlisted": "fsproxy.yaml:3:3"}))
    mobile = _hit(OrgSettings(listed=True, mobile=False, places={"mobile": "f:4:4"}), CoreSettings(), agent="okhttp/4")
    assert unlisted is not None
    assert mobile is not None
    assert (unlisted.rule.where, mobile.rule.where) == ("fsproxy.yaml:3:3", "f:4:4")
