"""The lists of several processes over a real Valkey: alike soon, and kept through its loss (rules.md 10)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
from redis.asyncio import Redis

from fsproxy.clock import now
from fsproxy.core.limits.operations import Mark, Recall, Recalled
from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import ListChange, entry_of
from fsproxy.state.redis import shared_lists
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.shared_lists import SharedLists
from support.valkey import ValkeyServer, running_valkey, server_at

USERS, IP = FilterName.DELETING_USER, FilterName.IP
_prefixes = count(1)


class Process:
    """A process's lists."""

    def __init__(self, url: str, prefix: str) -> None:
        self.prefix = prefix
        self.ledger = RedisLedger(server_at(url), prefix, 5.0)
        self.lists = self.ledger.lists
        self.shared = SharedLists(self.ledger)

    async def change(
        self, name: FilterName, *add: str, remove: tuple[str, ...] = (), life: float = 600.0
    ) -> frozenset[FilterName]:
        at = now()
        entries = (tuple(entry_of(name, each) for each in texts) for texts in (add, remove))
        self.lists.change(ListChange(name, *entries, at + life, at))
        return await self.shared.exchange()

    def has(self, *uids: str) -> list[bool]:
        return [self.lists.by_name[USERS].has_user(each, now()) for each in uids]


@asynccontextmanager
async def processes(url: str, many: int = 2) -> AsyncIterator[list[Process]]:
    prefix = f"lists{next(_prefixes)}:"
    made = [Process(url, prefix) for _ in range(many)]
    for each in made:
        await each.ledger.start()
    try:
        yield made
    finally:
        for each in made:
            await each.ledger.close()


async def test_what_one_process_changes_the_others_take_in(valkey: ValkeyServer) -> None:
    async with processes(valkey.url, 3) as (one, other, late):
        await one.change(USERS, "ann", "ben")
        await one.change(IP, "2001:db8::/32")
        assert await other.shared.exchange() == {USERS, IP}
        assert other.has("ann", "ben", "carl") == [True, True, False]
        assert [row.entry for row in other.lists.rows(IP)] == ["2001:db8::/32"]
        await other.change(USERS, remove=("ann",))
        assert await one.shared.exchange() == {USERS}
        assert await one.shared.exchange() == frozenset(), "nothing is news twice"
        await late.shared.exchange()
        assert one.has("ann", "ben") == late.has("ann", "ben") == [False, True]
        assert [each.lists.unwritten for each in (one, other, late)] == [0, 0, 0]


async def test_long_lists_come_in_parts(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_lists, "AT_ONCE", 7)
    users = [f"user-{number}" for number in range(50)]
    async with processes(valkey.url) as (one, other):
        await one.change(USERS, *users)
        await other.shared.exchange()
        assert all(other.has(*users))


async def test_all_keys_expire_and_none_holds_a_uid(valkey: ValkeyServer) -> None:
    async with processes(valkey.url, 1) as (one,), Redis.from_url(valkey.url) as redis:
        await one.change(USERS, "ann@example.com")
        keys = [key async for key in redis.scan_iter(match=f"{one.prefix}*lists*")]
        assert len(keys) == 3
        for key in keys:
            assert await redis.pttl(key) > 0
            assert b"ann@" not in await redis.dump(key)


async def test_ended_rows_leave_the_store(valkey: ValkeyServer) -> None:
    async with processes(valkey.url) as (one, other):
        await one.change(USERS, "ann", life=0.05)
        async with asyncio.timeout(60):
            while one.has("ann") == [True]:
                await asyncio.sleep(0.01)
        await one.change(USERS, "ben")
        await other.shared.exchange()
        assert [each.live for each in other.lists.by_name.values()].count(1) == 1
        assert other.has("ann", "ben") == [False, True]


async def test_while_the_store_is_down_the_lists_stay_and_it_gets_what_it_missed_and_what_it_lost() -> None:
    with running_valkey() as valkey:
        async with processes(valkey.url) as (one, other):
            await one.change(USERS, "ann")
            await other.shared.exchange()
            valkey.kill()
            await one.change(USERS, "ben", remove=("ann",))
            assert (one.has("ann", "ben"), one.lists.unwritten) == ([False, True], 2)
            await other.shared.exchange()
            assert other.has("ann", "ben") == [True, False]
            valkey.start()  # empty
            async with asyncio.timeout(60):
                while other.has("ann", "ben") != [False, True] or one.lists.unwritten or other.lists.unwritten:
                    await one.shared.exchange()
                    await other.shared.exchange()
                    await asyncio.sleep(0.02)


async def test_a_store_that_was_emptied_gets_the_rows_of_all_again() -> None:
    with running_valkey() as own:
        async with processes(own.url, 3) as (one, other, late):
            await one.change(USERS, "ann")
            await other.change(USERS, "ben")
            own.command("FLUSHALL")
            await other.change(USERS, "carl")
            await one.shared.exchange()
            await late.shared.exchange()
            assert late.has("ann", "ben", "carl") == [True, True, True]


async def test_a_listed_user_who_is_named_in_a_session_is_known_to_all_processes_soon(valkey: ValkeyServer) -> None:
    """Another process may have heard a moment ago that the session has no uid, and believes that for a minute."""
    recall, at = Recall("o", "s", ""), now()
    async with processes(valkey.url) as (one, other):
        for each in (one, other):
            await each.shared.exchange()
        assert await other.ledger.ask((recall,), at) == (Recalled(()),)
        await one.ledger.ask((Mark("o", "s", "", 7),), at)
        await one.shared.exchange()
        assert await other.shared.exchange() == frozenset(), "the uid of anybody else is no news"
        await one.ledger.ask((Mark("o", "s", "", 7, listed=True),), at)
        await one.shared.exchange()
        assert await other.shared.exchange() == {USERS}
        other.ledger.forget_uids()
        assert await other.ledger.ask((recall,), at) == (Recalled((7,)),)
        assert await one.shared.exchange() == {USERS}
        assert await one.shared.exchange() == frozenset()
