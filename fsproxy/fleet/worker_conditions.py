"""The conditions of all workers as those of one program: each cause is one line of the log.

The workers log none of theirs; they send them to the supervisor, all at once when one has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Conditions

GATHER_SECONDS = 2.0
"""A cause that not all workers have is reported so late, so that the line can say how many of them have it."""
_read = msgspec.json.Decoder(list[Condition]).decode
_write = msgspec.json.Encoder().encode


def packed_conditions(conditions: Sequence[Condition]) -> bytes:
    """Return the conditions in the form in which they are sent: a line."""
    return _write(conditions) + b"\n"


class WorkerConditions:
    """What the workers have sent, and the book that logs it."""

    def __init__(self, workers: int) -> None:
        self.book = Conditions()
        self.book.sources.append(self._merged)
        self._workers = workers
        self._sent: dict[int, list[Condition]] = {}
        self._first: dict[str, Instant] = {}
        """When a condition was first seen here, by its id."""

    def take(self, worker: int, line: bytes) -> None:
        """Take what a worker has sent in place of what it sent before."""
        self._sent[worker] = _read(line)

    def forget(self, worker: int) -> None:
        """Forget what a worker has sent: it has ended."""
        self._sent.pop(worker, None)

    def _merged(self, now: Instant) -> Iterator[Condition]:
        by_id: dict[str, list[Condition]] = {}
        for conditions in self._sent.values():
            for each in conditions:
                by_id.setdefault(each.id, []).append(each)
        self._first = {name: self._first.get(name, now) for name in by_id}
        for name, found in by_id.items():
            if len(found) == self._workers or not 0 <= now - self._first[name] < GATHER_SECONDS:
                yield merged(found, self._workers)


def merged(found: Sequence[Condition], workers: int) -> Condition:
    """Return one condition of several workers as that of the program. The one that began first gives the words."""
    first = min(found, key=lambda each: each.since)
    return replace(
        first,
        count=sum(each.count for each in found),
        more=f"{first.more} In {len(found)} of {workers} workers.".strip(),
    )
