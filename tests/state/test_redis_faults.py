"""The Redis form when its server is not there, does not answer, comes back empty, or is shared by processes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

import fsproxy
from fsproxy.clock import now
from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Claim,
    Claimed,
    Confirm,
    LedgerDownError,
    Mark,
    NameKind,
    QuotaTerms,
    Release,
)
from fsproxy.core.limits.page_clock import first_clock
from fsproxy.core.model import Instant
from fsproxy.state.redis.connections.batch import MOST_WAITING
from fsproxy.state.redis.connections.breaker import Breaker, StoreState
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.shared_clocks import SharedPageClocks
from fsproxy.state.redis.write_limits import WriteRate
from support import ledger_process
from support.ledgers import without_waiting
from support.valkey import DelayingProxy, ValkeyServer, running_valkey, server_at

LIMIT = 3.0
"""Of a round trip: a server that is there answers within it on a busy machine, too, or it would count as down."""
PATIENCE = 120.0


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A server that the test may kill."""
    with running_valkey() as server:
        yield server


class States(Breaker):
    """A breaker whose states can be waited for."""

    def __init__(self) -> None:
        super().__init__("redis")
        self.seen: list[StoreState] = []
        self._changed = asyncio.Event()

    def _change(self, state: StoreState) -> None:
        super()._change(state)
        self.seen.append(state)
        self._changed.set()

    async def reach(self, *states: StoreState) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.seen != list(states):
                self._changed.clear()
                await self._changed.wait()


UP, DOWN = StoreState.UP, StoreState.DOWN


@asynccontextmanager
async def running_ledger(url: str, limit: float = LIMIT) -> AsyncIterator[tuple[RedisLedger, States]]:
    states = States()
    ledger = RedisLedger(server_at(url), "faults:", limit, states)
    await ledger.start()
    try:
        yield ledger, states
    finally:
        await ledger.close()


def claim(*names: str, limit: int = 9) -> Claim:
    return Claim("o", NameKind.EVENT_NAME, names, limit, 3_600.0)


def admit(token: str, session: str) -> Admit:
    return Admit("o", token, session, "", False, QuotaTerms("c", 9, Instant(now() + 999), enforced=True))


async def ask(ledger: RedisLedger, *names: str) -> object:
    return (await ledger.ask((claim(*names),), now(), PATIENCE))[0]


async def test_a_server_that_is_not_there_at_the_start_is_found_once_it_is(own_valkey: ValkeyServer) -> None:
    own_valkey.kill()
    async with running_ledger(own_valkey.url) as (ledger, states):
        await states.reach(DOWN)
        with pytest.raises(LedgerDownError):
            await ask(ledger, "a")
        own_valkey.start()
        await states.reach(DOWN, UP)
        assert await ask(ledger, "a") == Claimed(frozenset(), 1)


async def test_a_server_that_dies_and_comes_back_empty_starts_anew(own_valkey: ValkeyServer) -> None:
    async with running_ledger(own_valkey.url) as (ledger, states):
        assert await ask(ledger, "a", "b") == Claimed(frozenset(), 2)
        own_valkey.kill()
        await states.reach(UP, DOWN)
        with pytest.raises(LedgerDownError):
            await ask(ledger, "c")
        assert without_waiting(ledger, (claim("a"),), now()) == (Claimed(frozenset(), 2),), "known here all the same"
        own_valkey.start()
        await states.reach(UP, DOWN, UP)
        assert without_waiting(ledger, (claim("a"),), now()) is None, "this one may not know it"
        assert await ask(ledger, "a") == Claimed(frozenset(), 1)


async def test_a_connection_that_was_cut_is_opened_anew_and_the_store_never_was_down(
    own_valkey: ValkeyServer,
) -> None:
    async with running_ledger(own_valkey.url) as (ledger, states):
        own_valkey.command("CLIENT", "KILL", "TYPE", "normal")
        async with asyncio.timeout(PATIENCE):
            while not ledger.links.breakers()[0].failures:
                await asyncio.sleep(0.005)
        assert await ask(ledger, "a") == Claimed(frozenset(), 1)
        assert states.seen == [UP]


