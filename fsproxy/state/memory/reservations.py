"""Reservations: a unit of the quota between the sending of a page and its answer (rules.md 1)."""

from __future__ import annotations

from collections import deque

import msgspec

from fsproxy.core.limits.operations import RESERVATION_SECONDS
from fsproxy.core.model import Instant
from fsproxy.state.memory.counts import Count

LAPSED_SECONDS = 600
"""How long a lapsed reservation's token is known, so that a late 200 is counted after all."""
SWEPT = 16
"""Reservations looked at with each operation. A page adds one, so the sweep catches up."""


class Reservation(msgspec.Struct, gc=False):
    """One new session that waits for its page's answer. Several pages may hold it at once."""

    key: int
    """The session or user under which it waits; 0 for a page that had neither."""
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
    """When the last holder's time is over."""
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


class _Tokens:
    """Reservations by token, each kept for ``life`` seconds; at most ``bound``.

    The queue holds the tokens in the order of their ends. One that was removed earlier stays in it and is skipped.
    """

    def __init__(self, life: float, bound: int) -> None:
        self._life = life
        self._bound = bound
        self.held: dict[str, Reservation] = {}
        self.queue: deque[tuple[Instant, str]] = deque()

    def add(self, token: str, reservation: Reservation, now: Instant) -> bool:
        """Keep one more. Return whether so many are gone or over that a sweep is due."""
        self.held[token] = reservation
        self.queue.append((Instant(now + self._life), token))
        return len(self.queue) > min(2 * len(self.held) + SWEPT, self._bound)

    def pop_due(self, now: Instant) -> tuple[str, Reservation, bool] | None:
        """Remove the oldest token whose time is over; or one before its time (then True), as there are too many."""
        queue = self.queue
        while queue:
            ends, token = queue[0]
            is_gone = token not in self.held
            if not is_gone and ends > now and len(self.held) <= self._bound:
                return None
            queue.popleft()
            if not is_gone:
                return token, self.held.pop(token), ends > now
        return None


class Reservations:
    """All reservations, by their pages' tokens and by the keys under which they wait."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._tokens = _Tokens(RESERVATION_SECONDS, bound)
        self._lapsed = _Tokens(LAPSED_SECONDS, bound)
        self._waiting: dict[int, Reservation] = {}
        self.evicted = 0
        """Tokens that lapsed before their time to make room, since the start."""

    def __len__(self) -> int:
        return len(self._tokens.held)

    def sweep(self, now: Instant) -> bool:
        """Give back what has lapsed, the oldest few of it. Return whether there may be more."""
        if not self._tokens.queue and not self._lapsed.queue:
            return False
        for _ in range(SWEPT):
            self._lapsed.pop_due(now)
            due = self._tokens.pop_due(now)
            if due is None:
                return False
            token, reservation, early = due
            self.evicted += early
            self._remove_holder(reservation)
            if not reservation.confirmed:
                self._lapsed.add(token, reservation, now)
        return True

    def waiting(self, key: int, now: Instant) -> Reservation | None:
        """Return the reservation that waits under this key. One whose time is over is given back instead."""
        reservation = self._waiting.get(key)
        if reservation is not None and reservation.until <= now:
            self._stop_waiting(reservation)
            reservation.give_back()
            return None
        return reservation

    def reserve(self, token: str, key: int, unit: Count | None, now: Instant, *, by_user: bool) -> None:
        """Count one unit, and wait under ``key`` for the page's answer."""
        if unit is not None:
            unit.add(1)
        until = Instant(now + RESERVATION_SECONDS)
        reservation = Reservation(key, by_user, token, unit, unit is not None, 1, until)
        if key:
            self._waiting[key] = reservation
        if self._tokens.add(token, reservation, now):
            self.sweep(now)

    def join(self, token: str, reservation: Reservation, now: Instant) -> None:
        """Let one more page of the same new session hold the reservation."""
        reservation.holders += 1
        reservation.until = max(reservation.until, Instant(now + RESERVATION_SECONDS))
        if self._tokens.add(token, reservation, now):
            self.sweep(now)

    def release(self, token: str) -> None:
        """End the hold of a page that failed. The unit goes back unless another page holds it or it was confirmed."""
        reservation = self._tokens.held.pop(token, None)
        if reservation is not None:
            self._remove_holder(reservation)
        else:
            self._lapsed.held.pop(token, None)

    def confirm(self, token: str, *, new: bool) -> Reservation | None:
        """Note that the page was answered: its session no longer waits. None for an unknown token.

        The caller decides whether a lapsed unit counts again, as it knows the session's other ids.
        """
        reservation = self._tokens.held.pop(token, None)
        if reservation is not None:
            reservation.holders -= 1
        else:
            reservation = self._lapsed.held.pop(token, None)
            if reservation is None:
                return None
        reservation.confirmed = True
        self._stop_waiting(reservation)
        if not new and token == reservation.first:
            # Only the page that reserved decides on the unit: for one that joined, "not new" is the ordinary answer.
            self._drop_unit(reservation)
        return reservation

    def supersede(self, key: int, by: Reservation) -> None:
        """Drop the unit of another reservation for a session that a late answer confirmed: one unit is enough."""
        other = self._waiting.get(key)
        if other is not None and other is not by:
            self._stop_waiting(other)
            other.confirmed = True
            self._drop_unit(other)

    def _remove_holder(self, reservation: Reservation) -> None:
        reservation.holders -= 1
        if not reservation.holders and not reservation.confirmed:
            self._stop_waiting(reservation)
            reservation.give_back()

    def _stop_waiting(self, reservation: Reservation) -> None:
        if self._waiting.get(reservation.key) is reservation:
            del self._waiting[reservation.key]

    @staticmethod
    def _drop_unit(reservation: Reservation) -> None:
        reservation.give_back()
        reservation.unit = None
