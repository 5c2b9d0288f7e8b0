"""Decompression in bounds."""

from __future__ import annotations

import gzip
import sys
import zlib
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.failures import Failure
from fsproxy.core.model import Encoding
from fsproxy.proxy import decoding
from fsproxy.proxy.bodies import BodyError
from fsproxy.proxy.decoding import MAX_MEMBERS, ON_LOOP, Decoded, UndecodableError, decode, encode

LIMIT = 3 * ON_LOOP


@pytest.fixture(autouse=True, params=["zlib", "isal.isal_zlib"])
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "QUICK", pytest.importorskip(request.param))


@pytest.mark.parametrize("size", [0, 1, ON_LOOP - 1, ON_LOOP, ON_LOOP + 1, LIMIT])
async def test_up_to_the_limit_a_body_is_decoded(size: int) -> None:
    body = b"x" * size
    assert (await decode(gzip.compress(body), Encoding.GZIP, LIMIT)).text == body
    assert (await decode(body, Encoding.IDENTITY, LIMIT)).text == body


@pytest.mark.parametrize("limit", [10, ON_LOOP - 1, ON_LOOP, LIMIT])
@pytest.mark.parametrize("over", [1, 2, 10_000_000])
async def test_over_the_limit_it_is_too_large(limit: int, over: int) -> None:
    with pytest.raises(BodyError) as error:
        await decode(gzip.compress(b"x" * (limit + over)), Encoding.GZIP, limit)
    assert error.value.failure is Failure.BODY_TOO_LARGE


async def test_an_uncompressed_body_over_the_limit_is_too_large() -> None:
    with pytest.raises(BodyError):
        await decode(b"x" * 11, Encoding.IDENTITY, 10)


OBJECT = b'{"a":1}'
ZIPPED = gzip.compress(OBJECT, mtime=0)


@pytest.mark.parametrize(
    "body",
    [b"", b"plain", gzip.compress(b"cut", mtime=0)[:-1], ZIPPED[:-12], zlib.compress(OBJECT), b"\x1f\x8b", b"{cut"],
)
@pytest.mark.parametrize("encoding", [Encoding.GZIP, Encoding.UNKNOWN])
async def test_where_no_reader_could_find_an_object_a_body_is_undecodable(body: bytes, encoding: Encoding) -> None:
    with pytest.raises(UndecodableError):
        await decode(body, encoding, LIMIT)


BEHIND = [
    b"behind",
    b"{}",
    b"\0",
    b"\0\0\0\0",
    b"\x1f",
    b"\x1f\x8b",
    ZIPPED[:10],
    b"\x1f\x8b\x08\xe0" + b"\0" * 20,
    b"\xff" * 100_000,
]


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("size", [10, ON_LOOP + 1])
async def test_bytes_behind_a_member_change_nothing(behind: bytes, size: int) -> None:
    text = b"{" + b" " * size + b"}"
    assert await decode(gzip.compress(text, mtime=0) + behind, Encoding.GZIP, LIMIT) == Decoded(text, layers=1)


async def test_the_first_of_several_members_is_a_reading_of_its_own() -> None:
    body = ZIPPED + gzip.compress(b"[2]", mtime=0) + b"\0\0"
    assert await decode(body, Encoding.GZIP, LIMIT) == Decoded(OBJECT + b"[2]", first=OBJECT, layers=1)
    assert await decode(body + b"x", Encoding.GZIP, LIMIT) == Decoded(OBJECT + b"[2]", first=OBJECT, layers=1)


LARGE = b'{"a":"' + bytes(value % 90 + 35 for value in zlib.compress(b"x" * 10_000_000)) * 30 + b'"}'
WRONG = [
    ZIPPED[:-8],
    ZIPPED[:-1],
    ZIPPED[:-8] + b"\0" * 8,
    ZIPPED[:-4] + b"\xff" * 4,
    ZIPPED + gzip.compress(b"  ", mtime=0)[:-8] + b"\0" * 8,
    gzip.compress(OBJECT[:3], mtime=0) + gzip.compress(OBJECT[3:], mtime=0)[:-8],
]


@pytest.mark.parametrize("body", WRONG)
async def test_what_a_reader_could_take_before_it_notices_the_fault_is_read(body: bytes) -> None:
    decoded = await decode(body, Encoding.GZIP, LIMIT)
    assert (decoded.text.strip(), decoded.layers, decoded.is_sound) == (OBJECT, 1, False)