async def test_a_paused_server_costs_one_time_limit_and_is_not_asked_again(own_valkey: ValkeyServer) -> None:
    async with running_ledger(own_valkey.url) as (ledger, states):
        own_valkey.pause()
        silent = await asyncio.gather(*(ask(ledger, f"n{n}") for n in range(50)), return_exceptions=True)
        assert all(isinstance(each, LedgerDownError) for each in silent)
        assert states.seen == [UP, DOWN]
        written = ledger.links.breakers()[0].round_trips
        with pytest.raises(LedgerDownError):
            await ask(ledger, "a")
        assert ledger.links.breakers()[0].round_trips == written
        own_valkey.resume()
        await states.reach(UP, DOWN, UP)
        assert isinstance(await ask(ledger, "a"), Claimed)


async def test_a_slow_server_is_given_up_and_one_within_the_limit_is_not(own_valkey: ValkeyServer) -> None:
    async with DelayingProxy(own_valkey.port) as slow, running_ledger(slow.url, LIMIT) as (ledger, states):
        slow.delay = 0.02
        assert await ask(ledger, "a") == Claimed(frozenset(), 1)
        slow.delay = 3 * LIMIT
        with pytest.raises(LedgerDownError):
            await ask(ledger, "b")
        assert states.seen == [UP, DOWN]
        slow.delay = 0.0
        await states.reach(UP, DOWN, UP)
        assert isinstance(await ask(ledger, "c"), Claimed)


async def test_a_caller_in_a_hurry_is_answered_in_time_and_the_store_is_not_down(own_valkey: ValkeyServer) -> None:
    async with DelayingProxy(own_valkey.port) as slow, running_ledger(slow.url, PATIENCE) as (ledger, states):
        slow.delay = 0.5
        with pytest.raises(LedgerDownError):
            await ledger.ask((claim("a"),), now(), 0.01)
        slow.delay = 0.0
        assert isinstance(await ask(ledger, "b"), Claimed)
        assert states.seen == [UP]


