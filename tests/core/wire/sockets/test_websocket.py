from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.sockets.websocket import (
    STEP,
    FrameReader,
    Opcode,
    Part,
    accept_of,
    frame,
    is_key,
    is_text,
    masked,
    payload_of,
    read_head,
    start_of_payload,
)

KEY = b"\x01\x82\xff\x00"


def frames_of(parts: list[Part]) -> list[bytes]:
    """The parts put together again to frames; fails on parts that do not belong together."""
    found: list[bytes] = []
    whole = True
    for part in parts:
        assert part.first == whole
        found[-1:] = [found[-1] + part.raw] if not part.first else [*found[-1:], part.raw]
        whole = part.last
    return found


def fed(reader: FrameReader, *pieces: bytes) -> list[Part]:
    return [part for piece in pieces for part in reader.feed(piece)]


STREAM = (
    frame(Opcode.TEXT, b"hello", KEY),
    frame(Opcode.PING, b""),
    frame(Opcode.BINARY, b"\x81" * 126),
    frame(Opcode.TEXT, b""),
    b"\x01\x83" + KEY + masked(b"abc", KEY),
    frame(Opcode.PONG, b"p" * 125, KEY),
    b"\x80\x03def",
    frame(Opcode.CLOSE, b"\x03\xe8", KEY),
)


@pytest.mark.parametrize("at", range(len(b"".join(STREAM)) + 1))
def test_a_stream_cut_anywhere_gives_the_same_frames(at: int) -> None:
    stream = b"".join(STREAM)
    assert frames_of(fed(FrameReader(), stream[:at], stream[at:])) == list(STREAM)


@pytest.mark.parametrize("whole", STREAM)
def test_a_reader_is_between_two_frames_and_never_within_one(whole: bytes) -> None:
    reader = FrameReader()
    for at in range(len(whole)):
        assert reader.is_between is (at == 0)
        fed(reader, whole[at : at + 1])
    assert reader.is_between


def test_a_stream_that_comes_byte_by_byte_gives_the_same_frames() -> None:
    stream = b"".join(STREAM)
    assert frames_of(fed(FrameReader(), *(bytes((byte,)) for byte in stream))) == list(STREAM)


@settings(max_examples=200)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_no_byte_of_any_stream_is_lost_or_moved(stream: bytes, cuts: list[int]) -> None:
    reader = FrameReader()
    places = sorted({0, *(cut for cut in cuts if cut <= len(stream)), len(stream)})
    parts = fed(reader, *(stream[start:end] for start, end in pairwise(places)))
    assert b"".join(part.raw for part in parts) + reader.rest == stream
    assert len(reader.rest) < 10


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 127, 65_535, 65_536, 70_001])
def test_what_is_framed_is_read_again(size: int, key: bytes | None) -> None:
    payload = bytes(number % 251 for number in range(size))
    raw = frame(Opcode.TEXT, payload, key)
    head = read_head(raw, 0)
    assert head is not None
    assert (head.opcode, head.final, head.reserved, head.masked) == (Opcode.TEXT, True, False, key is not None)
    assert head.length + head.size == len(raw)
    assert head.size == size
    assert payload_of(raw) == payload


@pytest.mark.parametrize("key", [b"", KEY])
@pytest.mark.parametrize("size", [2, 5, 125, 126, 127, 65_535])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_a_message_that_came_by_itself_in_one_frame_is_known_by_its_first_bytes(
    opcode: Opcode, size: int, key: bytes
) -> None:
    raw = frame(opcode, b"x" * size, key or None)
    start = start_of_payload(raw, len(key))
    assert len(raw) - start == size
    assert not start_of_payload(raw[:-1], len(key))
    assert not start_of_payload(raw + b"x", len(key))
    assert not start_of_payload(raw, 4 - len(key))
    for first in (opcode, 0xC0 | opcode, 0x90 | opcode, 0x80, 0x83, 0x88, 0x89, 0x8A):
        assert not start_of_payload(bytes((first,)) + raw[1:], len(key))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x81",
        b"\x81\x80",
        b"\x81\xfe\x00\x03" + KEY + b"abc",
        b"\x81\xff" + (500).to_bytes(8) + KEY + bytes(500),
        frame(Opcode.TEXT, bytes(65_536), KEY),
    ],
)
def test_a_frame_in_another_form_is_left_to_the_reader_of_frames(raw: bytes) -> None:
    assert not start_of_payload(raw, 4)


