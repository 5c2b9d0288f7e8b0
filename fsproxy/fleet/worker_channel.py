"""The channel between the supervisor and one worker: a pair of sockets.

The supervisor sends the orders, and the worker sends one byte when it listens. An end of file means that the other
process is gone. Besides, the supervisor uses signals and the worker's private admin socket.
"""

from __future__ import annotations

import asyncio
import io
import pickle
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from fsproxy.config.schema import Config, ModeSwitch
from fsproxy.fleet.worker_conditions import packed_conditions
from fsproxy.reload.build_generation import Source
from fsproxy.telemetry.conditions import Condition

LISTENING = b"!"


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker starts with. The configuration is the one in force, whatever the file contains by now."""

    number: int
    """From 1; a worker's replacement has its number."""
    admin: str
    """The path of its private admin socket."""
    config: Config
    source: Source
    generation: int
    switch: ModeSwitch | None
    """The mode that the admin API has set; None: the configuration's."""
    instance: str
    """The name of all workers on the admin port."""
    passage: str
    """The name of all workers in ``CDN-Loop``."""
    among: int
    """How many workers there are."""
    after: int | None
    """How many listeners the program has that is taken over; None: no program is."""


class WorkerChannel:
    """A worker's end of the channel."""

    def __init__(self, orders: Orders, channel: socket.socket) -> None:
        self.orders = orders
        self.supervisor_is_gone = False
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

    def watch_supervisor(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
        """Call ``stop`` when the supervisor is gone, however it ended: no worker outlives it for long."""
        self._channel.setblocking(False)

        def look() -> None:
            with suppress(BlockingIOError):
                try:
                    if self._channel.recv(1):
                        return
                except ConnectionError:
                    pass
                loop.remove_reader(self._channel.fileno())
                self.supervisor_is_gone = True
                stop()

        loop.add_reader(self._channel.fileno(), look)


def packed(orders: Orders) -> bytes:
    """Return the orders in the form in which they are sent."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(orders)
    return buffer.getvalue()


def received(channel: socket.socket) -> Orders | None:
    """Return the orders; None when the supervisor ended before it had sent them. This blocks."""
    with channel.dup() as copy, copy.makefile("rb") as stream, suppress(EOFError, pickle.UnpicklingError):
        # Only the process that made this pair of sockets can have written these bytes.
        return cast("Orders", pickle.load(stream))  # noqa: S301
    return None


class _Pickler(pickle.Pickler):
    """A pickler for the configuration's mappings: they are read-only views, which pickle does not know."""

    def reducer_override(self, value: object) -> Any:
        if isinstance(value, MappingProxyType):
            return _view, (dict(value),)
        return NotImplemented


def _view(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)
