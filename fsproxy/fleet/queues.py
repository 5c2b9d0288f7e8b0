"""The queues of new connections on the data port: who keeps them, and from which of them a process accepts.

Each worker has a queue, into which the kernel puts its share of the new connections (SO_REUSEPORT). The supervisor
makes all queues and keeps them as long as the program runs. So a queue outlives its worker: the other workers accept
from it until its own worker is replaced, and if there are none, connections wait in it. A unix socket is one queue for
all workers.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from fsproxy.admin.backend import AdminBackend
from fsproxy.config.problems import HostError
from fsproxy.config.schema import Config, ListenConfig
from fsproxy.config.tls import server_context
from fsproxy.fleet.binding import GivenSockets
from fsproxy.fleet.descriptors import are_used_up
from fsproxy.fleet.listening import bind_shared, port_faults, require_free
from fsproxy.fleet.take_over import Predecessor
from fsproxy.http.connection import ClientConnection
from fsproxy.http.header_listener import HeaderListener
from fsproxy.http.server import DataServer

log = structlog.get_logger("fsproxy")
BACKLOG = 4096
ACCEPT_SECONDS = 2.0
"""The time to accept what waits in a queue before it is closed. A full queue takes less than a second."""

Queue = Sequence[socket.socket]
"""One socket for each address of ``listen``."""


async def open_queues(to: ListenConfig, count: int, given: GivenSockets | None = None) -> list[Queue]:
    """Open so many queues, or one for a unix socket. Raise HostError.

    Nothing accepts yet: a socket listens once a process begins to accept from it. ``given``: the sockets of the program
    that is taken over, all of which are used. So there may be more queues than asked for.
    """
    given = given or GivenSockets()
    if to.unix is not None:
        return [[given.take(socket.AF_UNIX, to.unix) or await _at_path(to, to.unix)]]
    queues: list[Queue] = [await bind_shared(to, given)]
    with ExitStack() as stack:
        stack.callback(close_queue, queues[0])
        while len(queues) < count:
            queues.append(await bind_shared(to, given, queues[0][0].getsockname()[1]))
            stack.callback(close_queue, queues[-1])
        stack.pop_all()
    places = [(each.family, each.getsockname()) for each in queues[0]]
    while more := [found for place in places if (found := given.take(*place)) is not None]:
        queues.append(more)
    return queues


async def _at_path(to: ListenConfig, path: str) -> socket.socket:
    await require_free(to)
    with port_faults(to), ExitStack() as stack:
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - a crash has left it behind, or it would not be free
        made = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        made.setblocking(False)
        made.bind(path)
        stack.pop_all()
    return made


def remove_path(to: ListenConfig, backend: AdminBackend, predecessor: Predecessor | None) -> None:
    """Remove the path of a unix socket at the end of the program, unless another program listens there.

    ``predecessor``: the program that this one takes over from. It goes on if this one could not start.
    """
    is_others = backend.taken_over or (predecessor is not None and predecessor.goes_on)
    if to.unix is not None and not is_others:
        Path(to.unix).unlink(missing_ok=True)


def close_queue(queue: Queue) -> None:
    """Close this process's sockets of a queue. The connections in it are reset when no process keeps it any more."""
    for each in queue:
        each.close()


class Listener(Protocol):
    """What accepts connections from one socket."""

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The socket."""
        ...

    def close(self) -> None:
        """Accept no more."""
        ...


Accept = Callable[[socket.socket], Awaitable[Listener]]
"""Begins to accept from a socket."""


def accepting(server: DataServer, config: Config) -> Accept:
    """Return what has ``server`` serve the connections of a socket."""
    to, loop, connection = config.listen, asyncio.get_running_loop(), partial(ClientConnection, server)
    options: dict[str, Any] = {"backlog": BACKLOG}
    if to.tls is not None:
        options |= {"ssl": server_context(to.tls), "ssl_handshake_timeout": config.server.header_timeout}
    # From Python 3.13 on, a listener would remove the path, at which others still listen.
    keeping: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}

    async def accept(each: socket.socket) -> Listener:
        if to.proxy_protocol:
            return HeaderListener(each, server, **options)
        if to.unix is not None:
            return await loop.create_unix_server(connection, sock=each, **options, **keeping)
        return await loop.create_server(connection, sock=each, **options)

    return accept


class Listeners:
    """The queues from which this process accepts client connections."""

    def __init__(self, accept: Accept, to: ListenConfig) -> None:
        self._accept = accept
        self._to = to
        self._changes = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._by_queue: dict[int, list[Listener]] = {}

    async def add(self, number: int, queue: Queue) -> None:
        """Accept from a queue from now on. Its sockets are closed when that ends. Raise HostError."""
        async with self._changes:
            with port_faults(self._to), ExitStack() as stack:
                stack.callback(close_queue, queue)
                if self._is_closed or number in self._by_queue:
                    return
                listeners = list[Listener]()
                for each in queue:
                    each.setblocking(False)
                    listeners.append(await self._accept(each))
                    stack.callback(listeners[-1].close)
                stack.pop_all()
                self._by_queue[number] = listeners

    async def add_all(self, queues: Sequence[Queue]) -> list[socket.socket]:
        """Accept from all queues that there are. Return their sockets. Raise HostError."""
        for number, queue in enumerate(queues, 1):
            await self.add(number, queue)
        return [each for queue in queues for each in queue]

    async def remove(self, number: int) -> None:
        """Accept no more from a queue, which another process keeps."""
        async with self._changes:
            await close_listeners(self._by_queue.pop(number, ()))

    def change(self, number: int, queue: Queue) -> None:
        """Accept from a queue soon, or, without sockets, no more. Changes are made one after the other."""

        async def change() -> None:
            try:
                await (self.add(number, queue) if queue else self.remove(number))
            except HostError as error:
                log.error("connections of another worker cannot be accepted", fault=str(error))  # noqa: TRY400

        task = asyncio.get_running_loop().create_task(change())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, *, accept: bool = True) -> None:
        """Close all. ``accept``: accept every connection first that waits already, for at most ACCEPT_SECONDS.

        What waits in a queue that is closed by the last one who keeps it is reset.
        """
        async with self._changes:
            self._is_closed = True
            listeners = [each for found in self._by_queue.values() for each in found]
            self._by_queue.clear()
            if accept:
                await _accept_all(listeners)
            await close_listeners(listeners)


async def _accept_all(listeners: Sequence[Listener]) -> None:
    waiting = select.poll()
    for listener in listeners:
        for each in listener.sockets:
            waiting.register(each.fileno(), select.POLLIN)
    loop = asyncio.get_running_loop()
    until = loop.time() + ACCEPT_SECONDS
    # The loop accepts one connection of each listener in a turn, and none while descriptors have run out.
    while waiting.poll(0) and loop.time() < until and not are_used_up():  # noqa: ASYNC110 - asyncio has no event for it
        await asyncio.sleep(0)


async def close_listeners(listeners: Collection[Listener]) -> None:
    """Accept no more, and serve what was accepted.

    asyncio begins to serve a connection in the turn after it was accepted. If its listener is closed in between, the
    client is neither served nor reset.
    """
    loop = asyncio.get_running_loop()
    for listener in listeners:
        for each in listener.sockets:
            loop.remove_reader(each.fileno())
    await asyncio.sleep(0)
    for listener in listeners:
        listener.close()
