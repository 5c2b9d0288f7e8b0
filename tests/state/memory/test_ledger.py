"""The memory form as a whole: order, what survives a restart, what it reports."""

from __future__ import annotations

from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Claim,
    Claimed,
    Confirm,
    Ledger,
    Mark,
    NameKind,
    QuotaTerms,
    RateKind,
    Spend,
    Spent,
)
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from fsproxy.state.memory.rows import LedgerRows
from support.ledgers import at_once

START = Instant(1_790_000_000.0)
QUOTA = QuotaTerms("2026-09-01", 2, Instant(START + 86_400), enforced=True)


def later(seconds: float) -> Instant:
    return Instant(START + seconds)


def admit(token: str, session: str = "", user: str = "", *, ramped_out: bool = False) -> Admit:
    return Admit("o", token, session, user, ramped_out, QUOTA, ramped_user=user if ramped_out else "")


def test_it_is_a_ledger() -> None:
    ledger: Ledger = MemoryLedger()
    assert at_once(ledger, (), START) == ()


def test_answers_stand_in_the_order_of_the_operations() -> None:
    ledger = MemoryLedger()
    answers = at_once(
        ledger,
        (
            Claim("o", NameKind.EVENT_NAME, ("a",), 1, 60.0),
            admit("t1", "s"),
            Spend("o", "s", RateKind.EVENT, START, (Window(1, 1.0),)),
            Mark("o", "s", ""),
            Claim("o", NameKind.EVENT_NAME, ("b",), 1, 60.0),
        ),
        START,
    )
    assert answers == (
        Claimed(frozenset(), 1),
        Admitted(under_way=False, user_admitted=False, over_quota=False, used=1),
        Spent(passed=True),
        None,
        Claimed(frozenset({"b"}), 1),
    )


def lived() -> MemoryLedger:
    """A ledger with something of everything in it."""
    ledger = MemoryLedger(journal=True)
    at_once(ledger, (admit("t1", "theirs"),), START)
    at_once(ledger, (Confirm("o", "t1", ("theirs", "ours"), ("u",), new=True, visitors=("u",)),), START)
    at_once(ledger, (Claim("o", NameKind.EVENT_NAME, ("a", "b" * 100), 9, 600.0),), START)
    return ledger


def merged(*parts: LedgerRows) -> LedgerRows:
    """What a store holds that keeps the latest row of each key."""
    return LedgerRows(
        sessions=list({row[0]: row for part in parts for row in part.sessions}.values()),
        admitted=list({row[0]: row for part in parts for row in part.admitted}.values()),
        counts=list({row[:2]: row for part in parts for row in part.counts}.values()),
        names=list({row[:3]: row for part in parts for row in part.names}.values()),
    )


def test_a_restart_keeps_sessions_quota_names_and_admitted_visitors() -> None:
    ledger = lived()
    first = ledger.drain()
    at_once(ledger, (Mark("o", "ours", ""), admit("t2", "s2")), later(1_200))
    at_once(ledger, (Claim("o", NameKind.EVENT_NAME, ("c",), 9, 600.0),), later(1))
    again = MemoryLedger(journal=True)
    again.restore(merged(first, ledger.drain()), later(2_000))
    assert again.quota_usage("o") == {"2026-09-01": 2}
    assert again.names_usage("o")[NameKind.EVENT_NAME] == 3
    (claimed,) = at_once(again, (Claim("o", NameKind.EVENT_NAME, ("a", "b" * 100, "d"), 3, 9e9),), later(2_000))
    assert claimed == Claimed(frozenset({"d"}), 3)
    under_way, passes = at_once(again, (admit("t3", "theirs"), admit("t4", "s9", "u", ramped_out=True)), later(2_000))
    assert under_way == Admitted(under_way=True, user_admitted=False, over_quota=False, used=2, held=False)
    assert passes == Admitted(under_way=False, user_admitted=True, over_quota=True, used=2)


def test_what_ended_before_the_restart_stays_ended() -> None:
    ledger = lived()
    rows = ledger.drain()
    again = MemoryLedger()
    again.restore(rows, later(400 * 86_400 + 86_400))
    assert again.usage().ids == 0
    assert again.usage().admitted == 0
    assert again.quota_usage("o") == {}


def test_only_changes_are_drained_and_what_was_restored_is_none() -> None:
    ledger = lived()
    rows = ledger.drain()
    assert len(rows.sessions) == 3
    assert rows.counts == [("o", "2026-09-01", 1, START + 86_400)]
    assert ledger.drain() == LedgerRows()
    at_once(ledger, (Mark("o", "ours", ""),), later(5))
    assert len(ledger.drain().sessions) == 1
    again = MemoryLedger(journal=True)
    again.restore(rows, START)
    assert again.drain() == LedgerRows()


def test_without_a_journal_nothing_is_noted() -> None:
    ledger = MemoryLedger()
    at_once(ledger, (admit("t1", "s"), Mark("o", "s", "u"), Claim("o", NameKind.EVENT_NAME, ("a",), 9, 600.0)), START)
    assert ledger.drain() == LedgerRows()


def test_rows_hold_no_id_of_a_visitor() -> None:
    """Sessions and users are kept as digests (rules.md 6)."""
    rows = lived().drain()
    assert all(isinstance(part, int) for row in (*rows.sessions, *rows.admitted) for part in row)


def test_usage_counts_what_is_kept() -> None:
    ledger = lived()
    at_once(ledger, (admit("t2", "s2"), Spend("o", "s", RateKind.USER, START, (Window(1, 1.0),))), START)
    usage = ledger.usage()
    assert (usage.ids, usage.reservations, usage.admitted, usage.names, usage.orgs, usage.rates) == (3, 1, 1, 2, 1, 1)
    assert set(ledger.evicted().values()) == {0}


def test_a_drain_gives_no_more_than_asked_and_the_rest_the_next_time() -> None:
    ledger = lived()
    at_once(ledger, (Claim("p", NameKind.EVENT_NAME, ("x", "y"), 9, 600.0),), START)
    parts = []
    while len(rows := ledger.drain(2)):
        assert len(rows) <= 2
        parts.append(rows)
    whole = merged(*parts)
    assert (len(whole.counts), len(whole.names), len(whole.admitted), len(whole.sessions)) == (1, 4, 1, 3)


def test_everything_is_drained_again_on_request() -> None:
    ledger = lived()
    rows = ledger.drain()
    for _ in ledger.note_all():
        pass
    again = ledger.drain()
    assert len(again) == len(rows)
    assert (again.counts, sorted(again.names), sorted(again.sessions)) == (
        rows.counts,
        sorted(rows.names),
        sorted(rows.sessions),
    )


def test_names_and_counts_that_had_to_go_leave_the_journal() -> None:
    ledger = MemoryLedger(Bounds(names=3, orgs=1), journal=True)
    for org in ("a", "b"):
        at_once(ledger, (Claim(org, NameKind.EVENT_NAME, ("x", "y"), 9, 600.0),), START)
        at_once(ledger, (Admit(org, org, "s", "", False, QUOTA),), START)
    rows = ledger.drain()
    assert {row[0] for row in rows.names} == {row[0] for row in rows.counts} == {"b"}
    at_once(ledger, (Claim("b", NameKind.EVENT_NAME, ("z",), 9, 1.0),), later(5))
    assert [row[2] for row in ledger.drain().names] == ["z"]
