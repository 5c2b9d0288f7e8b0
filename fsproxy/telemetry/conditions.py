"""Everything about the program that is not as it should be, in one place, for the log, ``/readyz`` and the admin API.

Parts of the program keep their own state and report nothing by themselves. A source makes conditions of that state
when it is looked at, once a second and with each question to the other two. What has begun or ended since the last look
is logged, one line each way. So a good request costs nothing, and all three places say the same words.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum, unique
from typing import TypedDict

import structlog

from fsproxy.clock import now as wall_clock
from fsproxy.core.model import Instant

LOOK_SECONDS = 1.0
"""Seconds between two looks: how late a line of the log may come. The time in it is exact."""
OFTEN, OFTEN_SECONDS = 3, 600.0
"""A condition that begins for the fourth time within ten minutes comes and goes ..."""
QUIET_SECONDS = 60.0
"""... and is over only when it has been away for a minute: at most one pair of lines a minute, however it flaps."""
_UNSTEADY = "It comes and goes, so it counts as over only after a minute without it."
_AWAY = "It is away just now, but comes and goes, so it counts as over only after a minute without it."
log = structlog.get_logger("fsproxy")


@unique
class Level(StrEnum):
    """How bad a condition is."""

    BAD = "bad"
    """Data is lost, or limits are not kept."""
    WARN = "warn"
    """Something should be looked at before it becomes bad."""
    INFO = "info"
    """It is meant to be so, and explains what is seen. ``/readyz`` does not warn of it."""


_ORDER = tuple(Level)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is not normal. No text or field holds a value of a request, or a secret."""

    id: str
    """The same as long as it lasts, such as ``upstream:10.0.0.7:443``."""
    level: Level
    since: Instant
    text: str
    """What is wrong, in one sentence without an end, as a line of the log begins."""
    more: str = ""
    """What it costs and what to do, in whole sentences."""
    count: int = 0
    counted: str = ""
    """What ``count`` is a number of, such as ``failed requests``; "": nothing is counted."""
    fields: Mapping[str, str | int] = field(default_factory=dict)
    """More for the log, such as the kind and the address."""
    ended: Instant | None = None
    """It is over since then. A source yields such a condition once. One that it yields no more is over as well."""


class Alert(TypedDict):
    """A condition in the admin API's form."""

    id: str
    level: str
    since: float
    text: str
    more: str


Source = Callable[[Instant], Iterable[Condition]]
"""Returns what is not normal at that time."""


@dataclass(slots=True)
class _Entry:
    """What is known of one id."""

    condition: Condition
    is_open: bool = False
    """Its beginning was logged, and its end was not."""
    gone: Instant | None = None
    """Since when an open one is away, which is not yet called over because it comes and goes."""
    begins: deque[Instant] = field(default_factory=lambda: deque(maxlen=OFTEN + 1))
    """When it began the last times."""

    @property
    def comes_and_goes(self) -> bool:
        return len(self.begins) > OFTEN and self.begins[-1] - self.begins[0] <= OFTEN_SECONDS

    def reported(self) -> Condition:
        """Return the condition as it is reported."""
        if not self.comes_and_goes:
            return self.condition
        unsteady = _UNSTEADY if self.gone is None else _AWAY
        return replace(self.condition, more=f"{self.condition.more} {unsteady}".strip())


