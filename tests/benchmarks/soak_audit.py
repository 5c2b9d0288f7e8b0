"""The soak's audit lines: read as they come from a file that several workers write, and that is moved away at times."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import FileIO
from pathlib import Path

import msgspec

from support.arrivals import Arrivals
from support.upstream import Received

EVERY_SECONDS = 0.2
ROTATED_EVERY = 30.0
CLOSED_AFTER = 5.0
"""Seconds after which no worker writes into a file that was moved away: each notices that within one."""


class _Line(msgspec.Struct):
    request: str = msgspec.field(name="http.request.id", default="")


_read = msgspec.json.Decoder(_Line).decode


class AuditedArrivals(Arrivals):
    """Each request that was answered has one audit line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = 0
        self._without: set[str] = set()
        self._early: set[str] = set()

    def settle(self, request_id: str, *, forwarded: bool | None) -> None:
        """See Arrivals."""
        super().settle(request_id, forwarded=forwarded)
        if request_id in self._early:
            self._early.discard(request_id)
        else:
            self._without.add(request_id)

    def saw(self, received: Received) -> None:
        """See Arrivals. What goes through a socket is looked at by the one who speaks."""
        if received.path != "/rec/sock":
            super().saw(received)

    def line(self, request_id: str) -> None:
        """An audit line was written."""
        self.lines += 1
        if request_id in self._without:
            self._without.discard(request_id)
        elif request_id in self._open:
            self._early.add(request_id)
        elif request_id in self._past:
            self.faults.append(f"{request_id} has a second audit line")

    @property
    def without_line(self) -> int:
        """Requests that were answered and have no audit line yet."""
        return len(self._without)


class _Reading:
    """One file, from its begin."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = FileIO(path)
        self._rest = b""

    def read(self, arrivals: AuditedArrivals) -> None:
        *lines, self._rest = (self._rest + self._file.readall()).split(b"\n")
        for line in lines:
            try:
                arrivals.line(_read(line).request)
            except msgspec.DecodeError:
                arrivals.faults.append(f"an audit line is no JSON: {line[:300]!r}")

    def close(self, arrivals: AuditedArrivals) -> None:
        self.read(arrivals)
        if self._rest:
            arrivals.faults.append(f"an audit line has no end: {self._rest[:300]!r}")
        self._file.close()
        self.path.unlink()


async def _follow(path: Path, arrivals: AuditedArrivals) -> None:
    loop = asyncio.get_running_loop()
    present: _Reading | None = None
    moved: list[tuple[float, _Reading]] = []
    rotate_at, number = loop.time() + ROTATED_EVERY, 0
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        if present is None and path.exists():
            present = _Reading(path)
        for each in [reading for _, reading in moved] + ([present] if present is not None else []):
            each.read(arrivals)
        while moved and moved[0][0] < loop.time():
            moved.pop(0)[1].close(arrivals)
        if present is not None and loop.time() > rotate_at:
            number += 1
            rotate_at = loop.time() + ROTATED_EVERY
            present.path = path.rename(path.with_name(f"{path.name}.{number}"))
            moved.append((loop.time() + CLOSED_AFTER, present))
            present = None


@asynccontextmanager
async def followed_audit(folder: Path, arrivals: AuditedArrivals) -> AsyncIterator[str]:
    """A file for audit lines. What was read is deleted, as a soak's lines would fill a disk."""
    path = folder / "audit.jsonl"
    following = asyncio.get_running_loop().create_task(_follow(path, arrivals))
    try:
        yield str(path)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
