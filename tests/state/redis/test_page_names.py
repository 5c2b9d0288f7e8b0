"""How many pages' names a process lets the shared store keep, and for how long (rules.md 5), with a real Valkey."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from fsproxy.clock import now
from fsproxy.core.limits.operations import UNCOUNTED, Claim, Claimed, NameKind
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.script import PAGE_NAME_SECONDS
from fsproxy.state.redis.write_limits import PAGE_NAME_WRITES, NewPages
from support.valkey import ValkeyServer, server_at


class Pages(NewPages):
    """On a clock that the test moves."""

    now = 1_000.0

    def clock(self) -> float:
        return self.now


@pytest.fixture
async def ledger(valkey: ValkeyServer, request: pytest.FixtureRequest) -> AsyncIterator[RedisLedger]:
    made = RedisLedger(server_at(valkey.url), f"{request.node.name}:", 30.0)
    await made.start()
    made.page_name_rate = Pages("page_names", 2, 3, PAGE_NAME_SECONDS)
    yield made
    await made.close()


async def refused(ledger: RedisLedger, page: str, *names: str, org: str = "o", limit: int = 10) -> set[str]:
    claim = Claim(org, NameKind.PAGE_PROPERTY, names, limit, 3_600.0, page, 1)
    (answer,) = await ledger.ask((claim,), now(), 30.0)
    assert isinstance(answer, Claimed)
    return set(answer.refused)


async def test_over_the_rate_new_pages_are_not_counted_and_known_ones_still_are(ledger: RedisLedger) -> None:
    for page in ("p1", "p2"):
        assert await refused(ledger, page, "a", "b") == {"b"}
    assert await refused(ledger, "p3", "a", "b") == set()
    assert await refused(ledger, "p3", "c", "d", limit=UNCOUNTED) == set()
    assert await refused(ledger, "p1", "b") == {"b"}
    assert await refused(ledger, "p4", "b", "a", org="other") == {"a"}
    assert await refused(ledger, "p5", "b", "a", org="third") == set()
    assert ledger.page_name_rate.skipped == 3
    ledger.page_name_rate.now += 1  # type: ignore[attr-defined]
    assert await refused(ledger, "p3", "a", "b") == {"b"}


async def test_what_the_org_may_use_is_counted_whether_or_not_the_page_is(ledger: RedisLedger) -> None:
    for page in ("p1", "p2", "p3", "p4"):
        await refused(ledger, page, f"of-{page}", limit=3)
    assert (await ledger.org_usage("o"))[1][NameKind.PAGE_PROPERTY] == 3


async def test_a_page_is_kept_for_a_quarter_of_an_hour_in_few_bytes(ledger: RedisLedger, valkey: ValkeyServer) -> None:
    names = tuple(f"a_property_with_a_name_of_some_length_{number}_str" for number in range(50))
    await ledger.ask((Claim("o", NameKind.PAGE_PROPERTY, names, 500, 3_600.0, "p", 50),), now(), 30.0)
    begin = ledger._prefix.encode()
    (key,) = (each for each in re.findall(rb"\r\n(\S+)", valkey.command("KEYS", "*:m:*")) if each.startswith(begin))

    def number(*command: str) -> int:
        return int(valkey.command(*command).strip(b":\r\n"))

    assert number("SCARD", key.decode()) == 50
    assert 0 < number("PTTL", key.decode()) <= PAGE_NAME_SECONDS * 1000
    assert number("MEMORY", "USAGE", key.decode()) < 500
    valkey.command("PEXPIRE", key.decode(), "5000")
    await ledger.ask((Claim("o", NameKind.PAGE_PROPERTY, names[:1], 500, 3_600.0, "p", 50),), now(), 30.0)
    assert number("PTTL", key.decode()) > 600_000


def test_the_pages_of_one_process_take_at_most_80_mb() -> None:
    _, of_all = PAGE_NAME_WRITES
    assert of_all * PAGE_NAME_SECONDS * 300 <= 81_000_000
