"""Our own failure while a body is read, judged, limited or cut never costs data (rules.md 3)."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.state.memory.ledger import MemoryLedger
from support.in_process import in_process
from support.upstream import RecordingUpstream

CALL = {"Kind": 8197, "Args": ["Bought", '{"a_int":"x","b_int":1}'], "When": 1}
BUNDLE = json.dumps({"Seq": 1, "When": 0, "Evts": [CALL]}).encode()
LARGE = json.dumps({"Seq": 1, "When": 0, "Evts": [CALL] * 2000}).encode()
EVENT = b'{"name":"Bought","properties":{"a_int":"x","b_int":1}}'
BODIES = [
    ("/rec/bundle/v2?PageId=p", BUNDLE),
    ("/rec/bundle?ContentEncoding=gzip&PageId=p", gzip.compress(BUNDLE, mtime=0)),
    ("/rec/bundle/v2?ContentEncoding=gzip&PageId=p", gzip.compress(LARGE, mtime=0)),
    ("/rec/event?PageId=p", BUNDLE),
    ("/client/event?OrgId=o", EVENT),
    ("/v2/events?", b'{"name":"Bought","properties":{"a":null,"b":1}}'),
]


def broken(*_: object, **__: object) -> Any:
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize("place", ["inspect", "rewrite", "encode", "last_when", "settle"])
async def test_a_fault_of_ours_forwards_the_original_bytes(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for name in ELSEWHERE[place]:
        monkeypatch.setattr(f"fsproxy.proxy.{name}", broken)
    # Unconfigured, structlog would draw every local of the traceback: the bodies.
    with capture_logs() as logs:
        await forwards_everything(upstream, place)
    assert {each["log_level"] for each in logs} <= {"error"}


async def forwards_everything(upstream: RecordingUpstream, place: str) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy, aiohttp.ClientSession() as client:
        for number, (target, body) in enumerate(BODIES):
            upstream.received.clear()
            async with client.post(f"{proxy.url}{target}&SessionId=s{number}", data=body) as answer:
                assert answer.status == 200
            reached = proxy.own_failures()
            proxy.metrics.own_failures.clear()
            if (place, target.partition("?")[0]) in NOT_ON_THE_WAY or (place == "encode" and "gzip" not in target):
                assert reached == {}
                continue
            assert reached == {("inspect",): 1}, target
            assert upstream.only().body == body
            assert "FSProxy-Rejected" not in answer.headers


ELSEWHERE = {
    "inspect": ("upload.inspect", "inspecting.inspect"),
    "rewrite": ("inspecting.rewrite",),
    "encode": ("inspecting.encode",),
    "settle": ("limit_queries.decide_calls",),
    "last_when": ("call_limits.last_when",),
}
"""The names by which the modules of an upload's way call each place."""
NOT_ON_THE_WAY = {
    ("last_when", "/client/event"),
    ("last_when", "/v2/events"),
}


async def test_a_ledger_that_is_down_limits_nothing_and_rules_still_hold(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> Any:
        raise LedgerDownError

    monkeypatch.setattr(MemoryLedger, "ask", down)
    calls = [{**CALL, "When": n} for n in range(40)]
    body = json.dumps({"Seq": 1, "When": 0, "Evts": calls}, separators=(",", ":")).encode()
    async with in_process({"upstream": {"url": upstream.url}}) as proxy, aiohttp.ClientSession() as client:
        async with client.post(f"{proxy.url}/rec/bundle/v2?OrgId=o&SessionId=s&PageId=p", data=body) as answer:
            assert answer.status == 200
    assert upstream.only().body == body.replace(b'\\"a_int\\":\\"x\\",', b"")


async def test_copies_that_come_together_while_the_first_is_under_way_are_judged_once(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a ledger that must be waited for: the second copy finds what became of the first."""
    memory, gate = MemoryLedger.ask, asyncio.Event()
    waiting = asyncio.Event()

    async def ask(self: MemoryLedger, operations: Any, now: Any, _deadline: float = 1.0) -> Any:
        waiting.set()
        await gate.wait()
        return await memory(self, operations, now)

    monkeypatch.setattr(MemoryLedger, "ask", ask)
    good = [{"Kind": 8197, "Args": ["Bought", "{}"], "When": n} for n in range(11)]
    body = json.dumps({"Seq": 1, "When": 0, "Evts": good}, separators=(",", ":")).encode()
    async with in_process({"upstream": {"url": upstream.url}}) as proxy, aiohttp.ClientSession() as client:
        target = f"{proxy.url}/rec/bundle/v2?OrgId=o&SessionId=s&PageId=p"
        sends = [asyncio.create_task(client.post(target, data=body)) for _ in range(3)]
        await waiting.wait()
        gate.set()
        assert {(await each).status for each in sends} == {200}
    assert {each.body.count(b"8197") for each in upstream.received} == {10}
