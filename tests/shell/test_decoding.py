"""Decompression in bounds."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.failures import Failure
from fsproxy.core.model import Encoding
from fsproxy.shell.bodies import BodyError
from fsproxy.shell.decoding import MAX_MEMBERS, ON_LOOP, Undecodable, decode, encode

LIMIT = 3 * ON_LOOP


@pytest.mark.parametrize("size", [0, 1, ON_LOOP - 1, ON_LOOP, ON_LOOP + 1, LIMIT])
async def test_up_to_the_limit_a_body_is_decoded(size: int) -> None:
    body = b"x" * size
    assert await decode(gzip.compress(body), Encoding.GZIP, LIMIT) == body
    assert await decode(body, Encoding.IDENTITY, LIMIT) == body


@pytest.mark.parametrize("limit", [10, ON_LOOP - 1, ON_LOOP, LIMIT])
@pytest.mark.parametrize("over", [1, 2, 10_000_000])
async def test_over_the_limit_it_is_too_large(limit: int, over: int) -> None:
    with pytest.raises(BodyError) as error:
        await decode(gzip.compress(b"x" * (limit + over)), Encoding.GZIP, limit)
    assert error.value.failure is Failure.BODY_TOO_LARGE


async def test_an_uncompressed_body_over_the_limit_is_too_large() -> None:
    with pytest.raises(BodyError):
        await decode(b"x" * 11, Encoding.IDENTITY, 10)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"plain",
        gzip.compress(b"cut", mtime=0)[:-1],
        gzip.compress(b"x", mtime=0) + b"behind",
        zlib.compress(b"x"),
        b"\x1f\x8b",
    ],
)
async def test_what_is_no_gzip_is_undecodable(body: bytes) -> None:
    with pytest.raises(Undecodable):
        await decode(body, Encoding.GZIP, LIMIT)


async def test_an_unknown_encoding_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        await decode(b"", Encoding.UNKNOWN, LIMIT)


async def test_members_may_follow_one_another_but_not_without_end() -> None:
    assert (
        await decode(gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0) + b"\0\0", Encoding.GZIP, LIMIT)
        == b"ab"
    )
    with pytest.raises(Undecodable):
        await decode(gzip.compress(b"", mtime=0) * (MAX_MEMBERS + 1), Encoding.GZIP, LIMIT)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=5000))
def test_what_is_encoded_decodes_to_itself(body: bytes) -> None:
    assert gzip.decompress(encode(body, Encoding.GZIP)) == body
    assert encode(body, Encoding.IDENTITY) == body
