"""How many new names a process lets the shared store keep (rules.md 5), with a real Valkey."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from fsproxy.clock import now
from fsproxy.core.limits.operations import Claim, Claimed, NameKind
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.wire import org_base
from fsproxy.state.redis.write_limits import NEW_NAMES_BURST, NEW_NAMES_PER_SECOND, OLD_ORG_SECONDS, NewNames
from support.valkey import ValkeyServer, server_at

HOUR, DAY = 3_600, 86_400
RETENTION = 30.0 * DAY
prefixes = (f"names{n}:" for n in itertools.count())


class Names(NewNames):
    """On a clock that the test moves."""

    now = 1_000.0

    def clock(self) -> float:
        return self.now


@pytest.fixture
def prefix() -> str:
    return next(prefixes)


@pytest.fixture
async def ledger(valkey: ValkeyServer, prefix: str) -> AsyncIterator[RedisLedger]:
    made = RedisLedger(server_at(valkey.url), prefix, 30.0)
    await made.start()
    made.new_names = made._local.new_names = Names()
    yield made
    await made.close()


async def claim(ledger: RedisLedger, org: str, *names: str, limit: int = 10) -> Claimed:
    (answer,) = await ledger.ask((Claim(org, NameKind.EVENT_NAME, names, limit, RETENTION),), now(), 30.0)
    assert isinstance(answer, Claimed)
    return answer


def test_a_burst_is_free_and_then_so_many_a_second() -> None:
    names = Names()
    assert names.has_room("a")
    names.learn("a", NEW_NAMES_BURST, 0.0)
    assert not names.has_room("b")
    names.now += 1
    assert names.has_room("b")
    names.learn("b", NEW_NAMES_PER_SECOND, 0.0)
    assert not names.has_room("b")
    assert names.skipped == 2


def test_what_one_claim_took_too_much_is_made_up_for() -> None:
    names = Names()
    names.learn("a", NEW_NAMES_BURST + 10 * NEW_NAMES_PER_SECOND, 0.0)
    names.now += 10
    assert not names.has_room("a")
    names.now += 1
    assert names.has_room("a")


def test_orgs_that_were_there_before_a_flood_have_an_allowance_of_their_own() -> None:
    names = Names()
    names.learn("old", 1, OLD_ORG_SECONDS)
    for number in range(200):
        names.learn(f"flood-{number}", NEW_NAMES_BURST, 0.0)
    assert not names.has_room("new")
    assert names.has_room("old")


def test_a_known_name_costs_nothing() -> None:
    names = Names()
    for _ in range(10 * NEW_NAMES_BURST):
        names.learn("a", 0, 0.0)
    assert names.has_room("a")


async def test_names_of_a_new_org_are_kept_for_two_hours_and_longer_the_older_it_is(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    base = org_base(prefix, "o")

    async def life(age: float) -> float:
        if age:
            valkey.command("SET", f"{base}o", str(now() - age))
        await claim(ledger, "o", f"name-{age}")
        both = [int(valkey.command("TTL", f"{base}{key}")[1:]) for key in ("n:event_name", "o")]
        assert abs(both[0] - both[1]) <= 30
        return both[0]

    assert await life(0) == pytest.approx(2 * HOUR, abs=60)
    assert await life(1 * HOUR) == pytest.approx(4 * HOUR, abs=60)
    assert await life(2 * DAY) == pytest.approx(8 * DAY, abs=60)
    assert await life(20 * DAY) == pytest.approx(30 * DAY, abs=60)


async def test_names_that_an_earlier_version_kept_are_kept_as_long_as_it_said(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    key = f"{org_base(prefix, 'o')}n:event_name"
    valkey.command("ZADD", key, str(now()), "known")
    valkey.command("EXPIRE", key, str(29 * DAY))
    assert (await claim(ledger, "o", "known", "new", limit=1)).refused == {"new"}
    assert int(valkey.command("TTL", key)[1:]) > 28 * DAY


async def test_a_flood_of_orgs_leaves_bounded_names_and_the_limits_of_older_orgs_in_force(
    ledger: RedisLedger, valkey: ValkeyServer, prefix: str
) -> None:
    valkey.command("SET", f"{org_base(prefix, 'old')}o", str(now() - DAY))
    assert (await claim(ledger, "old", "a", "b", limit=2)).refused == frozenset()
    many = tuple(f"n{number}" for number in range(5_000))
    for number in range(20):
        await claim(ledger, f"flood-{number}", *many, limit=5_000)
    found = valkey.command("KEYS", f"{prefix}*flood*n:event_name").split()
    assert len([key for key in found if key.startswith(prefix.encode())]) == NEW_NAMES_BURST // 5_000
    assert ledger.new_names.skipped == 20 - NEW_NAMES_BURST // 5_000
    assert (await claim(ledger, "flood-19", *many, limit=1)).refused == frozenset(), "not limited, and not kept"
    assert (await claim(ledger, "old", "a", "c", limit=2)).refused == {"c"}
