"""One process's place among several: what it is told at its start, and how it stays in touch with its supervisor.

Both ends of a socket pair are all there is between them besides signals and the private admin socket: the
supervisor sends the orders, the worker one byte when it listens; an end of file says that the other is gone.
"""

from __future__ import annotations

import asyncio
import io
import pickle
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from fsproxy.config.schema import Config, TopMode
from fsproxy.reload.build_generation import Source

LISTENING = b"!"
_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is to do: by the configuration in force, not by what the file may hold by now."""

    number: int
    """From 1; a worker's replacement has its number."""
    admin: str
    """The path of its private admin socket."""
    config: Config
    source: Source
    generation: int
    mode: TopMode | None
    """What the admin API asked for; None: the configuration's."""
    instance: str
    """The supervisor's name on the admin port."""
    passage: str
    """The name of all workers in ``CDN-Loop``."""
    among: int
    """How many workers there are."""
    after: int | None
    """How many listeners of the program that is taken over there are, whose turn is over; None: nothing is."""


class WorkerChannel:
    """A worker's end."""

    def __init__(self, orders: Orders, channel: socket.socket) -> None:
        self.number = orders.number
        self.admin = orders.admin
        self.generation = orders.generation
        self.mode = orders.mode
        self.instance = orders.instance
        self.passage = orders.passage
        self.among = orders.among
        self.after = orders.after
        self.left_alone = False
        """The supervisor is gone, so that nobody else clears away."""
        self._channel = channel

    def tell_that_it_listens(self) -> None:
        """Connections are accepted from now on."""
        with suppress(OSError):  # the supervisor is gone: noticed by on_left_alone
            self._channel.send(LISTENING)

    def on_left_alone(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
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
                self.left_alone = True
                stop()

        loop.add_reader(self._channel.fileno(), look)


def packed(orders: Orders) -> bytes:
    """The orders as they are sent."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(orders)
    body = buffer.getvalue()
    return _LENGTH.pack(len(body)) + body


def received(channel: socket.socket) -> Orders | None:
    """The orders; None when the supervisor ended before it had sent them. Blocking."""
    with channel.dup() as copy, copy.makefile("rb") as stream:
        head = stream.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(head)
        body = stream.read(length)
        if len(body) < length:
            return None
    # Nobody but the process that made this pair of sockets can have written it.
    return cast("Orders", pickle.loads(body))  # noqa: S301


class _Pickler(pickle.Pickler):
    """The configuration's mappings are read-only views, which pickle does not know."""

    def reducer_override(self, value: object) -> Any:
        if isinstance(value, MappingProxyType):
            return _view, (dict(value),)
        return NotImplemented


def _view(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)
