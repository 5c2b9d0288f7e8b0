"""One request as a handler sees it, and how a handler is begun: without a task, where nothing is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    from fsproxy.shell.connection import ClientConnection

KEEP, CLOSE = True, False
"""What a handler returns: whether the connection may carry another request."""


def _refusal(status: str, title: str) -> bytes:
    body = b'{"type":"about:blank","title":"%b","status":%b}' % (title.encode(), status[:3].encode())
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (status.encode(), len(body), body)
    )


BAD_REQUEST = _refusal("400 Bad Request", "Malformed HTTP request")
HEAD_TOO_LARGE = _refusal("431 Request Header Fields Too Large", "The request's head is larger than server.max_header")


class Incoming:
    """One request: its head, and its body as it arrives."""

    __slots__ = ("connection", "message", "on_gone", "payload")

    def __init__(self, message: RawRequestMessage, payload: StreamReader, connection: ClientConnection) -> None:
        self.message = message
        self.payload = payload
        self.connection = connection
        self.on_gone: Callable[[], None] | None = None
        """Called when the client goes away before the answer is complete."""


Handling = Coroutine[Any, Any, bool]
Handler = Callable[[Incoming], Handling]


def begin(
    handling: Handling, loop: asyncio.AbstractEventLoop, *, as_task: bool
) -> tuple[bool, asyncio.Task[bool] | None]:
    """Begin a handler right here: (keep, None) if it ended at once, else the task that it became.

    A task costs a request more than judging it does. ``as_task``: the handler may wait in ways that only a
    task can (``asyncio.timeout``), so it is one from the start. Raises what the handler raises.
    """
    if as_task:
        return CLOSE, loop.create_task(handling)
    try:
        waited_for = handling.send(None)
    except StopIteration as done:
        return done.value, None
    return CLOSE, loop.create_task(_go_on(handling, waited_for))


async def drain(payload: StreamReader, seconds: float) -> bool:
    """Read a body to its end and forget it; False if that took too long or broke."""
    try:
        async with asyncio.timeout(seconds):
            while await payload.readany():
                pass
    except Exception:  # noqa: BLE001 - however the body ends, it was answered
        return False
    return True


class HeadGuard:
    """Bounds a head's size as a whole; the parser bounds a line's."""

    __slots__ = ("_limit", "_measure", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._measure = False

    @property
    def begun(self) -> bool:
        """Some of a head has come, and not yet all."""
        return self._size > 0

    def came_in_part(self, size: int) -> bool:
        """Count bytes of a head that is not complete; True when they are too many."""
        self._size += size
        return self._size > self._limit

    def came_whole(self, size: int) -> None:
        """A head is complete, with ``size`` bytes of which some may be its body's."""
        self._measure = self._measure or self._size + size > self._limit
        self._size = 0

    def is_too_large(self, message: RawRequestMessage) -> bool:
        """Added up only where so much was ever read at once."""
        if not self._measure:
            return False
        size = sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
        return size + len(message.path) > self._limit


@coroutine
def _go_on(handling: Handling, waited_for: Any) -> Generator[Any, Any, bool]:
    """Hand a coroutine that was begun without a task over to one: first wait for what it already waits for."""
    while True:
        try:
            value = yield waited_for
        except BaseException as error:  # noqa: BLE001 - whatever is thrown at a task belongs to the coroutine
            thrown: BaseException | None = error
        else:
            thrown = None
        try:
            waited_for = handling.send(value) if thrown is None else handling.throw(thrown)
        except StopIteration as done:
            result: bool = done.value
            return result
