"""Visitors whom a share has admitted, as Redis keeps them: many of them in little memory (rules.md 1 and 5)."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from redis import Redis

from fsproxy.core.limits.operations import Admit, Admitted, Confirm
from fsproxy.core.model import Instant
from fsproxy.state.memory.keys import KeyKind, key_of
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.script import ADMITTED_IN_SET
from fsproxy.state.redis.wire import org_base
from support.ledgers import DAY, ORG, START, ValkeyStore
from support.valkey import ValkeyServer

AT_ONCE = 500


@pytest.fixture
def store(valkey: ValkeyServer) -> Iterator[ValkeyStore]:
    made = ValkeyStore({"url": valkey.url})
    yield made
    made.close()


def user(number: int) -> str:
    return str(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128))


def remember(store: ValkeyStore, first: int, last: int, now: float = START) -> None:
    """So many first visits under a share are answered."""

    async def confirmed() -> None:
        ledger: RedisLedger = store.ledger
        for start in range(first, last, AT_ONCE):
            visitors = tuple(user(number) for number in range(start, min(start + AT_ONCE, last)))
            await ledger.ask((Confirm(ORG, "t", (), (), new=True, visitors=visitors),), Instant(now))

    store._loop.run_until_complete(confirmed())


def passes(store: ValkeyStore, visitor: str, now: float) -> bool:
    (answer,) = store.ask((Admit(ORG, f"t {visitor}", "", "", True, None, ramped_user=visitor),), Instant(now))
    assert isinstance(answer, Admitted)
    return answer.user_admitted


def keys(store: ValkeyStore, client: Redis) -> list[bytes]:
    return list(client.scan_iter(f"{org_base(store.ledger._prefix, ORG)}a:*", count=10_000))


def test_many_visitors_take_a_few_bytes_each_and_nobody_else_passes(store: ValkeyStore, valkey: ValkeyServer) -> None:
    client = Redis(port=valkey.port)
    remember(store, 0, 1)  # the org's own keys
    before = client.memory_stats()["total.allocated"]
    remember(store, 1, 40 * ADMITTED_IN_SET)
    each = (client.memory_stats()["total.allocated"] - before) / (40 * ADMITTED_IN_SET)
    assert each < 25, "8 bytes, and the sets that have only begun to fill"
    found = keys(store, client)
    assert {client.object("encoding", key) for key in found} == {b"intset"}
    assert max(map(client.scard, found)) == ADMITTED_IN_SET
    assert sum(map(client.scard, found)) == 40 * ADMITTED_IN_SET
    assert min(map(client.ttl, found)) > 400 * DAY
    later = START + 399 * DAY
    assert all(passes(store, user(number), later) for number in range(0, 40 * ADMITTED_IN_SET, 997))
    assert not any(passes(store, f"stranger-{number}", later) for number in range(50))


def test_who_comes_again_is_kept_for_longer_and_counted_once_in_a_period(
    store: ValkeyStore, valkey: ValkeyServer
) -> None:
    client = Redis(port=valkey.port)
    for day in (0, 1, 150, 150, 400, 799):
        if day == 0:
            remember(store, 0, 1)
        assert passes(store, user(0), START + day * DAY)
    assert sum(map(client.scard, keys(store, client))) == 4
    assert not passes(store, user(0), START + (799 + 500) * DAY)


def test_the_form_of_an_earlier_version_is_read_and_brought_into_this_one(
    store: ValkeyStore, valkey: ValkeyServer
) -> None:
    """Version 1 of the keys: one for each visitor, with the day. They expire by themselves."""
    client = Redis(port=valkey.port)
    old = f"{org_base(store.ledger._prefix, ORG)}a:{key_of(KeyKind.ADMITTED, ORG, 'u'):015x}"
    client.set(old, int(START // DAY), px=1_000_000)
    assert not passes(store, "u", START + 401 * DAY)
    assert passes(store, "u", START + 399 * DAY)
    client.delete(old)
    assert passes(store, "u", START + 798 * DAY)