async def test_all_that_stands_before_a_fault_is_read_however_long_it_is() -> None:
    whole = zlib.compressobj(0, wbits=31)
    body = whole.compress(LARGE) + whole.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 20
    decoded = await decode(body, Encoding.GZIP, len(LARGE))
    assert (decoded.text, decoded.is_sound) == (LARGE, False)
    with pytest.raises(BodyError):
        await decode(body, Encoding.GZIP, len(LARGE) - 1)


@pytest.mark.parametrize(
    ("body", "encoding", "layers"),
    [
        (OBJECT, Encoding.GZIP, 0),
        (OBJECT, Encoding.UNKNOWN, 0),
        (ZIPPED, Encoding.IDENTITY, 1),
        (ZIPPED, Encoding.UNKNOWN, 1),
        (gzip.compress(ZIPPED, mtime=0), Encoding.GZIP, 2),
    ],
)
async def test_the_first_bytes_say_how_a_body_is_compressed(body: bytes, encoding: Encoding, layers: int) -> None:
    decoded = await decode(body, encoding, LIMIT)
    assert decoded == Decoded(OBJECT, layers=layers, is_sound=False)
    again = await decode(encode(decoded.text, layers), encoding, LIMIT)
    assert again == decoded


MARKED = b"\xef\xbb\xbf" + OBJECT


@pytest.mark.parametrize("text", [MARKED, b" " * 200_000 + OBJECT + b"\n" * 200_000, MARKED + b" " * ON_LOOP])
@pytest.mark.parametrize("encoding", [Encoding.GZIP, Encoding.UNKNOWN])
async def test_a_byte_order_mark_and_blanks_hide_no_object(text: bytes, encoding: Encoding) -> None:
    """A plain body that was announced as compressed."""
    assert await decode(text, encoding, LIMIT) == Decoded(text, is_sound=False)


@pytest.mark.parametrize("zipped", [False, True])
async def test_blanks_are_not_looked_through_on_the_event_loop(zipped: bool) -> None:  # noqa: FBT001 - parametrized
    """Its thread calls nothing that looks through a long text: no method of one, and no C function where one is at hand."""
    half = b" " * 1_000_000
    text = half + OBJECT + half
    body, encoding = (gzip.compress(text, 1), Encoding.IDENTITY) if zipped else (text, Encoding.GZIP)
    calls: list[str] = []

    def note(frame: FrameType, event: str, called: object) -> None:
        if event == "c_call" and frame.f_globals is not globals():
            at_hand = (getattr(called, "__self__", None), *frame.f_locals.values())
            if any(isinstance(each, bytes) and len(each) > ON_LOOP for each in at_hand):
                calls.append(getattr(called, "__name__", repr(called)))

    sys.setprofile(note)
    try:
        decoded = await decode(body, encoding, len(text))
    finally:
        sys.setprofile(None)
    assert decoded.text == text
    assert set(calls) <= {"len", "startswith", "set_result"}


async def test_an_unknown_encoding_is_undecodable() -> None:
    with pytest.raises(UndecodableError):
        await decode(b"", Encoding.UNKNOWN, LIMIT)


async def test_members_may_follow_one_another_but_not_without_end() -> None:
    members = gzip.compress(b"{", mtime=0) + gzip.compress(b"}", mtime=0) + b"\0\0"
    assert (await decode(members, Encoding.GZIP, LIMIT)).text == b"{}"
    with pytest.raises(UndecodableError):
        await decode(gzip.compress(b"", mtime=0) * (MAX_MEMBERS + 1), Encoding.GZIP, LIMIT)
    most = await decode(gzip.compress(b"{}", mtime=0) + gzip.compress(b"", mtime=0) * MAX_MEMBERS, Encoding.GZIP, LIMIT)
    assert (most.text, most.is_sound) == (b"{}", False)


@settings(max_examples=50)
@given(st.binary(max_size=5000))
def test_what_is_encoded_decodes_to_itself(body: bytes) -> None:
    assert gzip.decompress(encode(body, 1)) == body
    assert gzip.decompress(gzip.decompress(encode(body, 2))) == body
    assert encode(body, 0) == body
