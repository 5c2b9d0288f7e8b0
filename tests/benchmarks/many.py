"""Many at once, by resident memory: idle connections, and every store that clients fill, filled beyond its bound.

    python tests/benchmarks/many.py [--connections 10000] [--quick]

The first number is of a running program: so many connections that have carried one page each and are kept, what one
costs, and how long a page takes meanwhile. The second is the ceiling: each of the memory form's stores in a process of
its own, given a fifth more than its bound; their sum is the most that a flood of names can make the program keep.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from uuid import UUID

import uvloop

import payloads
import peers
import process
from configs import PATHS
from fsproxy.core.limits.operations import Admit, Claim, Confirm, NameKind, QuotaTerms, RateKind, Spend
from fsproxy.core.model import FilterName, Hit, Instant, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import Window
from fsproxy.state.memory.blocked_pages import BLOCKED_PAGES, BlockedPages
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.repeats import REPEATS, Repeats
from memory import idle_connections
from support.ledgers import at_once
from upstream import start_upstream

MB = 1024 * 1024
PAGES = 200
"""Pages that are timed while the connections are idle."""
BEYOND = 1.2
START = Instant(1_790_000_000.0)
"""The floods come within a minute or so: nothing has time to end by itself."""


async def connections(wanted: int) -> list[str]:
    """What so many idle connections cost, and what they cost others. Raises PeerError, OSError."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    possible = min(wanted, hard - 200)
    core, _ = process.cores()
    async with await start_upstream(0) as server:
        peer = await peers.start("fsproxy", PATHS["page"], server.sockets[0].getsockname()[1], core)
        try:
            before = await _page_ms(peer.port)
            meanwhile: list[float] = []

            async def measure() -> None:
                meanwhile.append(await _page_ms(peer.port))

            # In all, with the 100 that warm it up and the one that is timed.
            each = await idle_connections(peer.port, peer.pids, possible - 101, measure)
            whole = process.rss(peer.pids)
        finally:
            peer.stop()
    limited = "" if possible == wanted else f" (of {wanted}: this process may open no more files)"
    return [
        f"idle connections  {possible}{limited}: {each / 1024:.1f} KB each, {whole / MB:.0f} MB in all",
        f"a page meanwhile  {meanwhile[0]:.2f} ms (median of {PAGES}, one after the other), before {before:.2f} ms",
    ]


async def _page_ms(port: int) -> float:
    next_request = payloads.pages_under_way()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    for _ in range(PAGES):
        begun = time.perf_counter()
        writer.write(next_request())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        took.append((time.perf_counter() - begun) * 1000)
    writer.close()
    return statistics.median(took)


def _sessions(bound: int) -> int:
    """New sessions of new visitors, each with a quota: ids, counts of orgs, visitors let in."""
    ledger = MemoryLedger(Bounds(ids=bound))
    terms = QuotaTerms(cycle="2026-11", ends=Instant(START + 86_400), limit=10**9, enforced=True)
    for number in range(int(bound * BEYOND / 2)):
        now = Instant(START + number / 20_000)
        org, session, user = f"o-{number % 100_000}", f"session-{number}", f"user-{number}"
        at_once(ledger, (Admit(org, str(number), session, user, ramped_out=False, quota=terms),), now)
        at_once(ledger, (Confirm(org, str(number), (session,), (user,), new=True, remember_user=True),), now)
    return ledger.usage().ids


def _names(bound: int) -> int:
    ledger = MemoryLedger(Bounds(names=bound))
    for number in range(int(bound * BEYOND)):
        claim = Claim(
            f"o-{number // 4_000}", NameKind.EVENT_PROPERTY, (f"a.property.of.an.event_{number}",), 5_000, 2_592_000.0
        )
        at_once(ledger, (claim,), START)
    return ledger.usage().names


def _rates(bound: int) -> int:
    ledger = MemoryLedger(Bounds(rates=bound))
    windows = (Window(10, 1.0), Window(30, 60.0))
    for number in range(int(bound * BEYOND)):
        at_once(ledger, (Spend("o-1", f"session-{number}", RateKind.EVENT, START, windows),), START)
    return ledger.usage().rates


def _clocks(bound: int) -> int:
    clocks = PageClocks(bound)
    for number in range(int(bound * BEYOND)):
        clocks.fix("o-1", f"page-{number}", START, START, START)
    return len(clocks)


def _blocked(bound: int) -> int:
    pages, rule = BlockedPages(bound), Rule("ip:block:10.0.0.0/8")
    for number in range(int(bound * BEYOND)):
        pages.remember(f"o-{number % 1000}", str(UUID(int=number)), Hit(FilterName.IP, ReasonCode.IP_FILTER, rule))
    return len(pages)


def _repeats(bound: int) -> int:
    repeats = Repeats(bound)

    async def fill() -> None:
        for number in range(int(bound * BEYOND)):
            await repeats.remember("o", [(number.to_bytes(16, "big"), b"x" * 20)])

    uvloop.run(fill())
    return len(repeats.cache)


STORES: dict[str, tuple[Callable[[int], int], int]] = {
    "ids of sessions and visitors": (_sessions, Bounds().ids),
    "names": (_names, Bounds().names),
    "rates": (_rates, Bounds().rates),
    "pages' clocks": (_clocks, 500_000),
    "blocked pages": (_blocked, BLOCKED_PAGES),
    "verdicts for repeats": (_repeats, REPEATS),
}


def _filled(name: str, bound: int) -> tuple[int, int]:
    """Runs in a process of its own: how many are kept, and the growth of its memory in bytes."""
    before = process.rss([os.getpid()])
    kept = STORES[name][0](bound)
    return kept, process.peak_rss([os.getpid()]) - before


def ceiling(share: float) -> list[str]:
    """Every store at its bound (times ``share``, for a quick look)."""
    lines, whole = [], 0
    for name, (_, most) in STORES.items():
        bound = int(most * share)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            kept, grown = pool.apply(_filled, (name, bound))
        if kept > bound:
            raise ValueError(f"{name}: {kept} are kept, more than {bound}")
        whole += grown
        lines.append(f"{name:30} {kept:9,} kept  {grown / MB:6.0f} MB  {grown / kept:5.0f} bytes each")
    return [*lines, f"{'all stores, full':30} {'':14}  {whole / MB:6.0f} MB"]


def main() -> int:
    """The exit status: 1 where a bound was not kept, or the program did not answer."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="only see whether it works")
    options = parser.parse_args()
    try:
        for line in uvloop.run(connections(300 if options.quick else options.connections)):
            print(line, flush=True)
        for line in ceiling(0.01 if options.quick else 1.0):
            print(line, flush=True)
    except (peers.PeerError, OSError, ValueError, asyncio.IncompleteReadError) as error:
        print(f"failed: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
