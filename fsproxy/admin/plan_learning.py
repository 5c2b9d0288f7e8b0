"""What a plan of names would be that is learned from the names that this program counts (rules.md 9)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from fsproxy.admin.backend import UnansweredError
from fsproxy.admin.state_answers import LearnedPlan
from fsproxy.clock import now
from fsproxy.config.schema import Config
from fsproxy.core.plan_writing import NameRow, learned_plan
from fsproxy.state.memory.ledger import MemoryLedger

if TYPE_CHECKING:  # redis-py is an extra
    from fsproxy.state.redis.ledger import RedisLedger

ASK_SECONDS = 30.0
"""Time to find the names in Redis, among all of its keys."""
_asking = asyncio.Lock()


async def learn_plan(ledger: MemoryLedger | RedisLedger, config: Config, org: str | None) -> LearnedPlan:
    """Return the plan of an org, or of all. Redis is asked once at a time. Raises UnansweredError."""
    rows: list[NameRow] = []
    if isinstance(ledger, MemoryLedger):
        for part in ledger.name_rows(org):
            rows += part
            await asyncio.sleep(0)
    else:
        rows = await _in_redis(config, org)
    return {"plan": await asyncio.to_thread(learned_plan, rows, config.core, now())}


async def _in_redis(config: Config, org: str | None) -> list[NameRow]:
    from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

    from fsproxy.state.redis.kept_names import kept_names  # noqa: PLC0415

    try:
        async with _asking, asyncio.timeout(ASK_SECONDS), aclosing(kept_names(config.state.redis, org)) as names:
            return [row async for row in names]
    except (RedisError, OSError):
        # OSError: also the time limit.
        raise UnansweredError("the store of the limits cannot be read") from None
