"""What four generations of recorders say over their socket: judged, and otherwise passed as it came (wire.md 7)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fsproxy.core.wire.sockets.websocket import Opcode, frame
from support.raw_http import RawClient, raw_client
from support.sockets import event, hear, say, setting

RECORDED: list[Mapping[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "sockets.json").read_text(encoding="utf-8")
)
IDS = [f"{each['build']} {each['what'].partition(':')[0]} {each['socket']}" for each in RECORDED]
UPGRADE = (
    b"GET /rec/sock HTTP/1.1\r\nHost: rs.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Origin: http://shop.example.net\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
BAD = [rf",\"{name}\":\"{value}\"" for name in ("bad", "odd") for value in ("nope", "int", "bool")]
BAD += [r",\"bad_int\":\"nope\"", r",\"odd_bool\":\"nope\""]
"""The properties of the recorded calls whose values do not fit their types, with their entries in schemas."""
ANSWERS = {1: 4, 2: 5, 6: 7}


def cleaned(text: str) -> str:
    for each in BAD:
        text = text.replace(each, "")
    return text


def pieces_of(raw: bytes, size: int) -> bytes:
    """The message as frames of so many bytes each, masked."""
    places = [*range(0, len(raw), size), len(raw)]
    found = b""
    for start, end in pairwise(places):
        made = bytearray(frame(Opcode.CONTINUATION if start else Opcode.TEXT, raw[start:end], b"\x07\x00\xfe\x41"))
        made[0] &= 0xFF if end == len(raw) else 0x7F
        found += bytes(made)
    return found


@pytest.mark.parametrize("recorded", RECORDED, ids=IDS)
async def test_a_recording_goes_up_without_what_is_invalid(tmp_path: Path, recorded: Mapping[str, Any]) -> None:
    frames = recorded["frames"]
    async with setting(tmp_path) as it:
        async with it.client.ws_connect(f"{it.proxy.url}/rec/sock") as socket:
            for text in frames:
                answer = await say(socket, text)
                sent = json.loads(text)
                assert (answer["Cmd"], answer["Seq"]) == (ANSWERS[sent["Cmd"]], sent["Seq"])
            await socket.close(code=1001)
        await it.proxy.idle()
        assert it.backend.texts == [cleaned(text) for text in frames]
    lines = it.proxy.audit()
    assert len(lines) == len(frames) + 1
    assert {line["fsproxy.decision"] for line in lines} <= {"captured", "forwarded"}
    assert sum(len(line.get("fsproxy.rejections", ())) for line in lines) == sum(text.count("nope") for text in frames)
    assert it.proxy.metrics.recordings_ended == {}
    assert it.proxy.metrics.uninspectable == {}


@pytest.mark.parametrize("size", [7, 125, 126, 600])
@pytest.mark.parametrize("recorded", RECORDED[:4], ids=IDS[:4])
async def test_frames_in_fragments_right_behind_the_handshake(
    tmp_path: Path, recorded: Mapping[str, Any], size: int
) -> None:
    frames = recorded["frames"]
    async with setting(tmp_path) as it, raw_client(it.proxy.port) as client:
        await client.send(UPGRADE, *(pieces_of(text.encode(), size) for text in frames))
        assert (await client.head())[1] == 101
        assert sorted([await seq_of(client) for _ in frames]) == [json.loads(text)["Seq"] for text in frames]
        assert it.backend.texts == [cleaned(text) for text in frames]


async def seq_of(client: RawClient) -> int:
    head = await client.reader.readexactly(2)
    size = int.from_bytes(await client.reader.readexactly(2)) if head[1] == 126 else head[1]
    seq: int = json.loads(await client.reader.readexactly(size))["Seq"]
    return seq


# -- Cmd 6: the calls of builds with EnableRecEvents


def calls_frame(*events: Mapping[str, Any], seq: int = 3, **ids: object) -> str:
    """In the shape of the recorded ones: only calls, and an end marker."""
    outer = json.loads(next(each for each in RECORDED if "EnableRecEvents" in each["what"])["frames"][0])
    outer["Bundle"]["Bundle"]["Evts"][:-1] = events
    outer["Bundle"] |= ids
    return json.dumps({**outer, "Seq": seq}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("calls", "status", "code"),
    [
        ([event("", {})], 400, "InvalidEventName"),
        ([event("E", {"text_str": "x" * 600_000})], 413, "TooBigToParse"),
        ([event("", {}), event("E", {"text_str": "x" * 600_000})], 400, "InvalidEventName"),
    ],
    ids=["invalid", "too large", "both"],
)
async def test_calls_of_which_none_is_left_are_answered_as_over_http(
    tmp_path: Path, calls: list[Mapping[str, Any]], status: int, code: str
) -> None:
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            answer = await say(socket, calls_frame(*calls, seq=12))
            assert (answer["Cmd"], answer["Seq"], answer["Fail"]["Status"]) == (3, 12, status)
            document = json.loads(answer["Fail"]["Error"])
            assert (document["status"], document["errors"][0]["code"]) == (status, code)
            assert (await say(socket, calls_frame(event("E", {}), seq=13)))["Cmd"] == 7
        await it.proxy.idle()
        assert len(it.backend.texts) == 1
    assert it.proxy.audit()[0]["fsproxy.decision"] == "rejected"
    assert it.proxy.metrics.recordings_ended == {}, "the recorder drops the calls and goes on (wire.md 7)"


async def test_calls_over_the_rate_are_answered_429_and_a_part_of_them_is_cut(tmp_path: Path) -> None:
    calls = [event(f"E{number}", {}, when=100 + number) for number in range(15)]
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            assert (await say(socket, calls_frame(*calls[:12])))["Cmd"] == 7
            assert (await say(socket, calls_frame(*calls[12:], seq=4)))["Fail"]["Status"] == 429
        await it.proxy.idle()
        assert it.backend.texts == [calls_frame(*calls[:10])]
        assert it.proxy.metrics.rejections[("RateLimited", "event", "socket")] == 5


async def test_the_same_calls_in_a_bundle_and_over_http_spend_nothing(tmp_path: Path) -> None:
    calls = [event(f"E{number}", {}, when=100 + number) for number in range(10)]
    first = calls_frame(*calls)
    again = first.replace('"Cmd":6', '"Cmd":2')
    outer = json.loads(first)["Bundle"]
    query = "&".join(f"{name}={outer[name]}" for name in ("OrgId", "UserId", "SessionId", "PageId", "PageStart"))
    body = json.dumps(outer["Bundle"], separators=(",", ":"))
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            for text in (first, again):
                assert (await say(socket, text))["Cmd"] in {5, 7}
        async with it.client.post(f"{it.proxy.url}/rec/event?{query}&Seq=1", data=body) as response:
            assert response.status == 200
        assert it.backend.texts == [first, again]
        assert it.upstream.received[-1].body == body.encode()
        async with it.connect() as socket:
            assert (await say(socket, calls_frame(event("One more", {}, when=120))))["Fail"]["Status"] == 429


@pytest.mark.parametrize(
    ("name", "cmd"), [("Cmd", "6.0"), ("Cmd", "6e0"), ("cmd", "6"), ("CMD", "6"), ("Cmd", '"6"'), ("Cmd", "0.6e1")]
)
async def test_calls_under_any_spelling_of_their_command_are_judged(tmp_path: Path, name: str, cmd: str) -> None:
    text = calls_frame(event("", {}), event("E", {}))
    for former, latter in (('"Cmd":6', f'"{name}":{cmd}'), ('"Bundle":{"B', '"bundle":{"B')):
        text = text.replace(former, latter, 1)
    async with setting(tmp_path) as it, it.connect() as socket:
        await socket.send_str(text)
        await hear(socket)
        assert it.backend.texts == [text.replace(json.dumps(event("", {}), separators=(",", ":")) + ",", "")]


@pytest.mark.parametrize(
    "change",
    [
        ('"Cmd":6', '"Cmd":6,"Cmd":9'),
        ('"Cmd":6', '"Cmd":9,"cmd":6'),
        ('"OrgId":"o-FIX7-na1"', '"OrgId":"o-FIX7-na1","OrgId":"o-OTHER"'),
        ('"OrgId":"o-FIX7-na1"', '"OrgId":"o-FIX7-na1","orgid":"o-OTHER"'),
        ('"Bundle":{"B', '"bundle":{},"Bundle":{"B'),
        ('"Seq":3}', '"Seq":3}{"Cmd":1}'),
    ],
)
async def test_what_two_readers_could_read_in_two_ways_gets_400(tmp_path: Path, change: tuple[str, str]) -> None:
    text = calls_frame(event("E", {}))
    assert change[0] in text
    async with setting(tmp_path) as it, it.connect() as socket:
        assert (await say(socket, text.replace(*change)))["Fail"]["Status"] == 400
        assert it.backend.texts == []
        assert (await say(socket, text))["Cmd"] == 7
