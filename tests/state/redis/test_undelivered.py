"""What the store could not be told of reservations."""

from __future__ import annotations

import asyncio

import pytest

from fsproxy.clock import now
from fsproxy.core.limits.operations import Confirm, Mark, Operation, Release
from fsproxy.core.model import Instant
from fsproxy.state.memory.reservations import LAPSED_SECONDS
from fsproxy.state.redis import undelivered
from fsproxy.state.redis.undelivered import Undelivered


class Store:
    """Takes what is sent, unless it is down."""

    def __init__(self) -> None:
        self.sent: list[Operation] = []
        self.arrived = asyncio.Event()
        self.down = {"a", "b"}
        self.kept = Undelivered(self.send, lambda org: org in self.down)

    def send(self, operation: Operation, since: Instant) -> None:
        assert now() - since < LAPSED_SECONDS
        self.sent.append(operation)
        self.arrived.set()


def confirm(org: str, token: str, *, held: bool = True) -> Confirm:
    return Confirm(org, token, ("s",), (), new=True, held=held)


async def test_it_is_sent_in_order_once_the_store_of_its_org_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undelivered, "EVERY_SECONDS", 0.0)
    store = Store()
    told = [confirm("a", "1"), Release("a", "2"), confirm("a", "3")]
    for each in (*told, confirm("b", "4")):
        store.kept.keep(each, now())
    store.down.remove("a")
    async with asyncio.timeout(60):
        await store.arrived.wait()
    assert store.sent == told
    assert ("a" in store.kept, "b" in store.kept) == (False, True)
    store.kept.close()


async def test_what_goes_first_is_kept_once_however_often_connections_are_made() -> None:
    store, granted = Store(), [confirm("a", str(number)) for number in range(undelivered.MOST // 2)]
    for _ in range(3):
        store.kept.keep_first(granted, now())
    store.kept.keep(Release("a", "own"), now())
    store.kept.deliver("a")
    assert store.sent == [*granted, Release("a", "own")]
    store.kept.close()
    store.kept.keep_first(granted, now())
    assert "a" not in store.kept


async def test_only_what_tells_of_a_reservation_is_kept() -> None:
    store = Store()
    store.kept.keep(Mark("a", "s", ""), now())
    store.kept.keep(confirm("a", "1", held=False), now())
    assert "a" not in store.kept


async def test_what_the_store_has_forgotten_is_not_sent() -> None:
    store = Store()
    store.kept.keep(confirm("a", "1"), Instant(now() - LAPSED_SECONDS))
    store.kept.keep(confirm("a", "2"), now())
    store.kept.deliver("a")
    assert store.sent == [confirm("a", "2")]
    store.kept.close()


async def test_there_is_an_end_to_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undelivered, "MOST", 2)
    store = Store()
    for number in range(5):
        store.kept.keep(confirm("a", str(number)), now())
    store.kept.deliver("a")
    assert store.sent == [confirm("a", "0"), confirm("a", "1")]
    store.kept.keep(confirm("a", "6"), now())
    assert "a" in store.kept, "there is room again"
    store.kept.close()


async def test_after_the_end_nothing_is_kept() -> None:
    store = Store()
    store.kept.close()
    store.kept.keep(confirm("a", "1"), now())
    assert "a" not in store.kept
