"""What happened lately, in memory: the last decisions, traffic by minute, rejections and shadow hits of a day.

All of it is bounded, and noting a request costs a microsecond or two.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from heapq import merge
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from fsproxy.core.audit.record import AuditRecord
from fsproxy.core.model import Instant

MOST_DECISIONS = 2_000
"""Pages, and whatever was blocked, rejected, failed or hit by a shadow rule."""
MOST_FORWARDED = 500
"""Requests of which there is nothing to tell: they must not push out the others."""
MOST_MINUTES = 120
MOST_GROUPS = 1_000
HOUR = 3_600
KEPT_HOURS = 24
FORWARDED = "forwarded"
CAPTURED = "captured"
FAILED = "failed"
REJECTED = "rejected"
K = TypeVar("K", bound=Hashable)


class Noted(msgspec.Struct, frozen=True, gc=False):
    """One request, in the order in which requests ended."""

    number: int
    """1 for the first of this process."""
    where: str
    """``file:line:column`` of the rule that blocked, in the generation of the record; or ""."""
    record: AuditRecord


class Group(msgspec.Struct, frozen=True, gc=False):
    """How often something happened within the last 24 hours (to the hour), first and last (Unix time)."""

    count: int
    first: float
    last: float


class _Hours:
    """Counts by hour: of each ``[count, first, last]``."""

    __slots__ = ("hours",)

    def __init__(self) -> None:
        self.hours: dict[int, list[float]] = {}

    def add(self, at: float) -> None:
        hour = int(at) // HOUR
        slot = self.hours.get(hour)
        if slot is None:
            if len(self.hours) > KEPT_HOURS:
                del self.hours[next(iter(self.hours))]
            self.hours[hour] = [1, at, at]
        else:
            slot[0] += 1
            slot[2] = at

    def since(self, hour: int) -> Group | None:
        kept = [slot for each, slot in self.hours.items() if each >= hour]
        if not kept:
            return None
        return Group(int(sum(slot[0] for slot in kept)), min(s[1] for s in kept), max(s[2] for s in kept))


class Groups(Generic[K]):
    """Things that happen again and again, by key. At most ``most`` keys: the one that is longest ago goes first."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self._most = most
        self._groups: OrderedDict[K, _Hours] = OrderedDict()
        self.evicted = 0
        """Keys that had to go to make room, since the start."""

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, key: K, at: float) -> None:
        """It happened once more."""
        hours = self._groups.get(key)
        if hours is None:
            if len(self._groups) >= self._most:
                self._groups.popitem(last=False)
                self.evicted += 1
            hours = self._groups[key] = _Hours()
        else:
            self._groups.move_to_end(key)
        hours.add(at)

    def last_day(self, now: float) -> list[tuple[K, Group]]:
        """What happened within 24 hours, the most frequent first. What is older is forgotten."""
        since = int(now) // HOUR - KEPT_HOURS + 1
        told: list[tuple[K, Group]] = []
        for key, hours in list(self._groups.items()):
            group = hours.since(since)
            if group is None:
                del self._groups[key]
            else:
                told.append((key, group))
        told.sort(key=lambda each: (-each[1].count, -each[1].last))
        return told


Kind = tuple[bool, str]
"""Whether it is a page, and ``captured``, ``forwarded``, ``failed``, ``rejected``, or the reason code of a block."""


class Traffic:
    """How many requests ended in which way, by minute."""

    def __init__(self) -> None:
        self._minute = -1
        self._now: dict[Kind, int] = {}
        self._minutes: dict[int, dict[Kind, int]] = {}

    def add(self, kind: Kind, at: float) -> None:
        """One request more."""
        minute = int(at) // 60
        if minute != self._minute:
            self._turn(minute)
        counts = self._now
        counts[kind] = counts.get(kind, 0) + 1

    def _turn(self, minute: int) -> None:
        self._minute = minute
        if minute not in self._minutes and len(self._minutes) >= MOST_MINUTES:
            # The one begun first: a clock that was set back must not lose what is counted now.
            del self._minutes[next(iter(self._minutes))]
        self._now = self._minutes.setdefault(minute, {})

    def minutes(self, most: int, now: float) -> Iterator[tuple[int, dict[Kind, int]]]:
        """The last minutes, this one included, oldest first; one without traffic is empty."""
        this = int(now) // 60
        for minute in range(this - most + 1, this + 1):
            yield minute * 60, self._minutes.get(minute, {})


RejectionKey = tuple[str, str, str | None, str | None]
"""Org, code, call, property."""
ShadowKey = tuple[str, int, str, bool]
"""Rule, reason code, filter, and whether it is a page."""


class Recent:
    """All that the operators' page shows of the past. For one process, on its event loop."""

    def __init__(self) -> None:
        self._decisions: deque[Noted] = deque(maxlen=MOST_DECISIONS)
        self._forwarded: deque[Noted] = deque(maxlen=MOST_FORWARDED)
        self.number = 0
        """Requests noted so far."""
        self.traffic = Traffic()
        self.rejections: Groups[RejectionKey] = Groups()
        self.shadow_rejections: Groups[RejectionKey] = Groups()
        self.shadow: Groups[ShadowKey] = Groups()
        self.unlisted_rejections = 0
        """Rejections beyond ``audit.rejections`` of one request: counted, but not grouped."""

    def note(self, record: AuditRecord, where: str, at: Instant) -> None:
        """Keep the record of a request that ended ``at``."""
        self.number += 1
        noted = Noted(self.number, where, record)
        if record.decision == FORWARDED and not record.shadow and not record.rejections_count:
            self._forwarded.append(noted)
        else:
            self._decisions.append(noted)
        if record.shadow:
            page = record.facts is not None
            for hit in record.shadow:
                self.shadow.add((hit.rule, hit.reason_code, hit.filter, page), at)
        if record.rejections_count or record.shadow_rejections_count:
            self._note_rejections(record, at)

    def _note_rejections(self, record: AuditRecord, at: float) -> None:
        org = record.org or ""
        for each in record.rejections:
            self.rejections.add((org, each.code, each.call, each.property), at)
        for each in record.shadow_rejections:
            self.shadow_rejections.add((org, each.code, each.call, each.property), at)
        self.unlisted_rejections += record.rejections_count - len(record.rejections)

    def newest(self, after: int = 0) -> Iterator[Noted]:
        """Newest first, those with a number above ``after``."""
        both = merge(reversed(self._decisions), reversed(self._forwarded), key=lambda each: -each.number)
        for each in both:
            if each.number <= after:
                return
            yield each

    def decisions_after(self, number: int, most: int) -> list[Noted]:
        """Newest first, at most so many, without what was only forwarded."""
        return [each for each in islice(reversed(self._decisions), most) if each.number > number]
