"""Sessions: what the memory form alone must do. What every form does stands in test_contract."""

from __future__ import annotations

from fsproxy.core.limits.operations import Admit, Admitted, Confirm, QuotaTerms
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from support.ledgers import NEW, MemoryStore, Visits, at_once

START = 1_790_000_000.0
ORG = "o-1ABC-na1"
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


def test_full_the_session_active_longest_ago_goes_first_and_is_counted() -> None:
    ledger = Visits(MemoryStore(Bounds(ids=3)), limit=None)
    for session in ("s1", "s2", "s3"):
        ledger.bundle(session)
        ledger.now += 2 * MINUTE
    ledger.bundle("s1")
    ledger.bundle("s4")
    assert [ledger.page(f"t{s}", s).under_way for s in ("s1", "s2", "s3", "s4")] == [True, False, True, True]
    assert ledger.store.ledger.usage().ids == 3
    assert ledger.store.ledger.evicted()["ids"] == 1


def test_full_within_a_minute_ids_of_what_had_to_go_are_no_fault() -> None:
    """A flood may evict a session while its other ids are being noted."""
    ledger = Visits(MemoryStore(Bounds(ids=3)), limit=None)
    for n in range(50):
        ledger.page(f"t{n}", f"s{n}")
        ledger.answered(f"t{n}", (f"s{n}", f"a{n}", f"b{n}"))
    usage = ledger.store.ledger.usage()
    assert usage.ids == 3
    assert ledger.store.ledger.evicted()["ids"] > 50


def test_too_many_reservations_lapse_early_and_are_counted_again_by_their_answers() -> None:
    ledger = Visits(MemoryStore(Bounds(reservations=3)), limit=99)
    for n in range(6):
        ledger.page(f"t{n}", f"s{n}")
    assert ledger.store.ledger.usage().reservations <= 4
    assert ledger.store.ledger.evicted()["reservations"] >= 2
    ledger.answered("t0", ("s0",))
    assert ledger.page("x", "s0").under_way
    before = ledger.used
    ledger.answered("t1", ("s1",))
    assert ledger.used == before + 1


def test_too_many_orgs_lose_the_count_that_was_asked_for_longest_ago() -> None:
    ledger = Visits(MemoryStore(Bounds(orgs=2)))
    for org in ("o1", "o2", "o1", "o3"):
        ledger.page(f"t {org} {ledger.now}", "", "", org=org)
        ledger.now += 1
    assert ledger.store.quota_usage("o1") == {ledger.cycle: 2}
    assert ledger.store.quota_usage("o2") == {}
    assert ledger.store.ledger.evicted()["orgs"] == 1


def test_what_is_over_is_forgotten_while_others_go_on() -> None:
    ledger = Visits(MemoryStore(), limit=None)
    for n in range(1_000):
        ledger.bundle(f"s{n}", f"u{n}")
    ledger.now += HOUR
    for _ in range(600):
        ledger.bundle("s")
    assert ledger.store.ledger.usage().ids == 1


def test_a_session_kept_alive_is_never_swept() -> None:
    ledger = Visits(MemoryStore(), limit=0)
    ledger.bundle("s")
    for n in range(200):
        ledger.now += 10 * MINUTE
        ledger.bundle(f"other {n}")
        if n < 100:
            ledger.bundle("s")
            assert ledger.store.ledger.usage().ids < 12
    assert ledger.store.ledger.usage().ids < 12


async def test_memory_answers_what_is_asked_together_in_order() -> None:
    ledger = MemoryLedger()
    quota = QuotaTerms("c", 1, Instant(START + DAY), enforced=True)
    operations = (Admit(ORG, "t1", "s1", "", False, quota), Admit(ORG, "t2", "s2", "", False, quota))
    first, second = await ledger.ask(operations, Instant(START), 0.25)
    assert first == NEW
    assert second == Admitted(under_way=False, user_admitted=False, over_quota=True, used=1)


def test_a_session_under_way_holds_nothing_and_one_that_waits_does() -> None:
    ledger = MemoryLedger()
    first, second = (Admit("o-1", token, "s", "", ramped_out=False, quota=None) for token in ("t1", "t2"))
    assert at_once(ledger, (first,), Instant(1.0)) == (
        Admitted(under_way=False, user_admitted=False, over_quota=False),
    )
    (joined,) = at_once(ledger, (second,), Instant(2.0))
    assert isinstance(joined, Admitted)
    assert (joined.under_way, joined.held) == (True, True)
    at_once(ledger, (Confirm("o-1", "t1", ("s",), (), new=True),), Instant(3.0))
    (known,) = at_once(ledger, (Admit("o-1", "t3", "s", "", ramped_out=False, quota=None),), Instant(4.0))
    assert isinstance(known, Admitted)
    assert (known.under_way, known.held) == (True, False)