@pytest.mark.parametrize(
    ("no_writes", "writes"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["full", "replica"],
)
async def test_a_server_that_takes_no_writes_is_down_until_it_does(
    own_valkey: ValkeyServer, no_writes: tuple[str, ...], writes: tuple[str, ...]
) -> None:
    async with running_ledger(own_valkey.url) as (ledger, states):
        own_valkey.command(*no_writes)
        with pytest.raises(LedgerDownError):
            await ledger.ask((admit("t", "s"),), now(), PATIENCE)
        await states.reach(UP, DOWN)
        own_valkey.command(*writes)
        await states.reach(UP, DOWN, UP)
        (answer,) = await ledger.ask((admit("t", "s"),), now(), PATIENCE)
        assert isinstance(answer, Admitted)


async def test_bundles_of_sessions_that_were_not_told_are_told_again(own_valkey: ValkeyServer) -> None:
    mark = (Mark("o", "s", ""),)
    async with running_ledger(own_valkey.url) as (ledger, states):
        own_valkey.kill()
        await states.reach(UP, DOWN)
        with pytest.raises(LedgerDownError):
            await ledger.ask(mark, now(), PATIENCE)
        own_valkey.start()
        await states.reach(UP, DOWN, UP)
        assert without_waiting(ledger, mark, now()) == (None,)
        (answer,) = await ledger.ask((admit("t", "s"),), now(), PATIENCE)
        assert isinstance(answer, Admitted)
        assert answer.under_way


async def test_units_that_were_granted_just_before_their_server_was_lost_are_told_to_the_next_one(
    own_valkey: ValkeyServer,
) -> None:
    """As to a primary that had not got them. One is confirmed, one under way, one given back, one not known again."""
    async with running_ledger(own_valkey.url) as (ledger, states):
        for token, session in (("t1", "s1"), ("t2", "s2"), ("t3", "s3"), ("t4", "")):
            (answer,) = await ledger.ask((admit(token, session),), now(), PATIENCE)
            assert isinstance(answer, Admitted)
        await ledger.ask((Confirm("o", "t1", ("s1", "alias"), (), new=True),), now(), PATIENCE)
        await ledger.ask((Release("o", "t3"),), now(), PATIENCE)
        assert (await ledger.org_usage("o"))[0] == {"c": 3}
        own_valkey.command("CLIENT", "KILL", "TYPE", "normal")
        await until_told(ledger, {"c": 3})
        own_valkey.kill()
        await states.reach(UP, DOWN)
        with pytest.raises(LedgerDownError):
            await ledger.ask((Confirm("o", "t2", ("s2",), (), new=True),), now(), PATIENCE)
        own_valkey.start()
        await states.reach(UP, DOWN, UP)
        await until_told(ledger, {"c": 2})
        for session in ("s1", "alias", "s2"):
            (answer,) = await ledger.ask((admit(f"again {session}", session),), now(), PATIENCE)
            assert isinstance(answer, Admitted)
            assert answer.under_way
        assert (await ledger.org_usage("o"))[0] == {"c": 2}


async def until_told(ledger: RedisLedger, used: dict[str, int]) -> None:
    """Wait until the server that the ledger has reached anew has so many units."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(LedgerDownError):
                await ledger.ask((admit("x", "s1"),), now(), PATIENCE)
                if (await ledger.org_usage("o"))[0] == used:
                    return
            await asyncio.sleep(0.02)


async def test_with_the_store_down_each_process_keeps_pages_clocks_of_its_own(own_valkey: ValkeyServer) -> None:
    own_valkey.kill()
    async with running_ledger(own_valkey.url) as (ledger, states):
        await states.reach(DOWN)
        clocks = SharedPageClocks(ledger, WriteRate("page_clocks", 10_000, 10_000))
        clock = first_clock(5.0)
        assert clocks.fix("o", "p", 5.0, 5.0, now()) == clock
        assert clocks.asked("o", "p") is None
        assert clocks.fix("o", "p", 6.0, 6.0, now()) == clock
        assert clocks.find("o", "p") == clock


async def test_no_more_than_so_many_wait(own_valkey: ValkeyServer) -> None:
    async with running_ledger(own_valkey.url, PATIENCE) as (ledger, states):
        own_valkey.pause()
        waiting = [asyncio.ensure_future(ask(ledger, "a")) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(LedgerDownError):
            await ask(ledger, "a")
        assert ledger.links.breakers()[0].unavailable == 1
        own_valkey.resume()
        assert set(map(type, await asyncio.gather(*waiting))) == {Claimed}
        assert states.seen == [UP]


async def test_what_still_waits_at_the_end_is_told_so(own_valkey: ValkeyServer) -> None:
    async with running_ledger(own_valkey.url, PATIENCE) as (ledger, _):
        own_valkey.pause()
        waiting = asyncio.ensure_future(ask(ledger, "a"))
        await asyncio.sleep(0)
    with pytest.raises(LedgerDownError):
        await waiting


async def test_each_outage_is_known_with_its_reason_and_without_a_password() -> None:
    found = []
    with running_valkey("right-SECRET") as server:
        async with running_ledger(server.url.replace("right", "wrong")) as (_, states):
            await states.reach(DOWN)
            found += states.outages()
        async with running_ledger(server.url) as (ledger, states):
            await ask(ledger, "a")
            server.kill()
            await states.reach(UP, DOWN)
            server.start()
            await states.reach(UP, DOWN, UP)
            found += states.outages()
            assert states.outages() == []
    assert [each.reason for each in found] == ["WRONGPASS", "connection refused"]
    assert [each.ended is None for each in found] == [True, False]
    assert all(each.since <= (each.ended or each.since) for each in found)
    assert "SECRET" not in repr(found)


@pytest.mark.slow
async def test_processes_that_share_a_store_grant_exactly_the_limits(own_valkey: ValkeyServer) -> None:
    """Hundreds of sessions, names and calls at once, from three processes, 20 times over: never one more."""
    runs = 20
    source = str(Path(fsproxy.__file__).parents[1])
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            ledger_process.__file__,
            own_valkey.url,
            "exact:",
            str(runs),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": source},
        )
        for _ in range(3)
    ]
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    granted = [json.loads(out[out.index(b"[[") :]) for out, _ in outputs]
    totals = [[sum(part) for part in zip(*run, strict=True)] for run in zip(*granted, strict=True)]
    assert totals == [[ledger_process.SESSIONS, ledger_process.NAMES, ledger_process.CALLS]] * runs
