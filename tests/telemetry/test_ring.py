"""What is kept of the past is bounded, and counted by minute and by hour."""

from __future__ import annotations

from fsproxy.admin.views import shadow
from fsproxy.core.audit.record import AuditRejection, AuditShadow
from fsproxy.core.model import Instant
from fsproxy.telemetry import ring
from fsproxy.telemetry.orgs import Orgs
from fsproxy.telemetry.ring import Groups, Recent

NOON = Instant(1_795_262_400.0)
"""A full hour."""


def test_the_newest_are_kept_and_it_is_known_since_when() -> None:
    recent = Recent(Orgs(), NOON)
    assert recent.whole_since == NOON
    for number in range(ring.MOST_DECISIONS + 10):
        recent.note(b"%d" % number, "", Instant(NOON + number), forwarded=False)
    numbers = [each.number for each in recent.lines()]
    assert numbers == list(range(11, ring.MOST_DECISIONS + 11))
    assert recent.whole_since == NOON + 10
    assert recent.number == ring.MOST_DECISIONS + 10


def test_what_was_only_forwarded_does_not_push_out_decisions() -> None:
    recent = Recent(Orgs())
    recent.note(b"blocked", "f.yaml:1:1", NOON, forwarded=False)
    for _ in range(ring.MOST_DECISIONS + ring.MOST_FORWARDED):
        recent.note(b"forwarded", "", NOON, forwarded=True)
    kept = recent.lines()
    assert len(kept) == ring.MOST_FORWARDED + 1
    assert (kept[0].number, kept[0].where, kept[0].line) == (1, "f.yaml:1:1", b"blocked")


def test_what_is_new_is_told_once() -> None:
    recent = Recent(Orgs())
    for _ in range(5):
        recent.note(b"{}", "", NOON, forwarded=False)
    assert [each.number for each in recent.decisions_after(3, 50)] == [5, 4]
    assert [each.number for each in recent.decisions_after(0, 2)] == [5, 4]
    assert recent.decisions_after(5, 50) == []


def test_a_group_says_how_often_first_and_last_within_a_day() -> None:
    groups: Groups[str] = Groups()
    for hours in (0, 1, 5, 23, 24, 30):
        groups.add("a", NOON + 3600 * hours)
    (key, group), *others = groups.last_day(NOON + 3600 * 30)
    assert (key, others) == ("a", [])
    assert (group.count, group.first, group.last) == (3, NOON + 3600 * 23, NOON + 3600 * 30)
    assert groups.last_day(NOON + 3600 * 60) == []
    assert len(groups) == 0


def test_the_most_frequent_group_comes_first_and_the_one_longest_ago_goes_first() -> None:
    groups: Groups[str] = Groups(most=2)
    groups.add("gone", NOON)
    groups.add("once", NOON + 1)
    for second in range(2, 5):
        groups.add("often", NOON + second)
    assert [(key, group.count) for key, group in groups.last_day(NOON + 9)] == [("often", 3), ("once", 1)]
    assert groups.evicted == 1


def test_a_thousand_groups_at_the_most_whatever_names_clients_send() -> None:
    recent = Recent(Orgs())
    for number in range(ring.MOST_GROUPS + 50):
        rejected = (AuditRejection("InvalidEventName", f"name {number}", None),)
        recent.note_rejections("o-1", (rejected, 3), (rejected, 1), NOON)
    assert len(recent.rejections) == ring.MOST_GROUPS
    assert recent.rejections.evicted == 50
    assert recent.unlisted_rejections == 2 * (ring.MOST_GROUPS + 50)
    assert len(recent.shadow_rejections) == ring.MOST_GROUPS


def test_hours_of_one_group_are_bounded() -> None:
    groups: Groups[str] = Groups()
    for hours in range(200):
        groups.add("a", NOON + 3600 * hours)
    assert len(groups._groups["a"]) == ring.KEPT_HOURS + 1


def test_a_shadow_rule_counts_sessions_and_all_requests() -> None:
    recent = Recent(Orgs())
    hits = (AuditShadow("geo:never:AQ", 7, "geo"),)
    recent.note_shadow(hits, NOON, page=True)
    recent.note_shadow(hits, Instant(NOON + 5), page=False)
    recent.note_shadow((AuditShadow("ip:x", 5, "ip"),), NOON, page=False)
    rules = shadow(recent, NOON + 10)["rules"]
    assert [(each["rule"], each["pages"], each["count"]) for each in rules] == [("geo:never:AQ", 1, 2), ("ip:x", 0, 1)]
    assert (rules[0]["reason"], rules[0]["first"], rules[0]["last"]) == ("Geography", NOON, NOON + 5)
