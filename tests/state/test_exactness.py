"""Limits hold to the unit over processes that share a store, while its servers fail over and slots move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from fsproxy.clock import now
from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Claim,
    Claimed,
    Confirm,
    LedgerDownError,
    NameKind,
    QuotaTerms,
    RateKind,
    Spend,
    Spent,
)
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.state.redis.ledger import RedisLedger
from support.cluster import ClusterDeployment, running_cluster, slot_of
from support.ledgers import fresh_org
from support.sentinel import SentinelDeployment, running_sentinels
from support.valkey import await_replication, store_by

LIMIT, PROCESSES, AT_ONCE = 60, 4, 40
TIMEOUT = 5.0
PATIENCE = 120.0
_numbers = count()


@pytest.fixture(scope="module")
def sentinels() -> Iterator[SentinelDeployment]:
    with running_sentinels() as running:
        yield running


@pytest.fixture(scope="module")
def nodes() -> Iterator[ClusterDeployment]:
    with running_cluster(replicas=1) as running:
        yield running


class Fleet:
    """Ledgers of several processes, which ask at the same time, and what they were granted of one org's limits."""

    def __init__(self, ledgers: list[RedisLedger]) -> None:
        self._ledgers = ledgers
        self.org = fresh_org()
        self.granted = [0, 0, 0]
        """Sessions, names, calls."""
        self.unknown = 0
        """Questions that the store did not answer."""

    async def ask_all(self) -> None:
        """Each asks for so many of each, all at once."""
        await asyncio.gather(*(self._ask(ledger) for ledger in self._ledgers for _ in range(AT_ONCE)))

    async def use(self, units: int) -> None:
        """Ask one by one for so many sessions, names and calls."""
        for number in range(units):
            await self._ask(self._ledgers[number % len(self._ledgers)])

    async def _ask(self, ledger: RedisLedger) -> None:
        mine = f"{next(_numbers)}"
        quota = QuotaTerms("cycle", LIMIT, Instant(now() + 86_400), enforced=True)
        admit = Admit(self.org, f"t{mine}", f"s{mine}", "", ramped_out=False, quota=quota)
        claim = Claim(self.org, NameKind.EVENT_NAME, (f"n{mine}",), LIMIT, 3_600.0)
        spend = Spend(self.org, "one", RateKind.EVENT, now(), (Window(LIMIT, 3_600.0),))
        try:
            admitted, claimed, spent = await ledger.ask((admit, claim, spend), now(), PATIENCE)
        except LedgerDownError:
            self.unknown += 1
            return
        assert isinstance(admitted, Admitted)
        assert isinstance(claimed, Claimed)
        assert isinstance(spent, Spent)
        if not admitted.over_quota:
            await ledger.ask((Confirm(self.org, f"t{mine}", (f"s{mine}",), (), new=True),), now(), PATIENCE)
        for place, granted in enumerate((not admitted.over_quota, not claimed.refused, spent.passed)):
            self.granted[place] += granted

    async def are_up(self) -> None:
        """Wait until every process is answered again, by an org of its own."""
        async with asyncio.timeout(PATIENCE):
            for ledger in self._ledgers:
                while True:
                    try:
                        await ledger.ask((Claim(self.org, NameKind.USER_PROPERTY, ("up",), 9, 60.0),), now(), PATIENCE)
                        break
                    except LedgerDownError:
                        await asyncio.sleep(0.05)


@asynccontextmanager
async def fleet(redis: Mapping[str, Any]) -> AsyncIterator[Fleet]:
    ledgers = [RedisLedger(store_by(redis), "exact:", TIMEOUT) for _ in range(PROCESSES)]
    try:
        for each in ledgers:
            await each.start()
        yield Fleet(ledgers)
    finally:
        for each in ledgers:
            await each.close()


async def test_after_a_primary_was_killed_what_it_had_replicated_still_counts(sentinels: SentinelDeployment) -> None:
    async with fleet(sentinels.redis) as processes:
        await processes.use(LIMIT // 2)
        await asyncio.to_thread(_kill_primary, sentinels)
        await processes.are_up()
        await processes.ask_all()
        assert processes.granted == [LIMIT] * 3


def _kill_primary(deployment: SentinelDeployment) -> None:
    primary, number = deployment.primary, len(deployment.elections())
    await_replication(primary)
    primary.kill()
    deployment.elected(number)
    deployment.heal()


async def test_after_a_node_of_a_cluster_was_killed_what_it_had_replicated_still_counts(
    nodes: ClusterDeployment,
) -> None:
    async with fleet(nodes.redis) as processes:
        await processes.use(LIMIT // 2)
        await asyncio.to_thread(_kill_owner, nodes, processes.org)
        await processes.are_up()
        await processes.ask_all()
        assert processes.granted == [LIMIT] * 3


def _kill_owner(deployment: ClusterDeployment, org: str) -> None:
    owner = deployment.owner_of(org)
    await_replication(owner)
    owner.kill()
    deployment.replaced(owner)
    deployment.heal()


async def test_while_a_slot_moves_key_by_key_no_unit_is_granted_twice(nodes: ClusterDeployment) -> None:
    """What is asked meanwhile is answered by all keys or not at all."""
    async with fleet(nodes.redis) as processes:
        await processes.use(LIMIT // 2)
        slot = slot_of(processes.org)
        target = nodes.other_than(nodes.owner(slot))
        nodes.begin_migration(slot, target)
        asked = asyncio.create_task(processes.ask_all())
        while await asyncio.to_thread(nodes.move_keys, slot, target, 20):
            pass
        await asyncio.to_thread(nodes.end_migration, slot, target)
        await asked
        await asyncio.to_thread(nodes.settle)
        await processes.are_up()
        await processes.ask_all()
        assert processes.granted == [LIMIT] * 3
        assert processes.unknown == 0, "the slot moved within the time limit, so all could wait"
