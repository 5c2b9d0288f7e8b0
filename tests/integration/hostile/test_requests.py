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
from support.pieces import Told, tell

PROBE = b"POST /probe HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Way:
    """One way through the program."""

    target: bytes
    answered: int = 200
    """What a request gets that is taken."""


WAYS = {
    "streamed": Way(b"/x"),
    "page": Way(b"/rec/page"),
    "bundle": Way(b"/rec/bundle?OrgId=o-1"),
    "blocked page": Way(b"/rec/page", 202),
}


@dataclass(frozen=True, slots=True)
class Rig:
    """Two proxies, of which one blocks every page, before one upstream."""

    ports: Mapping[str, int]
    upstream: Echoing

    async def tell(self, way: str, pieces: list[bytes], wanted: int, *, wait_for_end: bool = False) -> Told:
        return await tell(self.ports[way], pieces, wanted, wait_for_end=wait_for_end)

    async def another_is_fine(self) -> None:
        """A request on another connection is answered, and none of the connections to the upstream are lost."""
        for port in set(self.ports.values()):
            assert (await tell(port, [PROBE], 1)).statuses == (200,)
            assert self.upstream.requests.pop().endswith(b"\r\n\r\nok")


@asynccontextmanager
async def running() -> AsyncIterator[Rig]:
    async with echoing() as upstream:
        # The bodies of the cases are no pages with a URL; what is judged of them is not the matter here.
        config = {"upstream": {"url": upstream.url}, "filters": {"url": {"mode": "off"}}}
        async with in_process(config) as one, in_process({**config, "orgs": {"unlisted": "block"}}) as blocking:
            ports = {name: (blocking if way.answered == 202 else one).port for name, way in WAYS.items()}
            yield Rig(ports, upstream)
        assert not upstream.strange, "the upstream is sent nothing that it could misread"


def cuts(sent: bytes) -> Iterator[list[bytes]]:
    """In pieces of one byte, then in two for each place between two bytes."""
    yield [sent[at : at + 1] for at in range(len(sent))]
    for at in range(1, len(sent)):
        yield [sent[:at], sent[at:]]


REFUSAL = ((400,), True, b"")


@pytest.mark.parametrize("case", REFUSED)
async def test_what_can_be_read_in_two_ways_is_refused_however_it_arrives(case: str) -> None:
    async with running() as rig:
        for name, way in WAYS.items():
            sent = REFUSED[case].replace(b"/x", way.target)
            # In one piece, the connection must be closed without our asking.
            told = await rig.tell(name, [sent], 1, wait_for_end=True)
            assert (told.statuses, told.closing, told.rest) == REFUSAL
            assert b"smuggled" not in told.answers[0][1]
            for pieces in cuts(sent):
                told = await rig.tell(name, pieces, 1)
                assert (told.statuses, told.closing, told.rest) == REFUSAL, pieces
                if name in {"bundle", "blocked page"}:
                    break  # read as pages are: byte by byte is enough
        assert rig.upstream.requests == [], "no whole request went up"
        assert not any(b"smuggled" in each for each in rig.upstream.raw)
        await rig.another_is_fine()


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def normal(told: Told) -> bytes:
    """All that came but the ids of requests. An invitation to go on depends on whether there was any need."""
    return re.sub(rb"(?m)^X-Request-Id: .*$", b"X-Request-Id: *", told.data.replace(CONTINUE, b""))


def outcome(told: Told, upstream: Echoing) -> tuple[list[int], list[bytes]]:
    """Final statuses, and what went up for them."""
    went = upstream.requests[:]
    upstream.requests.clear()
    assert not told.rest
    final = [(status, body) for status, body in told.answers if status >= 200]
    assert [body for status, body in final if status == 200] == went, "each was answered with what it sent"
    return [status for status, _ in final], went


def wanted(case: Taken, way: Way) -> tuple[list[int], list[bytes]]:
    """What it must come to: statuses, and bodies that go up."""
    statuses = [way.answered if status == 200 else status for status in case.answers]
    return statuses, list(case.bodies) if way.answered == 200 else []


def bodies_of(requests: list[bytes]) -> list[bytes]:
    return [each.partition(b"\r\n\r\n")[2] for each in requests]


def ways_of(case: Taken) -> dict[str, Way]:
    """Pages have no other method than POST, and no body that is not JSON."""
    fits = case.on_pages and case.sent.lstrip().startswith(b"POST")
    return {name: way for name, way in WAYS.items() if fits or "page" not in name}


@pytest.mark.parametrize("case", TAKEN)
async def test_what_is_odd_and_right_is_the_same_request_however_it_arrives(case: str) -> None:
    async with running() as rig:
        for name, way in ways_of(TAKEN[case]).items():
            sent = TAKEN[case].sent.replace(b"/x", way.target)
            statuses, bodies = wanted(TAKEN[case], way)
            told = await rig.tell(name, [sent], len(statuses))
            answered, whole = normal(told), outcome(told, rig.upstream)
            assert whole[0] == statuses
            assert bodies_of(whole[1]) == bodies
            for head in whole[1]:
                assert head.split(b" ")[1] == way.target
                assert b"6.6.6.6" not in head, "nobody is who he says he is"
            for pieces in cuts(sent):
                told = await rig.tell(name, pieces, len(statuses))
                assert outcome(told, rig.upstream) == whole, pieces
                assert normal(told) == answered, pieces
        await rig.another_is_fine()


@pytest.mark.parametrize("case", POISONED)
async def test_a_bad_request_behind_a_good_one_takes_nothing_with_it_but_its_connection(case: str) -> None:
    async with running() as rig:
        for name, way in ways_of(POISONED[case]).items():
            sent = POISONED[case].sent.replace(b"/x", way.target)
            statuses, bodies = wanted(POISONED[case], way)
            for pieces in ([sent], *cuts(sent)):
                told = await rig.tell(name, pieces, len(statuses))
                got, went = outcome(told, rig.upstream)
                # The last one of a connection may be answered without a word on what came behind it.
                assert got == statuses[-len(got) :] or got == statuses[:-1], pieces
                assert bodies_of(went) == bodies[: len(went)]
                assert told.closing
        assert not any(b"smuggled" in each for each in rig.upstream.raw)
        await rig.another_is_fine()


@pytest.mark.parametrize("case", BEHIND_CHUNKS)
async def test_no_trailer_becomes_a_header_of_the_request_behind_it(case: str) -> None:
    """The parser keeps the last trailer for the next head: behind chunks there is none."""
    async with running() as rig:
        for name, way in WAYS.items():
            sent = BEHIND_CHUNKS[case].replace(b"/x", way.target)
            for pieces in ([sent], *cuts(sent)):
                told = await rig.tell(name, pieces, 1, wait_for_end=True)
                got, went = outcome(told, rig.upstream)
                assert got in ([way.answered], [400]), pieces
                assert told.closing
                assert len(went) == got.count(200)
        assert not any(b"smuggled" in each for each in rig.upstream.raw)
        await rig.another_is_fine()
