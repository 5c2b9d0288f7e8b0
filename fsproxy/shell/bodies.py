"""Request bodies, read or passed on: bounded in size and in time."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Self

from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from fsproxy.core.failures import Failure
from fsproxy.shell.incoming import WholeBody
from fsproxy.shell.sweeper import Sweeper, Timed
from fsproxy.shell.transaction import Transaction

if TYPE_CHECKING:
    from fsproxy.shell.exchange import Exchange

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyError(Exception):
    """A body that is not read to its end; ``failure`` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class BodyClock(Timed):
    """Fails a body's reader once it has waited too long: for the whole body, or for its next bytes."""

    __slots__ = ("_loop_time", "_payload", "_seconds", "_sweeper", "due")

    def __init__(self, tx: Transaction, sweeper: Sweeper) -> None:
        self.due = inf
        self._payload: StreamReader | WholeBody = tx.request.payload
        self._seconds = tx.generation.config.server.body_timeout
        self._loop_time = sweeper.time
        self._sweeper = sweeper

    def __enter__(self) -> Self:
        self.restart()
        self._sweeper.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._sweeper.discard(self)

    def restart(self) -> None:
        """Some bytes came: the next gap begins."""
        self.due = self._loop_time() + self._seconds

    def stop(self) -> None:
        """Nobody waits for the client right now."""
        self.due = inf

    def expire(self) -> None:
        """Timed: too long. Said again later, as a reader that was woken in this same moment does not hear it."""
        self.restart()
        self._payload.set_exception(BodyError(Failure.BODY_TIMEOUT))


def declared_length(tx: Transaction) -> int | None:
    """The Content-Length, which the parser has checked; None without one.

    Raises BodyError for what it lets through: a coding beside chunked, which would go up without its name, and any
    from HTTP/1.0, which knows none (RFC 9112 6.1).
    """
    coding = tx.headers.get(b"transfer-encoding")
    if coding is not None and (coding.lower() != b"chunked" or tx.request.is_http10):
        tx.close = True
        raise BodyError(Failure.BAD_REQUEST)
    return tx.request.length


def refuse_too_large(tx: Transaction, size: int | None) -> None:
    """Raise BodyError for a body over the limit of its route: a retry would never help, so 413 everywhere."""
    if size is not None and size > tx.most_body:
        tx.close = True
        raise BodyError(Failure.BODY_TOO_LARGE)


def invite(tx: Transaction) -> None:
    """A client that asks before it sends its body is told to go on (RFC 9110 10.1.1); one of HTTP/1.0 cannot ask."""
    asked = tx.headers.get(b"expect", b"").lower() == b"100-continue" and not tx.request.is_http10
    if asked and not tx.request.payload.is_eof():
        tx.request.connection.write(CONTINUE)


async def read_body(tx: Transaction, sweeper: Sweeper) -> bytes:
    """The whole body of a request, as it comes. Raises BodyError: 413 too large, 408 too slow, 400 broken framing."""
    refuse_too_large(tx, declared_length(tx))
    invite(tx)
    parts: list[bytes] = []
    with BodyClock(tx, sweeper):
        while True:
            part = await read_part(tx)
            if not part:
                return b"".join(parts)
            parts.append(part)


def take_body(tx: Transaction) -> bytes:
    """The whole body, which is there already. Raises BodyError as ``read_body`` does."""
    refuse_too_large(tx, declared_length(tx))
    body = tx.request.payload.read_nowait(-1)
    tx.bytes_in = len(body)
    refuse_too_large(tx, tx.bytes_in)
    return body


async def read_part(tx: Transaction) -> bytes:
    """The next bytes of the body, counted; ``b""`` at its end. Raises BodyError."""
    try:
        part = await tx.request.payload.readany()
    except RequestPayloadError:
        tx.close = True
        raise BodyError(Failure.BAD_REQUEST) from None
    except BodyError:
        tx.close = True
        raise
    tx.bytes_in += len(part)
    refuse_too_large(tx, tx.bytes_in)
    return part


async def pump(tx: Transaction, exchange: Exchange, sweeper: Sweeper, *, chunked: bool) -> None:
    """Pass a body on to an exchange as it comes; a body that breaks, or takes too long, ends the exchange."""
    invite(tx)
    try:
        with BodyClock(tx, sweeper) as clock:
            while part := await read_part(tx):
                clock.stop()
                framed = b"%x\r\n%b\r\n" % (len(part), part) if chunked else part
                if not await exchange.write(framed):
                    return
                clock.restart()
        if chunked:
            await exchange.write(LAST_CHUNK)
        exchange.body_complete()
    except BodyError as error:
        exchange.abort(error.failure)
    except ConnectionError:
        exchange.abort(Failure.CLIENT_GONE)
