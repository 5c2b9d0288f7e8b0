"""Many things at once: idle connections, and floods of every kind of name that clients choose and we remember."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from fsproxy.config.schema import StateConfig
from fsproxy.core.limits.operations import Confirm
from fsproxy.proxy import data_plane
from fsproxy.state.memory.blocked_pages import BlockedPages
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.repeats import Repeats
from fsproxy.state.stores import Stores
from fsproxy.telemetry.ring import MOST_DECISIONS, MOST_FORWARDED
from support.in_process import InProcessProxy, in_process
from support.pieces import Replies, post, send_pieces
from support.raw_http import eventually, raw_client
from support.upstream import RecordingUpstream

GET = b"GET /s/x HTTP/1.1\r\nHost: a\r\n\r\n"
IDLE = 400
MOST = 50
"""How many of each kind of thing are remembered in these tests."""
FLOOD = 3 * MOST


async def test_hundreds_of_idle_connections_keep_nobody_from_being_answered() -> None:
    async with RecordingUpstream() as upstream, AsyncExitStack() as stack:
        config = {"upstream": {"url": upstream.url}, "server": {"keepalive": "10s"}}
        proxy = await stack.enter_async_context(in_process(config))
        silent = [await stack.enter_async_context(raw_client(proxy.port)) for _ in range(IDLE // 2)]
        kept = [await stack.enter_async_context(raw_client(proxy.port)) for _ in range(IDLE // 2)]
        for client in kept:
            assert (await client.ask(GET)).status == 200
        await eventually(lambda: len(proxy.server) == IDLE)
        assert (await send_pieces(proxy.port, [GET], 1)).statuses == (200,)
        assert upstream.connections == 1, "an idle client holds no connection to the upstream"
        for client in silent + kept:
            assert await client.closed(), "after server.keepalive"
        await eventually(lambda: len(proxy.server) == 0)


class Memories:
    """Return a configuration with small bounds of what is remembered."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger(
            Bounds(ids=MOST, reservations=MOST, admitted=MOST, names=MOST, orgs=MOST, rates=MOST)
        )
        self.blocked = BlockedPages(MOST)
        self.repeats = Repeats(MOST)
        self.clocks = PageClocks(MOST)

    def stores(self, config: StateConfig) -> Stores:
        return Stores(config.backend, self.ledger, self.blocked, self.repeats, self.clocks, self.ledger)


@asynccontextmanager
async def remembering(patch: pytest.MonkeyPatch) -> AsyncIterator[tuple[InProcessProxy, Memories]]:
    memories = Memories()
    patch.setattr(data_plane, "make_stores", memories.stores)
    async with RecordingUpstream() as upstream:
        filters = {"quota": {"sessions": 1_000_000}, "ramping": {"share": "99%"}}
        async with in_process({"upstream": {"url": upstream.url}, "filters": filters}) as proxy:
            yield proxy, memories


async def send(proxy: InProcessProxy, *requests: bytes) -> Replies:
    """Send them one after the other on one connection, without waiting for answers."""
    return await send_pieces(proxy.port, [b"".join(requests)], len(requests))


def page(number: int, org: str) -> dict[str, str]:
    ids = {"SessionId": f"s-{number}", "PageId": f"p-{number}", "UserId": f"u-{number}"}
    return {"OrgId": org, "Url": "https://a.example/", **ids}


async def test_a_flood_of_new_sessions_orgs_and_pages_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with remembering(monkeypatch) as (proxy, memories):
        for number in range(FLOOD):
            replies = await send(
                proxy,
                post("/rec/page", page(number, f"o-{number}")),
                post("/rec/page", page(number + FLOOD, "o-1"), "Cookie: fs_optout=1"),
            )
            assert replies.statuses in {(200, 202), (202, 202)}
        usage = memories.ledger.usage()
        assert (usage.ids, usage.orgs) == (MOST, MOST)
        assert usage.reservations <= MOST
        assert usage.admitted <= MOST
        assert memories.ledger.evicted()["ids"] > 0
        assert memories.ledger.evicted()["orgs"] > 0
        assert len(memories.blocked) == MOST
        # The newest are known. The flood displaced the oldest.
        replies = await send(proxy, post(f"/rec/bundle?OrgId=o-1&PageId=p-{2 * FLOOD - 1}", {}))
        assert replies.statuses == (202,)


async def test_a_fault_of_ours_behind_an_answer_is_no_second_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second answer would be taken for the answer to the next request."""
    async with remembering(monkeypatch) as (proxy, memories):

        def broken(*_: object) -> None:
            raise ValueError

        memories.ledger._do[Confirm] = broken
        replies = await send(proxy, post("/rec/page", page(1, "o-1")))
        assert replies.statuses == (200,)
        assert not replies.rest
        replies = await send_pieces(proxy.port, [post("/rec/page", page(2, "o-1")) + GET], 1, wait_for_end=True)
        assert replies.statuses == (200,)
        assert proxy.own_failures() == {("ingest",): 2}
        proxy.metrics.own_failures.clear()


async def test_a_flood_of_new_names_calls_and_upload_pages_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with remembering(monkeypatch) as (proxy, memories):
        for number in range(FLOOD):
            call = {"Kind": 8197, "When": 1, "Args": [f"Event {number}", json.dumps({f"a{number}_str": "b"})]}
            bundle = {"Seq": 1, "When": 1, "Evts": [call]}
            ids = f"OrgId=o-{number % 7}&UserId=u&SessionId=s-{number}&PageId=p-{number}&Seq=1"
            assert (await send(proxy, post(f"/rec/bundle?{ids}", bundle))).statuses == (200,)
        usage = memories.ledger.usage()
        assert 0 < usage.names <= MOST
        assert usage.rates == MOST
        assert memories.ledger.evicted()["names"] > 0
        assert memories.ledger.evicted()["rates"] > 0
        assert len(memories.clocks) == MOST
        assert len(memories.repeats.cache) == MOST


async def test_a_flood_of_anything_adds_no_label_and_no_endless_list(monkeypatch: pytest.MonkeyPatch) -> None:
    async with remembering(monkeypatch) as (proxy, _):

        def labels() -> int:
            metrics = proxy.metrics
            counters = [each for each in vars(metrics).values() if isinstance(each, dict)]
            return sum(len(each) for each in counters)

        async def some(numbers: range) -> None:
            for number in numbers:
                await send(proxy, post("/rec/page", page(number, f"o-{number}"), f"Origin: https://{number}.example"))
                await send(proxy, f"GET /s/{number}?{number} HTTP/1.1\r\nHost: {number}\r\n\r\n".encode())

        await some(range(MOST))
        before = labels()
        await some(range(MOST, FLOOD))
        assert labels() == before
        assert len(proxy.data_plane.recent._decisions) <= MOST_DECISIONS
        assert len(proxy.data_plane.recent._forwarded) <= MOST_FORWARDED
