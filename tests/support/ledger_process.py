"""A process that asks a shared ledger for everything at once, and prints how much it was granted.

``python ledger_process.py URL PREFIX RUNS``: in each run, an org of its own; 60 new sessions, 60 names and 60
calls, all in flight together, of which the limits allow 25, 20 and 10 over all processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from fsproxy.clock import now
from fsproxy.config.schema import RedisConfig
from fsproxy.core.limits.operations import Admit, Admitted, Claim, Claimed, NameKind, QuotaTerms, RateKind, Spend, Spent
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.servers.configured import server_of

SESSIONS, NAMES, CALLS = 25, 20, 10
EACH = 60
DEADLINE = 240.0


async def main(url: str, prefix: str, runs: int) -> None:
    ledger = RedisLedger(server_of(RedisConfig(url=url)), prefix, DEADLINE)
    await ledger.start()
    await asyncio.to_thread(sys.stdin.readline)
    granted = [await one_run(ledger, f"org-{run}") for run in range(runs)]
    await ledger.close()
    sys.stdout.write(json.dumps(granted))


async def one_run(ledger: RedisLedger, org: str) -> list[int]:
    mine = os.getpid()
    quota = QuotaTerms("cycle", SESSIONS, Instant(now() + 86_400), enforced=True)
    windows = (Window(CALLS, 600.0), Window(CALLS + 5, 900.0))

    async def session(n: int) -> bool:
        operation = Admit(org, f"{mine}-{n}", f"s{mine}-{n}", "", ramped_out=False, quota=quota)
        (answer,) = await ledger.ask((operation,), now(), DEADLINE)
        assert isinstance(answer, Admitted)
        return not answer.over_quota

    async def name(n: int) -> bool:
        operation = Claim(org, NameKind.EVENT_NAME, (f"{mine}-{n}",), NAMES, 3_600.0)
        (answer,) = await ledger.ask((operation,), now(), DEADLINE)
        assert isinstance(answer, Claimed)
        return not answer.refused

    async def call() -> bool:
        (answer,) = await ledger.ask((Spend(org, "s", RateKind.EVENT, now(), windows),), now(), DEADLINE)
        assert isinstance(answer, Spent)
        return answer.passed

    async def spread(n: int) -> list[bool]:
        # In several ticks, so that the processes' script calls fall between each other.
        await asyncio.sleep(n % 7 / 10_000)
        return list(await asyncio.gather(session(n), name(n), call()))

    return [sum(each) for each in zip(*await asyncio.gather(*map(spread, range(EACH))), strict=True)]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
