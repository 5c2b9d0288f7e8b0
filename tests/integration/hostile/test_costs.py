"""What hostile bodies cost, as a ratio to harmless ones of the same size (rules.md 4)."""

from __future__ import annotations

import json

import pytest

from support.cpu import cheapest, needs_cpu_clock
from support.rig import Rig, running_rig

pytestmark = needs_cpu_clock

SIZE = 1_000_000
ROUNDS = 10
ONES = b'{"OrgId":"o","Url":"https://a.example.com/","X":"\\ud800","a":[%b1]}' % (b"1," * (SIZE // 2))
TEXT = b'{"OrgId":"o","Url":"https://a.example.com/","X":"%b"}' % (b"x" * SIZE)


async def test_a_page_of_many_values_costs_a_few_times_what_one_long_text_does() -> None:
    """Half an emoji in a value once cost a Python call, 40 times the price of the text."""
    async with running_rig() as rig:

        async def cost(body: bytes) -> float:
            async def ask() -> None:
                assert (await rig.send("/rec/page", body)).status == 200

            return await cheapest(rig.proxy.process.pid, ask, ROUNDS)

        assert await cost(ONES) < 10 * await cost(TEXT)


async def test_a_page_frame_of_many_values_costs_a_few_times_what_one_long_text_does() -> None:
    async with running_rig({"filters": {"domain": {"rules": [{"block": "a.example.com"}]}}}) as rig:

        async def cost(body: bytes) -> float:
            frame = b'{"Cmd":1,"Page":%b,"Seq":1}' % body
            async with rig.http.ws_connect(f"{rig.proxy.url}/rec/sock", max_msg_size=0) as socket:

                async def ask() -> None:
                    await socket.send_str(frame.decode())
                    assert json.loads(await socket.receive_str(timeout=120))["Fail"]["Status"] == 202

                return await cheapest(rig.proxy.process.pid, ask, ROUNDS)

        assert await cost(ONES) < 10 * await cost(TEXT)


@pytest.mark.parametrize("made_up", [False, True])
async def test_an_event_of_refused_names_costs_a_few_times_a_good_one(made_up: bool) -> None:  # noqa: FBT001 - parametrized
    """200 properties below 50 objects, all over the org's limit. Each was once searched from the root, and twice."""
    config = {"client_api": {"cardinality": {"event_properties": 200}, "rate": {"event": ["1000000/s"]}}}
    async with running_rig(config) as rig:
        good = await cost_of_events(rig, "good", fresh=False, refused=0)
        assert await cost_of_events(rig, "bad", fresh=made_up, refused=200) < 6 * good


async def cost_of_events(rig: Rig, of: str, *, fresh: bool, refused: int) -> float:
    """One bundle with an event of 20 KB."""
    rounds = 0

    async def ask() -> None:
        nonlocal rounds
        rounds += 1
        name = f"{of}{rounds if fresh else ''}"
        text = compact({f"{name}_property_{number}_str": "v" * 70 for number in range(200)})
        event = {"Kind": 8197, "Args": ["E", '{"o":' * 50 + text + "}" * 50], "When": rounds}
        answer = await rig.bundle(body=compact({"Seq": rounds, "When": 1, "Evts": [event]}).encode())
        assert answer.status == 200
        assert rig.forwarded(answer)[0].body.count(b"_property_") == 200 - refused

    await ask()
    return await cheapest(rig.proxy.process.pid, ask, 25)


async def test_a_direct_event_of_refused_names_costs_a_few_times_a_good_one() -> None:
    """600 properties of ever new events. Their shapes once displaced each other, and each call went to a thread nine times."""
    limits = {"event_names": 10_000, "event_properties": 600}
    config = {"client_api": {"cardinality": limits, "rate": {"event": ["1000000/s"]}}}
    properties = {f"property_{number}_str": "v" * 20 for number in range(600)}
    async with running_rig(config) as rig:
        rounds = 0

        async def cost(*, refused: int) -> float:
            async def ask() -> None:
                nonlocal rounds
                rounds += 1
                name = f"Event {rounds}" if refused else "Event"
                body = compact({"name": name, "properties": properties}).encode()
                answer = await rig.send("/client/event?OrgId=o&SessionId=s", body)
                assert answer.status == 200
                assert answer.headers.get("FSProxy-Rejected", "0") == str(refused)

            for _ in range(3):
                await ask()
            return await cheapest(rig.proxy.process.pid, ask, 25)

        good = await cost(refused=0)
        assert await cost(refused=600) < 5 * good


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
