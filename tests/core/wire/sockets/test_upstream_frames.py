from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.sockets.upstream_frames import (
    FRAGMENTS_ALLOWANCE,
    Arrival,
    Control,
    Message,
    TooLarge,
    Unlawful,
    UpstreamFrames,
)
from fsproxy.core.wire.sockets.websocket import CloseCode, FrameReader, Opcode, frame, payload_of

KEY = b"\x01\x82\xff\x00"
PING = frame(Opcode.PING, b"p", KEY)


def part(opcode: Opcode, payload: bytes, *, final: bool = False, key: bytes = KEY) -> bytes:
    raw = bytearray(frame(opcode, payload, key))
    raw[0] &= 0xFF if final else 0x7F
    return bytes(raw)


def arrivals(limit: int, *pieces: bytes) -> list[Arrival]:
    reader, way = FrameReader(), UpstreamFrames(limit)
    return [found for piece in pieces for each in reader.feed(piece) if (found := way.take(each)) is not None]


def bytewise(raw: bytes) -> list[bytes]:
    return [bytes((byte,)) for byte in raw]


FIRST, SECOND, LAST = (
    part(Opcode.TEXT, b"ab"),
    part(Opcode.CONTINUATION, b""),
    part(Opcode.CONTINUATION, b"c", final=True),
)
STREAM = FIRST + PING + SECOND + LAST + frame(Opcode.BINARY, b"x" * 200, KEY) + frame(Opcode.CLOSE, b"\x03\xe8", KEY)


@pytest.mark.parametrize("pieces", [[STREAM], bytewise(STREAM)], ids=["at once", "byte by byte"])
def test_messages_are_whole_and_control_frames_stand_between(pieces: list[bytes]) -> None:
    assert arrivals(1000, *pieces) == [
        Control(Opcode.PING, PING),
        Message(Opcode.TEXT, FIRST + SECOND + LAST),
        Message(Opcode.BINARY, frame(Opcode.BINARY, b"x" * 200, KEY)),
        Control(Opcode.CLOSE, frame(Opcode.CLOSE, b"\x03\xe8", KEY)),
    ]


@pytest.mark.parametrize("size", [0, 1, 5, 100, 126, 300, 1000])
@pytest.mark.parametrize("cuts", [(), (0,), (3,), (3, 3, 4), (50, 127, 128, 129)])
def test_of_a_message_over_the_limit_the_ends_are_kept(size: int, cuts: tuple[int, ...]) -> None:
    payload = bytes(number % 251 for number in range(size + 401))
    places = [0, *cuts, len(payload)]
    raw = b"".join(
        part(
            Opcode.CONTINUATION if number else Opcode.TEXT,
            payload[start:end],
            final=number == len(cuts),
            key=bytes((number + 1, 7, 9, 1)),
        )
        for number, (start, end) in enumerate(pairwise(places))
    )
    for pieces in ([raw], bytewise(raw)):
        assert arrivals(400, *pieces, PING) == [TooLarge(payload[:128], payload[-128:]), Control(Opcode.PING, PING)]


@pytest.mark.parametrize(("size", "kind"), [(400, Message), (401, TooLarge)])
def test_the_limit_is_of_what_the_message_carries(size: int, kind: type) -> None:
    halves = part(Opcode.TEXT, b"x" * 200) + part(Opcode.CONTINUATION, b"x" * (size - 200), final=True)
    for raw in (frame(Opcode.TEXT, b"x" * size, KEY), halves):
        (found,) = arrivals(400, raw)
        assert isinstance(found, kind)


def test_heads_without_end_are_not_kept() -> None:
    reader, way = FrameReader(), UpstreamFrames(10)
    list(map(way.take, reader.feed(part(Opcode.TEXT, b"ab"))))
    for _ in range(10):
        for each in reader.feed(part(Opcode.CONTINUATION, b"") * 5000):
            assert way.take(each) is None
        assert len(way._raw) <= FRAGMENTS_ALLOWANCE + 20
    (found,) = [way.take(each) for each in reader.feed(part(Opcode.CONTINUATION, b"", final=True))]
    assert found == TooLarge(b"ab", b"ab")


@pytest.mark.parametrize(("frames", "kind"), [(10_924, Message), (10_925, TooLarge)])
def test_the_heads_of_a_message_take_64_kilobytes_beside_its_limit(frames: int, kind: type) -> None:
    empty = part(Opcode.CONTINUATION, b"") * (frames - 1)
    (found,) = arrivals(10, part(Opcode.TEXT, b"ab"), empty, part(Opcode.CONTINUATION, b"", final=True))
    assert isinstance(found, kind)


UNLAWFUL = {
    "reserved": b"\xc1\x80" + KEY,
    "reserved on a control frame": b"\xa9\x80" + KEY,
    "opcode 3": b"\x83\x80" + KEY,
    "opcode 7": b"\x87\x80" + KEY,
    "opcode 11": b"\x8b\x80" + KEY,
    "opcode 15": b"\x8f\x80" + KEY,
    "unmasked": b"\x81\x00",
    "continuation of nothing": b"\x80\x80" + KEY,
    "control in fragments": b"\x09\x80" + KEY,
    "control of 126": b"\x8a\xfe\x00\x7e" + KEY,
    "close of one byte": b"\x88\x81" + KEY,
    "top bit of a length": b"\x82\xff\x80" + bytes(7) + KEY,
    "two bytes for 125": b"\x82\xfe\x00\x7d" + KEY,
    "eight bytes for 65535": b"\x82\xff" + (65_535).to_bytes(8) + KEY,
}


@pytest.mark.parametrize("raw", UNLAWFUL.values(), ids=UNLAWFUL)
def test_a_frame_that_no_client_may_send(raw: bytes) -> None:
    for pieces in ([raw], bytewise(raw)):
        assert arrivals(1000, *pieces)[:1] == [Unlawful(CloseCode.PROTOCOL_ERROR)]


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_a_message_within_a_message(opcode: Opcode) -> None:
    assert arrivals(1000, FIRST + frame(opcode, b"", KEY))[:1] == [Unlawful(CloseCode.PROTOCOL_ERROR)]


@pytest.mark.parametrize("size", [0, 2, 125])
def test_control_frames_at_their_limits(size: int) -> None:
    raw = frame(Opcode.CLOSE, b"x" * size, KEY)
    assert arrivals(0, raw) == [Control(Opcode.CLOSE, raw)]


@settings(max_examples=200)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_stream_says_the_same_however_it_is_cut(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, *(cut for cut in cuts if cut <= len(stream)), len(stream)})
    whole = arrivals(100, stream)
    split = arrivals(100, *(stream[start:end] for start, end in pairwise(places)))

    def lawful(found: list[Arrival]) -> list[Arrival]:
        """Up to where the socket is closed."""
        end = next((at for at, each in enumerate(found) if isinstance(each, Unlawful)), len(found))
        return found[: end + 1]

    assert lawful(whole) == lawful(split)
    for each in lawful(whole):
        if isinstance(each, Message):
            assert each.raw in stream
            payload_of(each.raw)
