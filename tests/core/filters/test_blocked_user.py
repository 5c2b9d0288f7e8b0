"""Users who are not to be captured: reason -1, or the one configured."""

from __future__ import annotations

from hashlib import sha256

from fsproxy.core.filters.blocked_user import BlockedUserFilter
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import BlockedUserSettings, CoreSettings, Entry, FilterSettings, OrgSettings

NOW = Instant(1_795_287_301.0)
UID = "jane@example.com"


def _compile(settings: BlockedUserSettings, top: Mode = Mode.ENFORCE) -> BlockedUserFilter | None:
    return BlockedUserFilter.compile(OrgSettings(filters=FilterSettings(blocked_user=settings)), CoreSettings(mode=top))


def _hit(settings: BlockedUserSettings, app_id: str = "", user_id: str = "") -> Hit | None:
    made = _compile(settings)
    assert made is not None
    return made.judge(SessionFacts(route=Route.PAGE, app_id=app_id, user_id=user_id), NOW)


def test_a_listed_uid_is_blocked_with_reason_minus_1() -> None:
    settings = BlockedUserSettings(block=(Entry("bob"), Entry(UID, "fsproxy.yaml:3:3")))
    hit = _hit(settings, UID)
    assert hit is not None
    assert (hit.filter, hit.code, hit.rule.where) == (
        FilterName.BLOCKED_USER,
        ReasonCode.UNSPECIFIED,
        "fsproxy.yaml:3:3",
    )
    assert _hit(settings, "jane") is None


def test_the_reason_code_is_configurable() -> None:
    hit = _hit(BlockedUserSettings(block=(Entry(UID),), reason_code=ReasonCode.USER_AGENT), UID)
    assert hit is not None
    assert hit.code is ReasonCode.USER_AGENT


def test_only_the_uid_counts_and_an_empty_one_never() -> None:
    settings = BlockedUserSettings(block=(Entry(UID), Entry("")))
    assert _hit(settings, user_id=UID) is None
    assert _hit(settings) is None


def test_the_rules_id_is_a_digest_of_the_uid_unless_it_has_its_own() -> None:
    hit = _hit(BlockedUserSettings(block=(Entry(UID),)), UID)
    assert hit is not None
    assert hit.rule.id == f"blocked_user:block:{sha256(UID.encode()).hexdigest()[:8]}"
    named = _hit(BlockedUserSettings(block=(Entry(UID, id="the-boss"),)), UID)
    assert named is not None
    assert named.rule.id == "the-boss"


def test_an_entry_of_any_text_compiles() -> None:
    assert _hit(BlockedUserSettings(block=(Entry("\ud800"),)), "\ud800") is not None


def test_nothing_listed_compiles_to_nothing() -> None:
    assert _compile(BlockedUserSettings()) is None
    assert _compile(BlockedUserSettings(block=(Entry(""),))) is None
    assert _compile(BlockedUserSettings(block=(Entry("x"),), mode=Mode.OFF)) is None
    assert _compile(BlockedUserSettings(block=(Entry("x"),)), Mode.OFF) is None
