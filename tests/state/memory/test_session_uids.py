"""Which uid a session has: in memory and in a real Valkey, at injected times (rules.md 10)."""

from __future__ import annotations

from fsproxy.core.limits.operations import Admit, Confirm, Mark, Operation, Recall, Recalled
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import Bounds
from support.ledgers import HOUR, MINUTE, ORG, START, MemoryStore, Store

ANN, BEN = 2**60 - 1, 12
NOBODY = Recalled(())


class Sessions:
    """One ledger at a time that moves, in few words."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START

    def do(self, *operations: Operation) -> None:
        self.store.ask(operations, Instant(self.now))

    def mark(self, session: str, user: str = "", uid: int = 0) -> None:
        self.do(Mark(ORG, session, user, uid))

    def page(self, token: str, sessions: tuple[str, ...], users: tuple[str, ...] = (), uid: int = 0) -> None:
        self.do(Admit(ORG, token, sessions[0], "", False, None))
        self.do(Confirm(ORG, token, sessions, users, new=True, uid=uid))

    def uids(self, session: str, user: str = "", org: str = ORG) -> Recalled:
        (answer,) = self.store.ask((Recall(org, session, user),), Instant(self.now))
        assert isinstance(answer, Recalled)
        return answer


def test_a_session_has_the_uid_of_its_last_call_and_nobody_else_has(store: Store) -> None:
    ledger = Sessions(store)
    assert ledger.uids("s") == NOBODY
    ledger.mark("s", "u", ANN)
    ledger.mark("other")
    assert ledger.uids("s") == ledger.uids("s", "u") == ledger.uids("", "u") == Recalled((ANN,))
    assert ledger.uids("other", "nobody") == ledger.uids("s", "u", org="another") == NOBODY
    ledger.mark("s", "", BEN)
    assert ledger.uids("s", "u") == Recalled((BEN, ANN))


def test_a_page_tells_it_for_all_ids_of_its_session(store: Store) -> None:
    ledger = Sessions(store)
    ledger.page("t", ("asked", "answered"), ("u1", "u2"), ANN)
    for session, user in (("asked", ""), ("answered", ""), ("", "u1"), ("", "u2")):
        assert ledger.uids(session, user) == Recalled((ANN,))


def test_activity_keeps_it_and_says_nothing_of_it(store: Store) -> None:
    ledger = Sessions(store)
    ledger.mark("s", uid=ANN)
    for _ in range(4):
        ledger.now += 29 * MINUTE
        ledger.mark("s")
    assert ledger.uids("s") == Recalled((ANN,))


def test_asking_keeps_nothing(store: Store) -> None:
    ledger = Sessions(store)
    ledger.mark("s", uid=ANN)
    ledger.now += 29 * MINUTE
    assert ledger.uids("s") == Recalled((ANN,))
    ledger.now += 2 * MINUTE
    assert ledger.uids("s") == NOBODY


def test_a_session_that_begins_again_under_the_same_id_has_none(store: Store) -> None:
    ledger = Sessions(store)
    ledger.mark("s", uid=ANN)
    ledger.now += 31 * MINUTE
    ledger.mark("s")
    assert ledger.uids("s") == NOBODY


def test_no_session_has_it_after_24_hours(store: Store) -> None:
    ledger = Sessions(store)
    ledger.mark("s", uid=ANN)
    for _ in range(50):
        ledger.now += 29 * MINUTE
        ledger.mark("s")
    assert ledger.now > START + 24 * HOUR
    assert ledger.uids("s") == NOBODY


def test_a_new_session_of_a_known_visitor_has_the_uid_that_its_page_tells(store: Store) -> None:
    ledger = Sessions(store)
    ledger.page("t1", ("s1",), ("u",), ANN)
    ledger.page("t2", ("s2",), ("u",))
    assert ledger.uids("s2", "u") == NOBODY
    assert ledger.uids("s1") == Recalled((ANN,))


def test_in_memory_they_are_bounded_and_go_with_their_sessions() -> None:
    store = MemoryStore(Bounds(uids=3))
    ledger = Sessions(store)
    for number in range(5):
        ledger.now += MINUTE
        ledger.mark(f"s{number}", uid=ANN)
    usage = store.ledger.usage()
    assert (usage.uids, store.ledger.evicted()["uids"]) == (3, 2)
    assert ledger.uids("s0") == NOBODY
    assert ledger.uids("s4") == Recalled((ANN,))
    ledger.now += HOUR
    for _ in range(5):
        ledger.mark("new")
    assert store.ledger.usage().uids == 0
