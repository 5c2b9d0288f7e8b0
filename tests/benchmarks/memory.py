"""What an idle process, idle connections, sessions and full stores take, by resident memory: on Linux.

    python tests/benchmarks/memory.py [--peers naive,nginx,fsproxy] [--other FOLDER] [--connections 10000] [--stores]

A start, an idle connection that has carried one page, a page's time while all of them are open, and a session of one
page. With ``--stores`` also the ceiling: each store of the memory form in a process of its own, given a fifth more than
its bound; their sum is the most that a flood of names can make the program keep. ``--quick`` only sees whether it works.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import uvloop

import payloads
import peers
import process
from configs import Setup
from fsproxy.core.limits.operations import Admit, Claim, Confirm, NameKind, QuotaTerms, RateKind, Spend
from fsproxy.core.model import FilterName, Hit, Instant, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import Window
from fsproxy.state.memory.blocked_pages import BLOCKED_PAGES, BlockedPages
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.repeats import REPEATS, Repeats
from load import Load, is_whole
from upstream import running_upstream

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.ledgers import at_once

MB = 1024 * 1024
PEERS = ("naive", "nginx", "fsproxy")
PAGES = 200
"""Pages that are timed, one after the other."""
WARM = 100
"""Connections that are open before they are counted: after what the first requests alone take."""
SESSIONS_BEFORE, SESSIONS = 20_000, 100_000
"""Sessions are counted by the growth from the first number to both: allocators have warmed up by then."""
BEYOND = 1.2
START = Instant(1_790_000_000.0)
"""The floods come within a minute or so: nothing has time to end by itself."""


def measure(name: str, upstream_port: int, options: argparse.Namespace) -> list[str]:
    """One peer, started for this alone, with 10 rules. Raises ``PeerError``, and ``OSError`` where it does not answer."""
    wanted = 300 if options.quick else options.connections
    checkout = options.other.resolve() if name == "other" else peers.ROOT
    peer = peers.start(name, Setup(rules=10), upstream_port, process.cores()[:1], checkout)
    try:
        lines = [f"start             {process.rss(peer.pids) / MB:.1f} MB"]
        before = page_ms(peer.port)
        opened = open_idle(peer.port, WARM)
        less = process.rss(peer.pids)
        opened += open_idle(peer.port, wanted - WARM)
        whole = process.rss(peer.pids)
        meanwhile = page_ms(peer.port)
        for sock in opened:
            sock.close()
        each = (whole - less) / (wanted - WARM)
        lines.append(f"idle connections  {wanted}: {each / 1024:.1f} KB each, {whole / MB:.0f} MB in all")
        lines.append(f"a page meanwhile  {meanwhile:.2f} ms (median of {PAGES}), before {before:.2f} ms")
        if name in {"fsproxy", "other"}:
            lines.append(f"a session         {session_bytes(peer.port, peer.pids, quick=options.quick):.0f} bytes")
    finally:
        peer.stop()
    return [f"{name:10} {line}" for line in lines]


def open_idle(port: int, wanted: int) -> list[socket.socket]:
    """Connections that have carried one page each, and are open."""
    next_request = payloads.pages_under_way()
    opened = []
    for _ in range(wanted):
        opened.append(socket.create_connection(("127.0.0.1", port), 30.0))
        _ask(opened[-1], next_request())
    return opened


def _ask(sock: socket.socket, request: bytes) -> None:
    sock.sendall(request)
    answer = b""
    while not is_whole(answer):
        part = sock.recv(65_536)
        if not part:
            raise ConnectionResetError("no answer")
        answer += part


def page_ms(port: int) -> float:
    """How long a page takes, on a connection that is kept."""
    next_request = payloads.pages_under_way()
    took = []
    with socket.create_connection(("127.0.0.1", port), 30.0) as sock:
        for _ in range(PAGES):
            begun = time.perf_counter()
            _ask(sock, next_request())
            took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


def session_bytes(port: int, pids: list[int], *, quick: bool) -> float:
    """Bytes for a session of one page."""
    sent = 0
    new_page = payloads.new_pages()

    def counted() -> bytes:
        nonlocal sent
        sent += 1
        return new_page()

    load = Load(port, counted, 200, 16)
    marks = []
    for more in (100, 100) if quick else (SESSIONS_BEFORE, SESSIONS):
        goal = sent + more
        while sent < goal:
            window = load.measure(0.1 if quick else 1.0, lambda: None)
            if window.problem is not None:
                raise OSError(window.problem)
        marks.append((sent, process.rss(pids)))
    (first, before), (last, after) = marks
    return (after - before) / (last - first)


# -- full stores


def _ids(bound: int) -> int:
    """New sessions of new visitors, each with a quota: ids, counts of orgs, visitors let in."""
    ledger = MemoryLedger(Bounds(ids=bound))
    terms = QuotaTerms(cycle="2026-11", ends=Instant(START + 86_400), limit=10**9, enforced=True)
    for number in range(int(bound * BEYOND / 2)):
        now = Instant(START + number / 20_000)
        org, session, user = f"o-{number % 100_000}", f"session-{number}", f"user-{number}"
        at_once(ledger, (Admit(org, str(number), session, user, ramped_out=False, quota=terms),), now)
        at_once(ledger, (Confirm(org, str(number), (session,), (user,), new=True, visitors=(user,)),), now)
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
    "ids of sessions and visitors": (_ids, Bounds().ids),
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
    """The exit status: 1 where a bound was not kept, or a program did not answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help=f"of {', '.join(PEERS)} (default: all there are)")
    parser.add_argument("--other", type=Path, metavar="FOLDER", help="another checkout, too")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--stores", action="store_true", help="also the stores, filled")
    parser.add_argument("--quick", action="store_true", help="only see whether it works")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = options.peers.split(",") if options.peers else list(filter(peers.available, PEERS))
    os.sched_setaffinity(0, {process.cores()[1]})
    try:
        with running_upstream() as upstream:
            for name in [*names, *(["other"] if options.other else [])]:
                print("\n".join(measure(name, upstream.port, options)), flush=True)
        if options.stores:
            print("\n".join(ceiling(0.01 if options.quick else 1.0)))
    except (peers.PeerError, OSError, ValueError) as error:
        print(f"failed: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
