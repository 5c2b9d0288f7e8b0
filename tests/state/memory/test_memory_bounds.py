"""What is kept for each thing, and the most that is kept of all, in bytes as Python's allocator counts them."""

from __future__ import annotations

import asyncio
import gc
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from uuid import UUID

import pytest

from fsproxy.core.limits.operations import Admit, Claim, Confirm, NameKind, QuotaTerms, RateKind, Spend
from fsproxy.core.model import FilterName, Hit, Instant, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import Window
from fsproxy.state.memory.blocked_pages import BlockedPages
from fsproxy.state.memory.cache import BoundedMemoryCache
from fsproxy.state.memory.keys import key_of
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from fsproxy.state.memory.page_clocks import PageClocks
from support.in_process import in_process
from support.ledgers import at_once
from support.pieces import post
from support.upstream import RecordingUpstream

SESSION = 300
"""Bytes of a session that is remembered, with its visitor, at the most."""
CONNECTION = 6 * 1024
"""Bytes of a client's connection that has carried a page and is kept open, at the most: the event loop's own structures
and what allocators waste make it 12 KB of resident memory (tests/benchmarks/memory.py)."""
START = Instant(1_790_000_000.0)
QUOTA = QuotaTerms("2026-09-01", 10**9, Instant(START + 86_400), enforced=True)


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Bytes that were allocated since, and are still in use."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()

        def grown() -> int:
            key_of.cache_clear()  # 8,192 keys, whatever is kept
            gc.collect()
            return tracemalloc.get_traced_memory()[0] - before

        yield grown
    finally:
        tracemalloc.stop()


def counted_session(ledger: MemoryLedger, number: int) -> None:
    """A new session of a new visitor: admitted, answered, remembered."""
    now, token = Instant(START + number / 2_000), str(number)
    session, user = f"session-{number}", f"user-{number}"
    at_once(ledger, (Admit("o", token, session, user, ramped_out=False, quota=QUOTA),), now)
    at_once(ledger, (Confirm("o", token, (session,), (user,), new=True),), now)


@pytest.mark.timeout(300)  # tracing every allocation of 25,000 sessions takes a minute on a busy machine
@pytest.mark.parametrize("kept_on_disk", [False, True])
def test_a_remembered_session_and_its_visitor_take_at_most_300_bytes_however_many_there_are(
    kept_on_disk: bool,  # noqa: FBT001 - a parameter of the test's
) -> None:
    ledger = MemoryLedger(journal=kept_on_disk)
    with traced() as grown:
        for number in range(1, 25_001):
            counted_session(ledger, number)
            # Tables grow in steps: the bound holds before and after each of them.
            if number % 2_500 == 0:
                ledger.drain()
                if number >= 10_000:
                    assert grown() <= SESSION * number
    assert ledger.usage().ids == 50_000


def sessions(bound: int) -> Callable[[int], int]:
    ledger = MemoryLedger(Bounds(ids=bound))

    def add(number: int) -> int:
        counted_session(ledger, number)
        return ledger.usage().ids

    return add


def reservations(bound: int) -> Callable[[int], int]:
    ledger = MemoryLedger(Bounds(reservations=bound))

    def add(number: int) -> int:
        at_once(ledger, (Admit("o", str(number), f"s-{number}", "", ramped_out=False, quota=QUOTA),), START)
        return ledger.usage().reservations

    return add


def admitted(bound: int) -> Callable[[int], int]:
    ledger = MemoryLedger(Bounds(admitted=bound, ids=bound))

    def add(number: int) -> int:
        user = f"u-{number}"
        at_once(ledger, (Admit("o", str(number), "", user, ramped_out=False, quota=None),), START)
        at_once(ledger, (Confirm("o", str(number), (), (user,), new=True, visitors=(user,)),), START)
        return ledger.usage().admitted

    return add


def orgs(bound: int) -> Callable[[int], int]:
    ledger = MemoryLedger(Bounds(orgs=bound, reservations=bound))

    def add(number: int) -> int:
        at_once(ledger, (Admit(f"o-{number}", str(number), "", "u", ramped_out=False, quota=QUOTA),), START)
        return ledger.usage().orgs

    return add


def names(bound: int) -> Callable[[int], int]:
    ledger = MemoryLedger(Bounds(names=bound, orgs=bound))

    def add(number: int) -> int:
        name = (f"a.property_{number}",)
        at_once(ledger, (Claim(f"o-{number // 100}", NameKind.EVENT_PROPERTY, name, 5_000, 9e5),), START)
        return ledger.usage().names

    return add


def rates(bound: int) -> Callable[[int], int]:
    ledger = MemoryLedger(Bounds(rates=bound))
    windows = (Window(10, 1.0), Window(30, 60.0))

    def add(number: int) -> int:
        at_once(ledger, (Spend("o", f"s-{number}", RateKind.EVENT, START, windows, f"p-{number}", 5.0, 1),), START)
        return ledger.usage().rates

    return add


def clocks(bound: int) -> Callable[[int], int]:
    kept = PageClocks(bound)

    def add(number: int) -> int:
        kept.fix("o", f"page-{number}", START, START, START)
        return len(kept)

    return add


def cache(bound: int) -> Callable[[int], int]:
    kept = BoundedMemoryCache(bound)

    def add(number: int) -> int:
        adding = kept.set(f"{number:032x}", b"x" * 60, ttl=600)
        with pytest.raises(StopIteration):  # it never waits
            adding.send(None)
        return len(kept)

    return add


def blocked(bound: int) -> Callable[[int], int]:
    kept, rule = BlockedPages(bound), Rule("ip:block:10.0.0.0/8")

    def add(number: int) -> int:
        kept.remember(f"o-{number}", str(UUID(int=number)), Hit(FilterName.IP, ReasonCode.IP_FILTER, rule))
        return len(kept)

    return add


BOUND = 1_000
STORES: dict[Callable[[int], Callable[[int], int]], int] = {
    sessions: 250,
    reservations: 900,
    admitted: 400,
    orgs: 1_500,
    names: 400,
    rates: 600,
    clocks: 300,
    cache: 350,
    blocked: 600,
}
"""What fills a store of the memory form, and the most bytes that one entry of it takes: an id, a reserved unit..."""


@pytest.mark.parametrize("store", STORES, ids=[each.__name__ for each in STORES])
def test_a_store_keeps_no_more_than_its_bound_and_a_flood_makes_it_no_larger(
    store: Callable[[int], Callable[[int], int]],
) -> None:
    with traced() as grown:
        add = store(BOUND)
        most = max(map(add, range(5 * BOUND)))
        assert BOUND <= most <= BOUND + 1
        assert grown() <= STORES[store] * BOUND


async def test_an_idle_connection_takes_at_most_6_kb_after_a_page() -> None:
    async with RecordingUpstream() as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        page = {"OrgId": "o-1", "SessionId": "s-1", "PageId": "p-1", "UserId": "u-1", "Url": "https://a.example/"}
        asked = post("/rec/page", page)
        with ExitStack() as stack:

            async def connect(count: int) -> None:
                for _ in range(count):
                    client = stack.enter_context(closing(socket.socket()))
                    client.setblocking(False)
                    await loop.sock_connect(client, ("127.0.0.1", proxy.port))
                    await loop.sock_sendall(client, asked)
                    assert (await loop.sock_recv(client, 65_536)).startswith(b"HTTP/1.1 200 ")
                upstream.received.clear()

            loop = asyncio.get_running_loop()
            await connect(50)  # what the first ones alone take
            with traced() as grown:
                await connect(500)
                each = grown() / 500
            assert len(proxy.server) == 550
        assert each <= CONNECTION
