"""Requests made to be read in two ways (tests/support/hostile_requests.py): whole, byte by byte, and split anywhere.

Which parser takes a request may depend on how it arrives. So each case is sent in one piece, in pieces of one byte,
and in two pieces for each place between its bytes, and must end in the same way: the same answers, the same bytes
upstream, and another connection that works as before.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from support.echoing import Echoing, echoing
from support.hostile_requests import BEHIND_CHUNKS, POISONED, REFUSED, TAKEN, Taken
from support.in_process import in_process
from support.pieces import Replies, send_pieces

PROBE = b"POST /probe HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Way:
    """One way through the program."""

    target: bytes
    answered: int = 200
    """What an accepted request is answered."""


WAYS = {
    "streamed": Way(b"/x"),
    "page": Way(b"/rec/page"),
    "bundle": Way(b"/rec/bundle?OrgId=o-1"),
    "blocked page": Way(b"/rec/page", 202),
}


@dataclass(frozen=True, slots=True)
class Rig:
    """Two proxies in front of one upstream; one of them blocks every page."""

    ports: Mapping[str, int]
    upstream: Echoing

    async def send_pieces(self, way: str, pieces: list[bytes], wanted: int, *, wait_for_end: bool = False) -> Replies:
        return await send_pieces(self.ports[way], pieces, wanted, wait_for_end=wait_for_end)

    async def another_is_fine(self) -> None:
        """Check that a request on another connection is answered, and that no upstream connection is lost."""
        for port in set(self.ports.values()):
            assert (await send_pieces(port, [PROBE], 1)).statuses == (200,)
            assert self.upstream.requests.pop().endswith(b"\r\n\r\nok")


@asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    async with echoing() as upstream:
        # The bodies of the cases are no pages with a URL. What is decided about them does not matter here.
        config = {"upstream": {"url": upstream.url}, "filters": {"url": {"mode": "off"}}}
        async with in_process(config) as one, in_process({**config, "orgs": {"unlisted": "block"}}) as blocking:
            ports = {name: (blocking if way.answered == 202 else one).port for name, way in WAYS.items()}
            yield Rig(ports, upstream)
        assert not upstream.strange, "the upstream is sent nothing that it could misread"


def cuts(sent: bytes) -> Iterator[list[bytes]]:
    """Return it in pieces of one byte, and then in two pieces, split at each place."""
    yield [sent[at : at + 1] for at in range(len(sent))]
    for at in range(1, len(sent)):
        yield [sent[:at], sent[at:]]


REFUSAL = ((400,), True, b"")


@pytest.mark.parametrize("case", REFUSED)
async def test_what_can_be_read_in_two_ways_is_refused_however_it_arrives(case: str) -> None:
    async with running() as rig:
        for name, way in WAYS.items():
            sent = REFUSED[case].replace(b"/x", way.target)
            # When all comes in one piece, the proxy must close the connection by itself.
            replies = await rig.send_pieces(name, [sent], 1, wait_for_end=True)
            assert (replies.statuses, replies.closing, replies.rest) == REFUSAL
            assert b"smuggled" not in replies.answers[0][1]
            for pieces in cuts(sent):
                replies = await rig.send_pieces(name, pieces, 1)
                assert (replies.statuses, replies.closing, replies.rest) == REFUSAL, pieces
                if name in {"bundle", "blocked page"}:
                    break  # read in the same way as pages, so byte by byte is enough
        assert rig.upstream.requests == [], "no whole request went up"
        assert not any(b"smuggled" in each for each in rig.upstream.raw)
        await rig.another_is_fine()


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def normal(replies: Replies) -> bytes:
    """Return everything that came, without request ids and without 100 (Continue), which may not be needed."""
    return re.sub(rb"(?m)^X-Request-Id: .*$", b"X-Request-Id: *", replies.data.replace(CONTINUE, b""))


def outcome(replies: Replies, upstream: Echoing) -> tuple[list[int], list[bytes]]:
    """Return the final statuses, and what went up for them."""
    went = upstream.requests[:]
    upstream.requests.clear()
    assert not replies.rest
    final = [(status, body) for status, body in replies.answers if status >= 200]
    assert [body for status, body in final if status == 200] == went, "each was answered with what it sent"
    return [status for status, _ in final], went


def wanted(case: Taken, way: Way) -> tuple[list[int], list[bytes]]:
    """Return the expected statuses, and the bodies that must go up."""
    statuses = [way.answered if status == 200 else status for status in case.answers]
    return statuses, list(case.bodies) if way.answered == 200 else []


def bodies_of(requests: list[bytes]) -> list[bytes]:
    return [each.partition(b"\r\n\r\n")[2] for each in requests]


def ways_of(case: Taken) -> dict[str, Way]:
    """Return the ways for a case. Only a POST with a JSON body can be a page."""
    fits = case.on_pages and case.sent.lstrip().startswith(b"POST")
    return {name: way for name, way in WAYS.items() if fits or "page" not in name}


@pytest.mark.parametrize("case", TAKEN)
async def test_what_is_odd_and_right_is_the_same_request_however_it_arrives(case: str) -> None:
    async with running() as rig:
        for name, way in ways_of(TAKEN[case]).items():
            sent = TAKEN[case].sent.replace(b"/x", way.target)
            statuses, bodies = wanted(TAKEN[case], way)
            replies = await rig.send_pieces(name, [sent], len(statuses))
            answered, whole = normal(replies), outcome(replies, rig.upstream)
            assert whole[0] == statuses
            assert bodies_of(whole[1]) == bodies
            for head in whole[1]:
                assert head.split(b" ")[1] == way.target
                assert b"6.6.6.6" not in head, "no client may choose its address"
            for pieces in cuts(sent):
                replies = await rig.send_pieces(name, pieces, len(statuses))
                assert outcome(replies, rig.upstream) == whole, pieces
                assert normal(replies) == answered, pieces
        await rig.another_is_fine()


@pytest.mark.parametrize("case", POISONED)
async def test_a_bad_request_behind_a_good_one_takes_nothing_with_it_but_its_connection(case: str) -> None:
    async with running() as rig:
        for name, way in ways_of(POISONED[case]).items():
            sent = POISONED[case].sent.replace(b"/x", way.target)
            statuses, bodies = wanted(POISONED[case], way)
            for pieces in ([sent], *cuts(sent)):
                replies = await rig.send_pieces(name, pieces, len(statuses))
                got, went = outcome(replies, rig.upstream)
                # The last request of a connection may be answered without an answer to what came behind it.
                assert got == statuses[-len(got) :] or got == statuses[:-1], pieces
                assert bodies_of(went) == bodies[: len(went)]
                assert replies.closing
        assert not any(b"smuggled" in each for each in rig.upstream.raw)
        await rig.another_is_fine()


@pytest.mark.parametrize("case", BEHIND_CHUNKS)
async def test_no_trailer_becomes_a_header_of_the_request_behind_it(case: str) -> None:
    """The parser keeps the last trailer for the next head, so no request may follow a chunked one."""
    async with running() as rig:
        for name, way in WAYS.items():
            sent = BEHIND_CHUNKS[case].replace(b"/x", way.target)
            for pieces in ([sent], *cuts(sent)):
                replies = await rig.send_pieces(name, pieces, 1, wait_for_end=True)
                got, went = outcome(replies, rig.upstream)
                assert got in ([way.answered], [400]), pieces
                assert replies.closing
                assert len(went) == got.count(200)
        assert not any(b"smuggled" in each for each in rig.upstream.raw)
        await rig.another_is_fine()
