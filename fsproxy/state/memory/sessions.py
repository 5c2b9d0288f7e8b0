"""Sessions under way, the quota they use, and the visitors that ramping has admitted (rules.md 1)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat

from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Confirm,
    Mark,
    Recall,
    Recalled,
    Release,
)
from fsproxy.core.model import Instant
from fsproxy.state.memory.counts import Count, Counts
from fsproxy.state.memory.expiring_table import ExpiringTable
from fsproxy.state.memory.keys import SESSION, USER, KeyKind, admit_key, key_of, session_keys
from fsproxy.state.memory.live_sessions import LiveSessions
from fsproxy.state.memory.reservations import Reservations
from fsproxy.state.memory.rows import LedgerRows

ADMITTED_DAYS = 400
"""A visitor that ramping admitted is remembered this long after the last new session."""
DAY = 86_400
SWEEP_SECONDS = 1 / 16
"""Nothing looks for what has ended before so much time has passed since it found nothing."""

NO_UIDS = Recalled(())


class Sessions:
    """Carries out the operations on sessions.

    ``ids`` bounds the ids of sessions and users together (a session has about two), ``uids`` those whose uid is known.
    """

    def __init__(self, ids: int, admitted: int, reservations: int, orgs: int, uids: int) -> None:
        self.live = LiveSessions(ids, uids)
        self.admitted: ExpiringTable[int] = ExpiringTable(
            admitted, ADMITTED_DAYS * DAY, DAY, lambda _, day: float(day * DAY)
        )
        """Key of a visitor -> the day of the last new session."""
        self.reservations = Reservations(reservations)
        self.counts = Counts(orgs)
        # The operations between these two times need not look for what has ended.
        self._swept, self._sweeps_at = 0.0, 0.0

    def admit(self, op: Admit, now: Instant) -> Admitted:
        """See ``Admit``."""
        self._sweep(now)
        terms = op.quota
        count = self.counts.of(op.org, terms.cycle, terms.ends, now) if terms is not None else None
        used = count.used if count is not None else 0
        key = admit_key(op)
        if key:
            if self.live.refresh(key, now):
                return Admitted(True, False, False, used, held=False)
            waiting = self.reservations.waiting(key, now)
            if waiting is not None:
                self.reservations.join(op.token, waiting, now)
                return Admitted(True, False, False, used)
        passes = bool(op.ramped_user and self.admitted.size) and self._passes(op.org, op.ramped_user, now)
        shared = bool(op.share_user and self.admitted.size) and self._passes(op.org, op.share_user, now)
        over = count is not None and terms is not None and self._is_over(count, terms.limit, now)
        blocked = (op.ramped_out and not passes) or (op.shared_out and not shared)
        if not blocked and not (over and terms is not None and terms.enforced):
            self.reservations.reserve(op.token, key, count, now, by_user=not op.session)
        return Admitted(False, passes, over, count.used if count is not None else 0, True, shared)

    def look(self, op: Admit, now: Instant) -> Admitted:
        """Return what ``admit`` would answer, as far as it decides. Only what has lapsed anyway is given back."""
        key, terms = admit_key(op), op.quota
        if key and (self.live.is_under_way(key, now) or self.reservations.waiting(key, now) is not None):
            return Admitted(True, False, False)
        passes, shared = self._is_admitted(op.org, op.ramped_user, now), self._is_admitted(op.org, op.share_user, now)
        if terms is None:
            return Admitted(False, passes, False, share_admitted=shared)
        while self.counts.used(op.org).get(terms.cycle, 0) >= terms.limit and self.reservations.sweep(now):
            pass
        used = self.counts.used(op.org).get(terms.cycle, 0)
        return Admitted(False, passes, used >= terms.limit, used, share_admitted=shared)

    def confirm(self, op: Confirm, now: Instant) -> None:
        """See ``Confirm``."""
        self._sweep(now)
        sessions = list(map(key_of, repeat(SESSION), repeat(op.org), op.sessions))
        users = list(map(key_of, repeat(USER), repeat(op.org), op.users))
        reservation = self.reservations.confirm(op.token, new=op.new)
        if reservation is not None:
            key = reservation.key
            waited = users if reservation.by_user else sessions
            if key and (not waited or waited[0] != key):
                waited.insert(0, key)
            if reservation.unit is not None and not reservation.counted:
                # It had lapsed. The unit counts again, unless another page has opened the session meanwhile.
                if key:
                    self.reservations.supersede(key, reservation)
                if not key or not self.live.is_under_way(key, now):
                    reservation.count_again()
        # If the session is not new, the visitor's own time goes on; a new one starts both.
        self.live.open(sessions, now)
        self.live.open(users, now, afresh=op.new)
        if op.uid:
            self.live.identify(sessions + users, op.uid)
        for each in op.visitors:
            self.admitted.put(key_of(KeyKind.ADMITTED, op.org, each), int(now // DAY))

    def release(self, op: Release, now: Instant) -> None:
        """See ``Release``."""
        self._sweep(now)
        self.reservations.release(op.token)

    def mark(self, op: Mark, now: Instant) -> None:
        """See ``Mark``."""
        self._sweep(now)
        keys = session_keys(op)
        for key in keys:
            self.live.touch(key, now)
        if op.uid:
            self.live.identify(keys, op.uid)

    def recall(self, op: Recall, now: Instant) -> Recalled:
        """See ``Recall``."""
        return Recalled(self.live.uids_of(session_keys(op), now)) if self.live.uids.size else NO_UIDS

    def merge(self, rows: LedgerRows, counted_before: Mapping[tuple[str, str], int], now: Instant) -> None:
        """Take in what was drained, without what has ended. See ``MemoryLedger.merge``."""
        self.live.merge(rows, now)
        today = int(now // DAY)
        for key, day in rows.admitted:
            if day + ADMITTED_DAYS > today and day > (self.admitted.get(key) or 0):
                self.admitted.put(key, day)
        for org, cycle, used, ends in rows.counts:
            if ends > now:
                self.counts.of(org, cycle, ends, now).add(max(used - counted_before.get((org, cycle), 0), 0))

    def _sweep(self, now: Instant) -> None:
        """Forget a little of what has ended. Once there is no more, look again when that may have changed."""
        if self._swept <= now < self._sweeps_at:
            return
        more = self.reservations.sweep(now)
        more = self.live.sweep(now) or more
        more = self.admitted.sweep(now) or more
        self._swept, self._sweeps_at = now, now if more else now + SWEEP_SECONDS

    def _is_over(self, count: Count, limit: int, now: Instant) -> bool:
        # Before anyone is refused, every unit of this count that has lapsed must be back.
        while count.used >= limit and self.reservations.sweep(now):
            pass
        return count.used >= limit

    def _is_admitted(self, org: str, visitor: str, now: Instant) -> bool:
        day = self.admitted.get(key_of(KeyKind.ADMITTED, org, visitor)) if visitor else None
        return day is not None and day + ADMITTED_DAYS > int(now // DAY)

    def _passes(self, org: str, visitor: str, now: Instant) -> bool:
        """Return whether the visitor was admitted earlier, and remember the day of this new session."""
        if not self._is_admitted(org, visitor, now):
            return False
        key, today = key_of(KeyKind.ADMITTED, org, visitor), int(now // DAY)
        if (self.admitted.get(key) or 0) < today:
            self.admitted.put(key, today)
        return True