@settings(max_examples=300)
@given(st.binary(max_size=12) | st.binary(max_size=200).map(lambda data: b"\x81\xfe" + data))
def test_the_reader_of_frames_finds_the_same_message(data: bytes) -> None:
    start = start_of_payload(data, 4)
    if start:
        (part,) = FrameReader().feed(data)
        assert (part.last, part.head.final, part.head.is_lawful, part.head.length) == (True, True, True, start)


def test_the_example_of_rfc_6455() -> None:
    """Section 5.7: a masked text of one frame, and an unmasked one of two."""
    assert frame(Opcode.TEXT, b"Hello", b"\x37\xfa\x21\x3d") == bytes.fromhex("818537fa213d7f9f4d5158")
    assert payload_of(bytes.fromhex("010348656c") + bytes.fromhex("80026c6f")) == b"Hello"


def test_a_length_is_read_whatever_number_of_bytes_it_takes() -> None:
    """Recorders write the shortest form; one that is longer than it must be is no reason to lose our place."""
    for head in (b"\x81\x03", b"\x81\x7e\0\x03", b"\x81\x7f" + (3).to_bytes(8)):
        (part,) = FrameReader().feed(head + b"abc")
        assert part.last
        assert payload_of(part.raw) == b"abc"


def test_what_an_extension_has_changed_is_told() -> None:
    compressed = read_head(b"\xc1\x00", 0)
    assert compressed is not None
    assert compressed.reserved


@pytest.mark.parametrize("opcode", Opcode)
def test_control_frames_are_those_that_are_no_part_of_a_message(opcode: Opcode) -> None:
    head = read_head(frame(opcode, b""), 0)
    assert head is not None
    assert head.is_control == (opcode in {Opcode.CLOSE, Opcode.PING, Opcode.PONG})


def test_a_part_of_a_large_frame_is_told_at_once() -> None:
    """Nothing but a head is ever held back: a gigabyte passes without being kept."""
    reader = FrameReader()
    (part,) = reader.feed(b"\x82\x7f" + (2**40).to_bytes(8) + b"x")
    assert (part.first, part.last, reader.rest) == (True, False, b"")
    (part,) = reader.feed(b"y" * 100)
    assert (part.first, part.last, part.raw) == (False, False, b"y" * 100)


@pytest.mark.parametrize("opcode", Opcode)
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536])
def test_a_frame_of_ours_is_read_as_it_was_made(opcode: Opcode, size: int) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    for key in (None, b"\x00\x00\x00\x01", b"abcd"):
        made = frame(opcode, payload[:size], key)
        head = read_head(made, 0)
        assert head is not None
        assert (head.opcode, head.final, head.reserved, head.masked, head.size) == (
            opcode,
            True,
            False,
            bool(key),
            size,
        )
        assert head.length + head.size == len(made)
        assert payload_of(made) == payload[:size]
        assert made[0] == 0x80 | opcode


@pytest.mark.parametrize("opcode", [Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY])
def test_a_frame_that_does_not_end_its_message_says_so_whatever_it_carries(opcode: Opcode) -> None:
    head = read_head(bytes((opcode, 0)), 0)
    assert head is not None
    assert (head.opcode, head.final, head.reserved) == (opcode, False, False)


def test_the_accept_of_rfc_6455() -> None:
    """Section 1.3."""
    assert accept_of(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (b"dGhlIHNhbXBsZSBub25jZQ==", True),
        (b"AAAAAAAAAAAAAAAAAAAAAA==", True),
        (b"dGhlIHNhbXBsZSBub25jZR==", False),
        (b"dGhlIHNhbXBsZSBub25jZQ=", False),
        (b"dGhlIHNhbXBsZSBub25jZQ==\n", False),
        (b"c2hvcnQ=", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_key_is_16_bytes_in_base64(value: bytes | None, *, is_one: bool) -> None:
    assert is_key(value) is is_one


@pytest.mark.parametrize("size", [10, STEP - 1, STEP, STEP + 1, 2 * STEP + 3])
@pytest.mark.parametrize("offset", range(5))
def test_a_part_of_a_payload_is_unmasked_by_its_place(offset: int, size: int) -> None:
    payload = bytes(number % 251 for number in range(size + 5))
    whole = masked(payload, KEY)
    assert masked(whole[offset : offset + size], KEY, offset) == payload[offset : offset + size]
    assert masked(whole, KEY) == payload


@pytest.mark.parametrize("at", [0, STEP - 2, STEP - 1, STEP])
def test_text_is_utf_8_wherever_it_is_cut(at: int) -> None:
    assert is_text(b"a" * at + "\u20ac".encode() + b"b")
    assert is_text(b"a" * at)
    for broken in (b"\xff", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\x80"):
        assert not is_text(b"a" * at + broken)
        assert not is_text(b"a" * at + broken + b"b")
