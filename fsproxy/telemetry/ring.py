"""The recent past, in memory: the last decisions, traffic by minute, rejections and shadow hits of one day.

All of it is bounded, and adding a request takes one or two microseconds.

How it is kept: lines are in two ring buffers, one for decisions and one for merely forwarded requests, and a common
number gives their order. What repeats is counted by key and hour (``Groups``), so that memory grows with neither the
number of requests nor their age: a new hour replaces the oldest, and a new key the one that was used longest ago.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from fsproxy.core.audit.line import ListedRejections
from fsproxy.core.audit.record import AuditRedaction, AuditShadow
from fsproxy.core.model import Instant
from fsproxy.telemetry.orgs import Orgs
from fsproxy.telemetry.traffic import Traffic

MOST_DECISIONS = 2_000
"""Lines of pages, and of whatever was blocked, rejected, failed or hit by a shadow rule."""
MOST_FORWARDED = 500
"""Lines of merely forwarded requests, which must not displace the others."""
MOST_GROUPS = 1_000
HOUR = 3_600
KEPT_HOURS = 24
_NEVER = Instant(0.0)
K = TypeVar("K", bound=Hashable)


class Noted(msgspec.Struct, frozen=True, gc=False):
    """A request and its place in the order in which requests ended."""

    number: int
    """1 for the first of this process."""
    where: str
    """``file:line:column`` of the rule that blocked, in the line's generation; "" without one."""
    line: bytes
    """The audit line, whether or not it was written."""
    ended: Instant
    """When the request ended: its minute is that of ``Traffic``."""

    @property
    def place(self) -> tuple[int, int]:
        """Its place among all: the microsecond of its end, and its number."""
        return int(self.ended * 1e6), self.number


class Group(msgspec.Struct, frozen=True, gc=False):
    """How often something happened within the last 24 hours (to the hour), and when first and last (Unix time)."""

    count: int
    first: float
    last: float


class Groups(Generic[K]):
    """Counts repeated events by key. Beyond ``most`` keys, the one that was used longest ago is forgotten."""

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self._most = most
        self._groups: OrderedDict[K, dict[int, list[float]]] = OrderedDict()
        """For each key and hour ``[count, first, last]``."""
        self.evicted = 0
        """Keys that were forgotten to make room, since the start."""

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, key: K, at: float, count: int = 1) -> None:
        """Count one event, or several that happened at once."""
        hours = self._groups.get(key)
        if hours is None:
            if len(self._groups) >= self._most:
                self._groups.popitem(last=False)
                self.evicted += 1
            hours = self._groups[key] = {}
        else:
            self._groups.move_to_end(key)
        hour = int(at) // HOUR
        slot = hours.get(hour)
        if slot is None:
            if len(hours) > KEPT_HOURS:
                del hours[next(iter(hours))]
            hours[hour] = [count, at, at]
        else:
            slot[0] += count
            slot[2] = at

    def last_day(self, now: float) -> list[tuple[K, Group]]:
        """Return the events of the last 24 hours, the most frequent first. Forget older ones."""
        since = int(now) // HOUR - KEPT_HOURS + 1
        found: list[tuple[K, Group]] = []
        for key, hours in list(self._groups.items()):
            kept = [slot for hour, slot in hours.items() if hour >= since]
            if kept:
                counts, firsts, lasts = zip(*kept, strict=True)
                found.append((key, Group(int(sum(counts)), min(firsts), max(lasts))))
            else:
                del self._groups[key]
        found.sort(key=lambda each: (-each[1].count, -each[1].last))
        return found


RejectionKey = tuple[str, str, str | None, str | None]
"""Org, code, call, property."""
ShadowKey = tuple[str, int, str, bool]
"""Rule, reason code, filter, and whether it is a page."""


class Recent:
    """What the admin page shows of the past, for one process. It is used on the event loop only."""

    def __init__(self, orgs: Orgs, started: Instant = _NEVER) -> None:
        self._started = started
        self._decisions: deque[Noted] = deque(maxlen=MOST_DECISIONS)
        self._forwarded: deque[Noted] = deque(maxlen=MOST_FORWARDED)
        self.number = 0
        """The number of requests so far."""
        self.traffic = Traffic(orgs)
        self.rejections: Groups[RejectionKey] = Groups()
        self.shadow_rejections: Groups[RejectionKey] = Groups()
        self.shadow: Groups[ShadowKey] = Groups()
        self.redactions: Groups[tuple[str, bool]] = Groups()
        """By the redaction rule, and whether it is in shadow mode."""
        self.unlisted_rejections = 0
        """Rejections beyond ``audit.rejections`` in one request, which are counted but not grouped."""

    def note(self, line: bytes, where: str, at: Instant, *, forwarded: bool) -> None:
        """Keep the line of a request that has ended now. ``forwarded``: it was merely forwarded."""
        self.number = number = self.number + 1
        (self._forwarded if forwarded else self._decisions).append(Noted(number, where, line, at))

    def note_shadow(self, hits: Iterable[AuditShadow], at: Instant, *, page: bool) -> None:
        """Count the rules that would have blocked a request."""
        for hit in hits:
            self.shadow.add((hit.rule, hit.reason_code, hit.filter, page), at)

    def note_rejections(self, org: str, cut: ListedRejections, shadow: ListedRejections, at: Instant) -> None:
        """Count the rejections of a request: those that were enforced, and those that would have been."""
        for groups, (listed, _) in ((self.rejections, cut), (self.shadow_rejections, shadow)):
            for each in listed:
                groups.add((org, each.code, each.call, each.property), at)
        self.unlisted_rejections += cut[1] - len(cut[0])

    def note_redactions(self, found: Iterable[Iterable[AuditRedaction]], at: Instant) -> None:
        """Count what redaction rules have found in a request: those in force, then those in shadow mode."""
        for alone, listed in enumerate(found):
            for each in listed:
                self.redactions.add((each.rule, bool(alone)), at, each.count)

    @property
    def whole_since(self) -> Instant:
        """Since when every request that was decided about is kept."""
        kept = self._decisions
        return kept[0].ended if len(kept) == MOST_DECISIONS else self._started

    def lines(self) -> list[Noted]:
        """Return all lines, in no order. It takes a few microseconds, so that another thread may look at them."""
        return [*self._decisions, *self._forwarded]

    def decisions_after(self, number: int, most: int) -> list[Noted]:
        """Return the newest records first, without merely forwarded requests. ``most``: how many are looked at."""
        return [each for each in islice(reversed(self._decisions), most) if each.number > number]
