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
) -> tuple[bool, bool, asyncio.Task[bool] | None]:
    """Begin a handler right here: (done, keep, None) if it ended at once, else (False, False, the task it became).

    A task costs a request more than judging it does. ``as_task``: the handler may wait in ways that only a
    task can (``asyncio.timeout``), so it is one from the start. Raises what the handler raises.
    """
    if as_task:
        return False, False, loop.create_task(handling)
    try:
        waited_for = handling.send(None)
    except StopIteration as done:
        return True, done.value, None
    return False, False, loop.create_task(_go_on(handling, waited_for))


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
