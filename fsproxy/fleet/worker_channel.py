"""The channel between the supervisor and one worker: a pair of sockets.

The supervisor sends the orders, and the worker sends one byte when it listens. From then on the supervisor gives it
queues of other workers and takes them back, and the worker sends its conditions, and that it leaves. An end of file
means that the other process is gone. Besides, the supervisor uses signals and the worker's private admin socket.
"""

from __future__ import annotations

import asyncio
import io
import pickle
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import structlog

from fsproxy.config.schema import Config, ModeSwitch
from fsproxy.fleet.worker_conditions import packed_conditions
from fsproxy.reload.build_generation import Source
from fsproxy.telemetry.conditions import Condition

LISTENING = b"!"
LEAVING = b"-\n"
_LINE = struct.Struct("I")
"""The number of a queue. It is written and read in one piece, together with the sockets."""
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
MOST_SOCKETS = 64
"""Addresses on which a program listens."""
log = structlog.get_logger("fsproxy")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker starts with, together with the configuration in force, whatever the file contains by now."""

    number: int
    """From 1; a worker's replacement has its number."""
    admin: str
    """The path of its private admin socket."""
    source: Source
    generation: int
    switch: ModeSwitch | None
    """The mode that the admin API has set; None: the configuration's."""
    instance: str
    """The name of all workers on the admin port."""
    passage: str
    """The name of all workers in ``CDN-Loop``."""
    queue: tuple[int, ...]
    """The descriptors of the sockets from which it accepts: its own queue, which it inherits."""


class WorkerChannel:
    """A worker's end of the channel."""

    def __init__(self, orders: Orders, channel: socket.socket) -> None:
        self.orders = orders
        self.supervisor_is_gone = False
        self.take_queue: Callable[[int, list[socket.socket]], object] = lambda _, __: None
        """Called with the number of a queue and its sockets, to accept from it; with none, to accept no more."""
        self.queue = [socket.socket(fileno=each) for each in orders.queue]
        """The sockets from which this worker accepts: its own queue."""
        self._listens = False
        self._unsent = b""
        self._channel = channel

    def report_listening(self) -> None:
        """Report to the supervisor that this worker accepts connections."""
        with suppress(OSError):  # the supervisor is gone, which watch_supervisor notices
            self._channel.send(LISTENING)
        self._listens = True

    def report_conditions(self, conditions: list[Condition]) -> bool:
        """Send the present conditions to the supervisor. Return False if they must be sent once more, later."""
        if not self._listens:
            return False
        is_whole = not self._unsent
        data = self._unsent or packed_conditions(conditions)
        try:
            self._unsent = data[self._channel.send(data) :]
        except BlockingIOError:
            return False
        except OSError:  # the supervisor is gone, which watch_supervisor notices
            self._unsent = b""
        return is_whole

    def report_leaving(self) -> None:
        """Report that this worker accepts no more: others must accept from its queue."""
        # If the rest of a line is still unsent, this goes with it or not at all; then the worker's end says as much.
        if self._listens:
            self._unsent += LEAVING
            self.report_conditions([])

    def watch_supervisor(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
        """Call ``stop`` when the supervisor is gone, however it ended: no worker outlives it for long."""
        self._channel.setblocking(False)

        def look() -> None:
            with suppress(BlockingIOError):
                try:
                    line, fds, _, _ = socket.recv_fds(self._channel, _LINE.size, MOST_SOCKETS, _CLOSE_ON_EXEC)
                    if line:
                        self.take_queue(_LINE.unpack(line)[0], [socket.socket(fileno=each) for each in fds])
                        return
                except ConnectionError:
                    pass
                loop.remove_reader(self._channel.fileno())
                self.supervisor_is_gone = True
                log.error("the supervisor is gone, so this worker ends")
                stop()

        loop.add_reader(self._channel.fileno(), look)


def send_queue(channel: socket.socket, number: int, queue: Sequence[socket.socket]) -> None:
    """Give a queue to a worker that listens; no socket: have it accept no more from that queue. Raise OSError."""
    line, fds = [_LINE.pack(number)], [each.fileno() for each in queue]
    socket.send_fds(channel, line, fds) if fds else channel.sendmsg(line)


def packed(orders: Orders) -> bytes:
    """Return the orders in the form in which they are sent. The packed configuration follows."""
    return pickle.dumps(orders, pickle.HIGHEST_PROTOCOL)


class PackedConfig:
    """The configuration in the form in which it is sent: made once for all workers, off the event loop.

    With 100,000 rules that takes a second.
    """

    def __init__(self) -> None:
        self._latest: tuple[Config, asyncio.Future[bytes]] | None = None

    async def of(self, config: Config) -> bytes:
        """Return it, and keep it for the next worker."""
        if self._latest is None or self._latest[0] is not config:
            self._latest = config, asyncio.ensure_future(asyncio.to_thread(packed_config, config))
        return await asyncio.shield(self._latest[1])


def packed_config(config: Config) -> bytes:
    """Return a configuration in the form in which it is sent."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(config)
    return buffer.getvalue()


def received(channel: socket.socket) -> tuple[Orders, Config] | None:
    """Return the orders and the configuration; None when the supervisor ended before it had sent both. This blocks."""
    with channel.dup() as copy, copy.makefile("rb") as stream, suppress(EOFError, pickle.UnpicklingError):
        # Only the process that made this pair of sockets can have written these bytes.
        return cast("Orders", pickle.load(stream)), cast("Config", pickle.load(stream))  # noqa: S301
    return None


class _Pickler(pickle.Pickler):
    """A pickler for the configuration's mappings: they are read-only views, which pickle does not know."""

    def reducer_override(self, value: object) -> Any:
        if isinstance(value, MappingProxyType):
            return _view, (dict(value),)
        return NotImplemented


def _view(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)