class Conditions:
    """Looks at its sources, remembers what is open, and logs what begins and ends."""

    def __init__(self, clock: Callable[[], Instant] = wall_clock) -> None:
        self.sources: list[Source] = []
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.send: Callable[[list[Condition]], bool] | None = None
        """Takes the present conditions after a change, in place of the log. It returns False to get them again."""
        self._sent: list[Condition] = []

    def start(self) -> None:
        """Look now, and from now on every second."""
        self.look()
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self.start)

    def close(self) -> None:
        """Look once more, and then no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.look()

    def present(self) -> list[Condition]:
        """Return what is not normal now: the worst first, and of one level the oldest first."""
        self.look()
        return self._present()

    def _present(self) -> list[Condition]:
        found = [entry.reported() for entry in self._entries.values() if entry.is_open]
        return sorted(found, key=lambda each: urgency(each.level, each.since))

    def warnings(self) -> list[str]:
        """Return the texts for ``/readyz``: all but what is meant to be so."""
        return [each.text for each in self.present() if each.level is not Level.INFO]

    def alerts(self) -> list[Alert]:
        """Return the present conditions in the admin API's form."""
        return [alert(each) for each in self.present()]

    def look(self) -> None:
        """Ask all sources, and log what has begun or ended since the last look. Never raise."""
        now = self._clock()
        self._end_all_but(self._ask(now), now)
        if self.send is not None and (present := self._present()) != self._sent and self.send(present):
            self._sent = present

    def _ask(self, now: Instant) -> set[str]:
        """Take what the sources yield. Return its ids."""
        found = set[str]()
        for source in self.sources:
            try:
                for condition in source(now):
                    found.add(condition.id)
                    entry = self._begin(condition)
                    if condition.ended is not None:
                        self._leave(entry, condition.ended)
            except Exception:
                # The others must still be reported. It is logged each time, as a fault of ours is meant to be loud.
                log.exception("a condition could not be looked at: a fault of ours")
        return found

    def _end_all_but(self, found: set[str], now: Instant) -> None:
        for name, entry in tuple(self._entries.items()):
            if not entry.is_open:
                if now - entry.begins[-1] > OFTEN_SECONDS:
                    del self._entries[name]
            elif entry.gone is None and name not in found:
                self._leave(entry, now)
            elif entry.gone is not None and not 0 <= now - entry.gone < QUIET_SECONDS:
                self._end(entry, entry.gone)

    def _begin(self, condition: Condition) -> _Entry:
        entry = self._entries.setdefault(condition.id, _Entry(condition))
        if not entry.is_open or entry.gone is not None:
            entry.begins.append(condition.since)
        before, entry.condition, entry.gone = entry.condition, condition, None
        if entry.is_open and before.since < condition.since:
            entry.condition = replace(condition, since=before.since)
        if (not entry.is_open or before.level is not condition.level) and self.send is None:
            _log_begin(entry.reported())
        entry.is_open = True
        return entry

    def _leave(self, entry: _Entry, at: Instant) -> None:
        if entry.comes_and_goes:
            entry.gone = at
            # It stays open. A supervisor that was sent its end would log both each time that it looks.
            entry.condition = replace(entry.condition, ended=None)
        else:
            self._end(entry, at)

    def _end(self, entry: _Entry, at: Instant) -> None:
        entry.is_open, entry.gone = False, None
        if self.send is None:
            _log_end(entry.reported(), at)


def urgency(level: str, since: float) -> tuple[int, float]:
    """Return what to sort by, so that the worst come first, and of one level the oldest."""
    return _ORDER.index(Level(level)), since


def alert(condition: Condition) -> Alert:
    """Return a condition in the admin API's form."""
    counted = f"{condition.counted.capitalize()}: {condition.count:,}." if condition.counted and condition.count else ""
    return {
        "id": condition.id,
        "level": condition.level.value,
        "since": condition.since,
        "text": condition.text[:1].upper() + condition.text[1:],
        "more": " ".join(filter(None, (counted, condition.more))),
    }


def _log_begin(condition: Condition) -> None:
    write = {Level.BAD: log.error, Level.WARN: log.warning, Level.INFO: log.info}[condition.level]
    write(condition.text, more=condition.more, **_fields(condition))


def _log_end(condition: Condition, ended: Instant) -> None:
    write = log.info if condition.level is Level.INFO else log.warning
    write(f"over: {condition.text}", seconds=round(ended - condition.since, 1), **_fields(condition))


def _fields(condition: Condition) -> dict[str, str | int]:
    since = datetime.fromtimestamp(condition.since, UTC).isoformat(timespec="milliseconds")
    counted: dict[str, str | int] = {"count": condition.count} if condition.counted else {}
    return {"condition": condition.id, "since": since.replace("+00:00", "Z"), **counted, **condition.fields}
