"""Reservations: a unit of the quota between a page's departure and its answer."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import msgspec

from fsproxy.core.limits.operations import RESERVATION_SECONDS
from fsproxy.core.model import Instant
from fsproxy.state.memory.counts import Count

V = TypeVar("V")

LAPSED_SECONDS = 600
"""How long a lapsed reservation's token is known, so that a late 200 is counted after all."""

_SWEPT = 16
"""Lapsed reservations looked at with each operation: a page adds one."""


class Hold(msgspec.Struct, gc=False):
    """One new session that waits for its page's answer. Several pages may hold it at once."""

    key: int
    """What it is waiting under; 0 for a page that had neither session nor user."""
    by_user: bool
    """The key is a user's."""
    first: str
    """The token that reserved the unit; the others joined."""
    unit: Count | None
    """Where the unit counts; None without a quota, or when it was given back for good."""
    counted: bool
    """The unit is counted at this moment."""
    holders: int
    until: Instant
    """When the last holder's reservation lapses."""
    confirmed: bool = False

    def give_back(self) -> None:
        """Count the unit no longer."""
        if self.counted and self.unit is not None:
            self.unit.add(-1)
            self.counted = False

    def count_again(self) -> None:
        """Count the unit after all, even over the limit."""
        if not self.counted and self.unit is not None:
            self.unit.add(1)
            self.counted = True


class _Expiring(Generic[V]):
    """Token -> value for a fixed time, oldest first; at most ``bound``."""

    def __init__(self, life: float, bound: int) -> None:
        self._life = life
        self._bound = bound
        self._values: dict[str, V] = {}
        self._queue: deque[tuple[Instant, str]] = deque()

    def __len__(self) -> int:
        return len(self._values)

    @property
    def is_idle(self) -> bool:
        """Nothing can be due, now or later."""
        return not self._queue

    def add(self, token: str, value: V, now: Instant) -> None:
        self._values[token] = value
        self._queue.append((Instant(now + self._life), token))

    def pop(self, token: str) -> V | None:
        return self._values.pop(token, None)

    def pop_due(self, now: Instant) -> tuple[str, V, bool] | None:
        """The oldest token that has expired, or has to go as there are too many (then True)."""
        queue = self._queue
        while queue:
            expires, token = queue[0]
            gone = token not in self._values
            if not gone and expires > now and len(self._values) <= self._bound:
                return None
            queue.popleft()
            if not gone:
                return token, self._values.pop(token), expires > now
        return None


class Reservations:
    """All reservations, by token and by what they wait under."""

    def __init__(self, bound: int) -> None:
        self._tokens: _Expiring[Hold] = _Expiring(RESERVATION_SECONDS, bound)
        self._lapsed: _Expiring[Hold] = _Expiring(LAPSED_SECONDS, bound)
        self._waiting: dict[int, Hold] = {}
        self.evicted = 0
        """Reservations that lapsed before their time, as there were too many."""

    def __len__(self) -> int:
        return len(self._tokens)

    def sweep(self, now: Instant) -> bool:
        """Give back what has lapsed, the oldest few of it; whether there may be more."""
        if self._tokens.is_idle and self._lapsed.is_idle:
            return False
        for _ in range(_SWEPT):
            self._lapsed.pop_due(now)
            due = self._tokens.pop_due(now)
            if due is None:
                return False
            token, hold, early = due
            self.evicted += early
            self._let_go(hold)
            if not hold.confirmed:
                self._lapsed.add(token, hold, now)
        return True

    def waiting(self, key: int, now: Instant) -> Hold | None:
        """The reservation that waits under this key; one past its time is given back instead."""
        hold = self._waiting.get(key)
        if hold is not None and hold.until <= now:
            self._close(hold)
            hold.give_back()
            return None
        return hold

    def reserve(self, token: str, key: int, unit: Count | None, now: Instant, *, by_user: bool) -> None:
        """Count one unit and wait for the page's answer."""
        hold = Hold(key, by_user, token, unit, counted=False, holders=1, until=Instant(now + RESERVATION_SECONDS))
        hold.count_again()
        if key:
            self._waiting[key] = hold
        self._tokens.add(token, hold, now)

    def join(self, token: str, hold: Hold, now: Instant) -> None:
        """One more page of the same new session waits for its answer."""
        hold.holders += 1
        hold.until = max(hold.until, Instant(now + RESERVATION_SECONDS))
        self._tokens.add(token, hold, now)

    def release(self, token: str) -> None:
        """This page failed; the unit goes back unless another page holds it, or it was confirmed."""
        hold = self._tokens.pop(token)
        if hold is not None:
            self._let_go(hold)
        else:
            self._lapsed.pop(token)

    def confirm(self, token: str, *, new: bool) -> Hold | None:
        """This page was answered: the session is no longer waiting. None for an unknown token.

        Whether a lapsed unit is to be counted again the caller knows: it knows the session's other ids.
        """
        hold = self._tokens.pop(token)
        if hold is not None:
            hold.holders -= 1
        else:
            hold = self._lapsed.pop(token)
            if hold is None:
                return None
        hold.confirmed = True
        self._close(hold)
        if not new and token == hold.first:
            # Only the page that reserved speaks of the unit: the others were told "under way".
            hold.give_back()
            hold.unit = None
        return hold

    def supersede(self, key: int, by: Hold) -> None:
        """A late answer confirmed the session that another reservation waits for: one unit is enough."""
        other = self._waiting.get(key)
        if other is not None and other is not by:
            self._close(other)
            other.confirmed = True
            other.give_back()
            other.unit = None

    def _let_go(self, hold: Hold) -> None:
        hold.holders -= 1
        if not hold.holders and not hold.confirmed:
            self._close(hold)
            hold.give_back()

    def _close(self, hold: Hold) -> None:
        if self._waiting.get(hold.key) is hold:
            del self._waiting[hold.key]
