"""Answers of a hostile upstream (tests/support/hostile_answers.py): whole, byte by byte, and split anywhere.

Each ends as 502, as a broken connection where its head had gone on, or as the one answer that it is; and another
client on another connection gets its own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from support.hostile_answers import BROKEN, INVALID, PASSED
from support.in_process import InProcessProxy, in_process
from support.pieces import TURNS, Replies, send_pieces
from support.raw_http import ServerSide, scripted

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
FAR = 150
"""Answers up to this length are split at every place. A longer one is a flood."""
BODY = b'{"OrgId": "o-1", "Url": "https://a.example/"}'


def request(path: bytes, how: int) -> bytes:
    return b"POST %b?how=%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path, how, len(BODY), BODY)


PROBE = request(b"/probe", 0)
WHOLE, BYTEWISE = 0, -1


def ways(sent: bytes) -> Iterator[int]:
    """Return the answer whole, byte by byte, and split at each place."""
    yield WHOLE
    if len(sent) < FAR * 4:
        yield BYTEWISE
    yield from range(1, min(len(sent), FAR))


@asynccontextmanager
async def before(sent: bytes, then: str) -> AsyncIterator[InProcessProxy]:
    """A proxy whose upstream answers like this, in the way that each request names."""

    async def serve(side: ServerSide) -> None:
        while True:
            asked = await side.whole_request()
            if asked.startswith(b"POST /probe"):
                await side.say(FINE)
                continue
            found = re.search(rb"how=(-?\d+)", asked)
            assert found is not None
            how = int(found[1])
            pieces = [sent[at : at + 1] for at in range(len(sent))] if how == BYTEWISE else [sent[:how], sent[how:]]
            for piece in pieces:
                if side.writer.is_closing():
                    return  # the proxy wants no more
                side.writer.write(piece)
                for _ in range(TURNS):
                    await asyncio.sleep(0)
            if then == "close":
                return
            if then == "reset":
                side.reset()
                return

    async with scripted(serve) as upstream, in_process({"upstream": {"url": upstream.url}}) as proxy:
        yield proxy
        assert (await send_pieces(proxy.port, [PROBE], 1)).answers == ((200, b"fine"),)


def is_ours(replies: Replies) -> bool:
    return (
        replies.statuses == (502,) and not replies.rest and b'"status":502' in replies.answers[0][1].replace(b" ", b"")
    )


@pytest.mark.parametrize("case", INVALID)
async def test_an_answer_that_can_be_read_in_two_ways_is_502_however_it_arrives(case: str) -> None:
    async with before(INVALID[case], "keep") as proxy:
        for how in ways(INVALID[case]):
            replies = await send_pieces(proxy.port, [request(b"/x", how)], 1)
            assert is_ours(replies), (how, replies)
        assert {cause for (cause,) in proxy.metrics.upstream_failures} == {"upstream_invalid"}


@pytest.mark.parametrize("path", [b"/x", b"/rec/page", b"/rec/bundle"])
@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_answer_never_looks_whole(case: str, then: str, path: bytes) -> None:
    async with before(BROKEN[case], then) as proxy:
        for how in ways(BROKEN[case]) if path == b"/x" else (WHOLE, len(BROKEN[case]) // 2):
            replies = await send_pieces(proxy.port, [request(path, how)], 1)
            assert is_ours(replies) or replies.answers == (), (how, replies)


@pytest.mark.parametrize("case", PASSED)
async def test_an_odd_answer_is_the_same_however_it_arrives_and_nothing_behind_it_is_an_answer(case: str) -> None:
    passed = PASSED[case]
    async with before(passed.sent, "keep") as proxy:
        for how in ways(passed.sent):
            replies = await send_pieces(proxy.port, [request(b"/x", how)], 1)
            assert replies.answers == ((passed.status, passed.body),), how
            assert not replies.rest
            assert b"evil" not in replies.data.lower(), "what is not for the client does not reach it"
            # What is left on the upstream's connection must not become the answer to the next request.
            assert (await send_pieces(proxy.port, [PROBE], 1)).answers == ((200, b"fine"),), how
