"""Users who are not to be captured: reason -1, or the one configured."""

from __future__ import annotations

from hashlib import sha256

from fsproxy.core.filters.blocked_user import BlockedUserFilter
from fsproxy.core.model import FilterName, Hit, Instant, ListedRule, Mode, Route, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.run_time_lists import RunTimeList
from fsproxy.core.settings import BlockedUserSettings, CoreSettings, Entry, FilterSettings, ListedEntry, OrgSettings
from fsproxy.core.uid_digest import uid_digest

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
    line = _hit(BlockedUserSettings(block=(ListedEntry(UID, "uids.txt:1:1"),)), UID)
    assert line is not None
    assert line.rule == ListedRule(hit.rule.id, "uids.txt:1:1")
    assert (type(line.rule), type(hit.rule)) == (ListedRule, Rule)


def test_an_entry_of_any_text_compiles() -> None:
    assert _hit(BlockedUserSettings(block=(Entry("\ud800"),)), "\ud800") is not None


def test_nothing_listed_compiles_to_nothing() -> None:
    assert _compile(BlockedUserSettings()) is None
    assert _compile(BlockedUserSettings(block=(Entry(""),))) is None
    assert _compile(BlockedUserSettings(block=(Entry("x"),), mode=Mode.OFF)) is None
    assert _compile(BlockedUserSettings(block=(Entry("x"),)), Mode.OFF) is None


def test_a_user_who_was_listed_at_run_time_is_blocked_until_then_and_the_file_comes_first() -> None:
    listed = RunTimeList()
    listed.put(uid_digest(UID), NOW + 1, NOW)
    listed.put(uid_digest("bob"), NOW + 1, NOW)
    core = CoreSettings(run_time={FilterName.BLOCKED_USER: listed})
    settings = BlockedUserSettings(block=(Entry("bob"),), reason_code=ReasonCode.USER_AGENT)
    made = BlockedUserFilter.compile(OrgSettings(filters=FilterSettings(blocked_user=settings)), core)
    alone = BlockedUserFilter.compile(OrgSettings(), core)
    assert made is not None
    assert alone is not None

    def rule(judging: BlockedUserFilter, later: float = 0.0, **ids: str) -> tuple[str, int] | None:
        hit = judging.judge(SessionFacts(route=Route.PAGE, **ids), Instant(NOW + later))  # type: ignore[arg-type]
        return None if hit is None else (hit.rule.id, hit.code)

    assert rule(made, app_id=UID) == ("blocked_user:run-time", ReasonCode.USER_AGENT)
    assert rule(alone, app_id=UID) == ("blocked_user:run-time", ReasonCode.UNSPECIFIED)
    assert rule(made, app_id="bob") not in (None, ("blocked_user:run-time", ReasonCode.USER_AGENT))
    assert [rule(made, 1.0, app_id=UID), rule(made, user_id=UID), rule(made)] == [None, None, None]
