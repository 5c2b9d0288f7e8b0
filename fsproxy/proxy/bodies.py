"""Request bodies, read whole or passed on as they come: bounded in size and in time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Self

from fsproxy.clock import monotonic_ns
from fsproxy.core.failures import Failure
from fsproxy.http.aiohttp_parts import BrokenBodyError
from fsproxy.http.response_writer import LAST_CHUNK
from fsproxy.http.sweeper import Sweeper
from fsproxy.proxy.flow import Flow

if TYPE_CHECKING:
    from fsproxy.http.upstream.exchange import UpstreamExchange

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
STREAM_GRACE = 30.0
"""Seconds at the beginning of a streamed body in which it may come more slowly than ``server.body_rate``."""
LONGEST_READ = 300.0
"""Seconds that a body that is read whole may take, however fast it comes."""
OPENING_BYTES = 64 * 1024
OPENING_SECONDS = 1.0
"""A streamed body holds no upstream connection before so many bytes or its end have come, or so much time is over."""


class BodyError(Exception):
    """A body was not read to its end; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class BodyClock:
    """Ends a body that comes too slowly (rules.md 4). Only the time in which we wait for the client counts.

    No gap may be longer than ``server.body_timeout``. A body has that long as a whole (a streamed one STREAM_GRACE
    seconds), and earns a second more with each ``server.body_rate`` bytes that come: a client that keeps that rate on
    average is never cut off. No more than LONGEST_READ seconds are earned in advance: a large beginning buys no right
    to stay for hours. A body that is read whole must end within LONGEST_READ seconds, or ``body_timeout`` if that is
    more.
    """

    shortest = 0.0
    __slots__ = (
        "_counted",
        "_earned",
        "_flow",
        "_gap",
        "_grace",
        "_longest",
        "_loop_time",
        "_rate",
        "_since",
        "_sweeper",
        "_waited",
        "due",
    )

    def __init__(self, flow: Flow, sweeper: Sweeper, *, streamed: bool) -> None:
        server = flow.generation.config.server
        self.due = inf
        self._flow = flow
        self._sweeper = sweeper
        self._loop_time = sweeper.time
        self._gap = server.body_timeout
        self._rate = server.body_rate
        self._grace = STREAM_GRACE if streamed else server.body_timeout
        self._longest = inf if streamed else max(LONGEST_READ, server.body_timeout)
        self._counted = 0
        self._earned = self._waited = self._since = 0.0

    def __enter__(self) -> Self:
        self.start()
        self._sweeper.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._sweeper.discard(self)

    def start(self) -> None:
        """Count the time from now on: the client is waited for."""
        self._since = self._loop_time()
        new, self._counted = self._flow.bytes_in - self._counted, self._flow.bytes_in
        self._earned = min(self._earned + new / self._rate, self._waited + LONGEST_READ)
        allowed = min(self._grace + self._earned, self._longest)
        self.due = self._since + min(self._gap, allowed - self._waited)

    def stop(self) -> None:
        """Stop counting: something else is waited for."""
        self._waited += self._loop_time() - self._since
        self.due = inf

    def restart(self) -> None:
        """Begin the next gap: some bytes came."""
        self.stop()
        self.start()

    def expire(self) -> None:
        """See ``sweeper.Timed``. Wake again after a gap, as a reader that was woken in this moment misses this."""
        self.due = self._loop_time() + self._gap
        self._flow.payload.set_exception(BodyError(Failure.BODY_TIMEOUT))


def declared_length(flow: Flow) -> int | None:
    """Return the Content-Length, which the parser has checked; None without one.

    Raises BodyError for what the parser lets through: another coding than chunked, which would go up without its name,
    and any coding from HTTP/1.0, which knows none (RFC 9112 6.1).
    """
    coding = flow.headers.get(b"transfer-encoding")
    if coding is not None and (coding.lower() != b"chunked" or flow.is_http10):
        flow.close = True
        raise BodyError(Failure.BAD_REQUEST)
    return flow.length


def refuse_too_large(flow: Flow, size: int | None) -> None:
    """Raise BodyError for a body over the limit of its route: a retry would never help, so 413 everywhere."""
    if size is not None and size > flow.most_body:
        flow.close = True
        raise BodyError(Failure.BODY_TOO_LARGE)


def invite(flow: Flow) -> None:
    """Answer 100 to a client that asks before it sends its body (RFC 9110 10.1.1); one of HTTP/1.0 cannot ask."""
    asked = flow.headers.get(b"expect", b"").lower() == b"100-continue" and not flow.is_http10
    if asked and not flow.payload.is_eof():
        flow.connection.write(CONTINUE)


async def read_body(flow: Flow, sweeper: Sweeper) -> bytes:
    """Return the whole body of a request. Raises BodyError: 413 too large, 408 too slow, 400 broken framing."""
    if flow.payload.is_eof():
        return take_body(flow)
    refuse_too_large(flow, declared_length(flow))
    invite(flow)
    parts: list[bytes] = []
    with BodyClock(flow, sweeper, streamed=False) as clock:
        while part := await read_part(flow):
            parts.append(part)
            clock.restart()
    return b"".join(parts)


def take_body(flow: Flow) -> bytes:
    """Return the whole body, which has come already. Raises BodyError as ``read_body`` does."""
    length = declared_length(flow)
    refuse_too_large(flow, length)
    body = flow.payload.read_nowait(-1)
    flow.bytes_in = len(body)
    if length is None:
        refuse_too_large(flow, flow.bytes_in)
    return body


async def read_part(flow: Flow) -> bytes:
    """Return the next bytes of the body, and count them; ``b""`` at its end. Raises BodyError."""
    try:
        part = await flow.payload.readany()
    except BrokenBodyError:
        flow.close = True
        raise BodyError(Failure.BAD_REQUEST) from None
    except BodyError:
        flow.close = True
        raise
    flow.bytes_in += len(part)
    refuse_too_large(flow, flow.bytes_in)
    return part


async def pump(flow: Flow, exchange: UpstreamExchange, sweeper: Sweeper, *, chunked: bool) -> None:
    """Start an exchange once its body has begun to come, and pass the body on.

    A body that breaks off or comes too slowly ends the exchange.
    """
    invite(flow)
    try:
        with BodyClock(flow, sweeper, streamed=True) as clock:
            part = await _opening(flow, clock)
            flow.sent_ns = monotonic_ns()
            exchange.start()
            part = part or await read_part(flow)
            while part:
                clock.stop()
                framed = b"%x\r\n%b\r\n" % (len(part), part) if chunked else part
                if not await exchange.write(framed):
                    return
                clock.start()
                part = await read_part(flow)
        if chunked:
            await exchange.write(LAST_CHUNK)
        exchange.body_complete()
    except BodyError as error:
        exchange.abort(error.failure)
    except ConnectionError:
        exchange.abort(Failure.CLIENT_GONE)


async def _opening(flow: Flow, clock: BodyClock) -> bytes:
    """Return the part of a body that comes before it may hold an upstream connection. Raises BodyError."""
    parts: list[bytes] = []
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(OPENING_SECONDS):
            while size < OPENING_BYTES and (part := await read_part(flow)):
                parts.append(part)
                size += len(part)
                clock.restart()
    return b"".join(parts)
