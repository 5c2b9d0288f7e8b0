"""The upstream's side of the network: writing to it, back-pressure, tunnelling, and what the pool notes about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import cast

from fsproxy.http.upstream.responses import ResponseReader


class UpstreamTransport(asyncio.Protocol):
    """A connection to the upstream, without its HTTP. ``_reader`` is None while no exchange uses it.

    For the sweeper it is a ``Timed``.
    """

    __slots__ = (
        "_reader",
        "_tunnel",
        "due",
        "exchanges",
        "on_resume",
        "share",
        "shortest",
        "transport",
        "writing_paused",
    )

    def __init__(self, shortest: float) -> None:
        """``shortest``: see ``sweeper.Timed``."""
        self.shortest = shortest
        self.due = inf
        """When the exchange has taken too long or, between two exchanges, the connection was idle for too long."""
        self._reader: ResponseReader | None = None
        self._tunnel: Callable[[bytes], None] | None = None
        self.exchanges = 0
        self.share: int | None = None
        """The pool's note for what the connection is held (``pool.Share``), if that kind is counted."""
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        self.on_resume: Callable[[], None] | None = None
        """Called when the socket of a tunnel takes more."""

    @property
    def usable(self) -> bool:
        """Whether the connection is open and not in use."""
        transport = self.transport
        return transport is not None and not transport.is_closing() and self._reader is None

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self.transport is not None:
            self.transport.write(data)

    def pause(self) -> None:
        """Stop reading until ``resume``."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def abort(self) -> None:
        """Break the connection, without a call to its reader."""
        self._reader = None
        if self.transport is not None:
            self.transport.abort()

    def expire(self) -> None:
        """End what took too long."""
        self.due = inf
        if self._reader is not None:
            self._reader.expire()
        else:
            self.abort()

    def tunnel(self, on_data: Callable[[bytes], None]) -> None:
        """After a 101, give everything that comes to ``on_data``; ``b""`` means the end."""
        self._tunnel = on_data

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """asyncio: gone."""
        self.transport = None
        if self._tunnel is not None:
            self._tunnel(b"")
            self._tunnel = self.on_resume = None

    def pause_writing(self) -> None:
        """asyncio: the socket takes no more."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """asyncio: the socket takes more."""
        self.writing_paused = False
        if self.on_resume is not None:
            self.on_resume()
        elif self._reader is not None:
            self._reader.on_writable()
