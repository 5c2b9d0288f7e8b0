"""A store that has lost what it had is found out, by every process, also on a connection that lives on (rules.md 5)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from redis import Redis

from fsproxy.core.limits.operations import Claim, Claimed, NameKind
from fsproxy.core.model import Instant
from fsproxy.state.redis.connections.epochs import OLDER_SECONDS, Epochs
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.script import EPOCH_SECONDS
from support.ledgers import START, fresh_org
from support.valkey import ValkeyServer, running_valkey, server_at


@pytest.fixture(scope="module")
def own() -> Iterator[ValkeyServer]:
    """A server that may be emptied."""
    with running_valkey() as server:
        yield server


class Process:
    """A ledger, and what it found out."""

    def __init__(self, ledger: RedisLedger) -> None:
        self.ledger = ledger
        self.epochs = Epochs(ledger.links.servers, ledger.forget)
        self.key = f"{ledger.links.servers()[0][0]}epoch"

    async def losses(self) -> list[float | None]:
        await self.epochs.poll()
        return [each.seconds for each in self.epochs.losses]


@pytest_asyncio.fixture
async def two(own: ValkeyServer) -> AsyncIterator[tuple[Process, Process]]:
    Redis(port=own.port).flushall()
    made = [Process(RedisLedger(server_at(own.url), "epochs:", 30.0)) for _ in range(2)]
    for each in made:
        await each.ledger.start()
    yield made[0], made[1]
    for each in made:
        await each.ledger.close()


async def test_one_that_begins_or_goes_on_has_lost_nothing(two: tuple[Process, Process], own: ValkeyServer) -> None:
    for each in (*two, *two):
        assert await each.losses() == []
    assert two[0].epochs.kept_since == two[1].epochs.kept_since
    left = Redis(port=own.port).ttl(two[0].key)
    assert EPOCH_SECONDS - 60 < left <= EPOCH_SECONDS


async def test_one_that_was_emptied_is_found_out_once_by_each_process(
    two: tuple[Process, Process], own: ValkeyServer
) -> None:
    for each in two:
        await each.losses()
    since = two[0].epochs.kept_since
    Redis(port=own.port).flushall()
    for each in (*two, *two):
        assert await each.losses() == [None]
    assert two[0].epochs.kept_since != since
    assert two[0].epochs.kept_since == two[1].epochs.kept_since
    assert [each.epochs.emptied for each in two] == [1, 1]
    assert {sample.labels["kind"]: sample.value for family in two[0].epochs.collect() for sample in family.samples} == {
        "empty": 1,
        "older": 0,
    }


async def test_one_that_went_back_to_an_older_state_is_told_by_how_much(
    two: tuple[Process, Process], own: ValkeyServer
) -> None:
    client = Redis(port=own.port)
    await two[0].losses()
    await two[1].losses()
    made, noted = client.get(two[0].key).split()[:2]  # type: ignore[union-attr]
    client.set(two[0].key, b"%s %f" % (made, float(noted) - OLDER_SECONDS + 0.5), px=60_000)
    assert await two[0].losses() == [], "a replica may be a little behind"
    client.set(two[0].key, b"%s %f" % (made, float(noted) - 600), px=60_000)
    for each in (*two, *two):
        (seconds,) = await each.losses()
        assert seconds is not None
        assert 600 <= seconds < 630
        assert (each.epochs.emptied, each.epochs.aged) == (0, 1)
    client.set(two[0].key, b"%s %f" % (made, float(noted) - 600), px=60_000)
    for each in (two[1], two[0]):
        assert len(await each.losses()) == 2, "the older state knows nothing of the first time"


async def test_a_server_whose_clock_is_behind_the_last_ones_has_lost_nothing(
    two: tuple[Process, Process], own: ValkeyServer
) -> None:
    client = Redis(port=own.port)
    await two[0].losses()
    made, noted = client.get(two[0].key).split()[:2]  # type: ignore[union-attr]
    client.set(two[0].key, b"%s %f" % (made, float(noted) + 3_600), px=60_000)
    for each in (*two, *two):
        assert await each.losses() == []


async def test_what_was_learned_from_it_is_forgotten(two: tuple[Process, Process], own: ValkeyServer) -> None:
    process, org = two[0], fresh_org()

    async def claimed(*names: str) -> Any:
        claim = Claim(org, NameKind.EVENT_NAME, names, 2, 1e6)
        return (await process.ledger.ask((claim,), Instant(START)))[0]

    assert await claimed("a", "b") == Claimed(frozenset(), 2)
    await process.losses()
    Redis(port=own.port).flushall()
    assert await process.losses() == [None]
    assert await claimed("b") == Claimed(frozenset(), 1), "asked, and counted anew"


async def test_one_that_is_down_is_not_asked_and_what_is_known_of_it_stays(
    two: tuple[Process, Process], own: ValkeyServer
) -> None:
    process = two[0]
    await process.losses()
    since, unavailable = process.epochs.kept_since, process.ledger.links.breakers()[0].unavailable
    process.ledger.links.breakers()[0].failed("it is tested")
    assert await process.losses() == []
    assert (process.epochs.kept_since, process.ledger.links.breakers()[0].unavailable) == (since, unavailable)
    process.ledger.links.breakers()[0].recovered()
    assert await process.losses() == []
