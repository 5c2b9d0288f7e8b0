"""What hostile bodies cost, as a ratio to harmless ones of the same size (rules.md 4). Costs are steps, not seconds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from fsproxy.core.client_api.validation.learned import SIGHTINGS
from support.in_process import InProcessProxy, in_process
from support.steps import counted
from support.upstream import RecordingUpstream

SIZE = 1_000_000
COUNTED = 5
"""Times that a work is counted. The cheapest counts: timers have no part in it."""
ONES = b'{"OrgId":"o","Url":"https://a.example.com/","X":"\\ud800","a":[%b1]}' % (b"1," * (SIZE // 2))
TEXT = b'{"OrgId":"o","Url":"https://a.example.com/","X":"%b"}' % (b"x" * SIZE)
BUNDLE = "/rec/bundle/v2?OrgId=o&UserId=u&SessionId=s&PageId=p&Seq=1"


@dataclass
class Scene:
    """A data plane in front of an upstream, both on the test's event loop."""

    proxy: InProcessProxy
    upstream: RecordingUpstream
    http: aiohttp.ClientSession

    async def cost(self, work: Callable[[], Awaitable[object]], *, before: int = 2, on_loop: bool = False) -> int:
        """The steps of the proxy's that ``work`` takes, when it was done so often ``before``.

        If it is to stay ``on_loop``, steps in a thread fail the test.
        """
        for _ in range(before):
            await work()
        found = []
        for _ in range(COUNTED):
            with counted() as steps:
                await work()
            assert not (on_loop and steps.in_threads)
            found.append(steps.taken)
        return min(found)

    async def send(self, target: str, body: bytes) -> tuple[int, str]:
        """Status, and the number of rejections that the answer tells. The request is recorded when this returns."""
        async with self.http.post(self.proxy.url + target, data=body) as response:
            await response.read()
        await self.proxy.idle()
        return response.status, response.headers.get("FSProxy-Rejected", "0")


@asynccontextmanager
async def scene(config: Mapping[str, Any] | None = None) -> AsyncIterator[Scene]:
    async with (
        RecordingUpstream() as upstream,
        in_process({"upstream": {"url": upstream.url}, **(config or {})}) as proxy,
        aiohttp.ClientSession() as http,
    ):
        yield Scene(proxy, upstream, http)


async def test_a_page_of_many_values_costs_a_few_times_what_one_long_text_does() -> None:
    """Half an emoji in a value once cost a Python call, 40 times the price of the text."""
    async with scene() as at:

        async def cost(body: bytes) -> int:
            async def ask() -> None:
                assert await at.send("/rec/page", body) == (200, "0")

            return await at.cost(ask)

        assert await cost(ONES) < 2 * await cost(TEXT)


async def test_a_page_frame_of_many_values_costs_a_few_times_what_one_long_text_does() -> None:
    async with scene({"filters": {"domain": {"rules": [{"block": "a.example.com"}]}}}) as at:

        async def cost(body: bytes) -> int:
            frame = b'{"Cmd":1,"Page":%b,"Seq":1}' % body
            async with at.http.ws_connect(f"{at.proxy.url}/rec/sock", max_msg_size=0) as socket:

                async def ask() -> None:
                    await socket.send_str(frame.decode())
                    assert json.loads(await socket.receive_str(timeout=120))["Fail"]["Status"] == 202

                return await at.cost(ask)

        assert await cost(ONES) < 2 * await cost(TEXT)


@pytest.mark.parametrize("made_up", [False, True])
async def test_an_event_of_refused_names_costs_a_few_times_a_good_one(made_up: bool) -> None:  # noqa: FBT001 - parametrized
    """200 properties below 50 objects, all over the org's limit. Each was once searched from the root, and twice."""
    config = {"client_api": {"cardinality": {"event_properties": 200}, "rate": {"event": ["1000000/s"]}}}
    async with scene(config) as at:
        good = await cost_of_events(at, "good", fresh=False, refused=0)
        assert await cost_of_events(at, "bad", fresh=made_up, refused=200) < 5 * good


async def cost_of_events(at: Scene, of: str, *, fresh: bool, refused: int) -> int:
    """One bundle with an event of 20 KB."""
    rounds = 0

    async def ask() -> None:
        nonlocal rounds
        rounds += 1
        name = f"{of}{rounds if fresh else ''}"
        text = compact({f"{name}_property_{number}_str": "v" * 70 for number in range(200)})
        event = {"Kind": 8197, "Args": ["E", '{"o":' * 50 + text + "}" * 50], "When": rounds}
        status, _ = await at.send(BUNDLE, compact({"Seq": rounds, "When": 1, "Evts": [event]}).encode())
        assert status == 200
        assert at.upstream.received[-1].body.count(b"_property_") == 200 - refused

    return await at.cost(ask, on_loop=True)


async def test_a_direct_event_of_refused_names_costs_a_few_times_a_good_one() -> None:
    """600 properties of ever new events. Their shapes once displaced each other, and each call went to a thread nine times."""
    limits = {"event_names": 10_000, "event_properties": 600}
    config = {"client_api": {"cardinality": limits, "rate": {"event": ["1000000/s"]}}}
    properties = {f"property_{number}_str": "v" * 20 for number in range(600)}
    async with scene(config) as at:
        rounds = 0

        async def cost(*, refused: int) -> int:
            async def ask() -> None:
                nonlocal rounds
                rounds += 1
                name = f"Event {rounds}" if refused else "Event"
                body = compact({"name": name, "properties": properties}).encode()
                assert await at.send("/client/event?OrgId=o&SessionId=s", body) == (200, str(refused))

            return await at.cost(ask, before=SIGHTINGS, on_loop=True)

        good = await cost(refused=0)
        assert await cost(refused=600) < 8 * good


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
