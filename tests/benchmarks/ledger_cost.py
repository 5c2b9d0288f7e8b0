"""What one question to the ledger costs, in memory and in a real Valkey, beside each other in one run.

python tests/benchmarks/ledger_cost.py [--rounds N] [--count N]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fsproxy.core.limits.operations import Admit, Claim, Ledger, Mark, NameKind, Operation, QuotaTerms, RateKind, Spend
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.redis.breaker import Breaker
from fsproxy.state.redis.ledger import RedisLedger
from support.ports import free_ports
from support.valkey import ValkeyServer

AT_ONCE = 50
"""Questions that wait at the same time: those of one tick of the loop go in one write."""
ORG = "o-BENCH-na1"
WINDOWS = (Window(10, 1.0), Window(30, 60.0))
TERMS = QuotaTerms("2026-11-01", 10**9, Instant(4e9), enforced=True)

OPERATIONS: dict[str, Callable[[int], Operation]] = {
    "new session (Admit)": lambda n: Admit(ORG, f"t{n}", f"s{n}", "", ramped_out=False, quota=TERMS),
    "session under way (Mark)": lambda n: Mark(ORG, f"s{n % 1000}", f"u{n % 1000}"),
    "10 known names (Claim)": lambda _: Claim(
        ORG, NameKind.USER_PROPERTY, tuple(f"n{i}_str" for i in range(10)), 500, 9e5
    ),
    "one call (Spend)": lambda n: Spend(ORG, f"s{n}", RateKind.EVENT, Instant(1e9 + n), WINDOWS),
}


async def cost(ledger: Ledger, make: Callable[[int], Operation], start: int, count: int) -> float:
    """Microseconds of this process's CPU time a question."""
    began = time.process_time()
    now = Instant(1e9)
    for first in range(start, start + count, AT_ONCE):
        await asyncio.gather(*(ledger.ask((make(n),), now, 5.0) for n in range(first, first + AT_ONCE)))
    return (time.process_time() - began) / count * 1e6


async def measure(url: str, rounds: int, count: int) -> None:
    memory = MemoryLedger()
    shared = RedisLedger(url, "bench:", 5.0, Breaker("redis"), remembers=False)
    await shared.start()
    print(f"{'':<28}{'memory, us':>12}{'Valkey, us':>12}{'times':>8}")
    for name, make in OPERATIONS.items():
        found: dict[str, list[float]] = {"memory": [], "valkey": []}
        for turn in range(rounds):
            start = turn * count
            found["memory"].append(await cost(memory, make, start, count))
            found["valkey"].append(await cost(shared, make, start, count))
        own, theirs = statistics.median(found["memory"]), statistics.median(found["valkey"])
        print(f"{name:<28}{own:>12.1f}{theirs:>12.1f}{theirs / own:>8.1f}")
    await shared.close()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = ValkeyServer(free_ports(1)[0], Path(folder))
        server.start()
        try:
            asyncio.run(measure(server.url, given.rounds, given.count))
        finally:
            server.kill()


if __name__ == "__main__":
    main()
