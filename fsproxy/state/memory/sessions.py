"""Sessions under way, the quota they use up, and the visitors that ramping has let in (rules.md 1)."""

from __future__ import annotations

from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Confirm,
    Mark,
    QuotaTerms,
    Recall,
    Recalled,
    Release,
)
from fsproxy.core.model import Instant
from fsproxy.state.memory.counts import Count, Counts
from fsproxy.state.memory.expiring_table import ExpiringTable
from fsproxy.state.memory.keys import KeyKind, key_of
from fsproxy.state.memory.live_sessions import LiveSessions
from fsproxy.state.memory.reservations import Reservations

ADMITTED_DAYS = 400
"""A visitor that ramping let in is remembered this long after the last new session."""

_DAY = 86_400


class Sessions:
    """The memory of sessions. ``ids`` bounds the ids of sessions and users together: a session has about two.

    ``uids`` bounds those of them whose uid is known.
    """

    def __init__(self, ids: int, admitted: int, reservations: int, orgs: int, uids: int) -> None:
        self.live = LiveSessions(ids, uids)
        self.admitted: ExpiringTable[int] = ExpiringTable(admitted, ADMITTED_DAYS * _DAY, _DAY, _day_of)
        """Key of a visitor -> the day of the last new session."""
        self.reservations = Reservations(reservations)
        self.counts = Counts(orgs)

    def admit(self, op: Admit, now: Instant) -> Admitted:
        """See ``Admit``."""
        self._sweep(now)
        terms = op.quota
        count = self.counts.of(op.org, terms.cycle, terms.ends, now) if terms is not None else None
        key = self._key_of(op)
        if key and self.live.is_under_way(key, now):
            self.live.touch(key, now)
            return Admitted(under_way=True, user_admitted=False, over_quota=False, used=_used(count), held=False)
        if key and self._joins(op.token, key, now):
            return Admitted(under_way=True, user_admitted=False, over_quota=False, used=_used(count))
        passes = self._passes(op, now)
        over = self._over(count, terms, now)
        ramped_out = op.ramped_out and not passes
        if not ramped_out and not (over and terms is not None and terms.enforced):
            self.reservations.reserve(op.token, key, count, now, by_user=not op.session)
        return Admitted(under_way=False, user_admitted=passes, over_quota=over, used=_used(count))

    def confirm(self, op: Confirm, now: Instant) -> None:
        """See ``Confirm``."""
        self._sweep(now)
        sessions = [key_of(KeyKind.SESSION, op.org, each) for each in op.sessions if each]
        users = [key_of(KeyKind.USER, op.org, each) for each in op.users if each]
        hold = self.reservations.confirm(op.token, new=op.new)
        if hold is not None:
            if hold.key:
                (users if hold.by_user else sessions).insert(0, hold.key)
            if hold.unit is not None and not hold.counted:
                if hold.key:
                    self.reservations.supersede(hold.key, hold)
                if not hold.key or not self.live.is_under_way(hold.key, now):
                    hold.count_again()
        # Of a session that is not new, the visitor's own time goes on; a new one starts both.
        self.live.open(sessions, now)
        self.live.open(users, now, afresh=op.new)
        if op.uid:
            self.live.identify(sessions + users, op.uid)
        if op.remember_user:
            for each in op.users:
                if each:
                    self.admitted.put(key_of(KeyKind.ADMITTED, op.org, each), int(now // _DAY))

    def release(self, op: Release, now: Instant) -> None:
        """See ``Release``."""
        self._sweep(now)
        self.reservations.release(op.token)

    def mark(self, op: Mark, now: Instant) -> None:
        """See ``Mark``."""
        self._sweep(now)
        if op.session:
            self.live.touch(key_of(KeyKind.SESSION, op.org, op.session), now)
        if op.user:
            self.live.touch(key_of(KeyKind.USER, op.org, op.user), now)
        if op.uid:
            self.live.identify(_keys_of(op), op.uid)

    def recall(self, op: Recall, now: Instant) -> Recalled:
        """See ``Recall``."""
        return Recalled(self.live.uids_of(_keys_of(op), now))

    def under_way(self, org: str, session: str, user: str, now: Instant) -> bool:
        """Whether a session is under way, without refreshing it. Reserved ones are not."""
        if session:
            return self.live.is_under_way(key_of(KeyKind.SESSION, org, session), now)
        return bool(user) and self.live.is_under_way(key_of(KeyKind.USER, org, user), now)

    def restore(
        self,
        live: list[tuple[int, int]],
        uids: list[tuple[int, int]],
        admitted: list[tuple[int, int]],
        counts: list[tuple[str, str, int, Instant]],
        now: Instant,
    ) -> None:
        """Take back what the parts' ``drain`` gave, without what has ended meanwhile."""
        self.live.restore(live, uids, now)
        for key, day in admitted:
            if _day_of(day) > now - ADMITTED_DAYS * _DAY:
                self.admitted.put(key, day)
        for org, cycle, used, ends in counts:
            if ends > now:
                self.counts.of(org, cycle, ends, now).used = used

    def merge(
        self,
        live: list[tuple[int, int]],
        uids: list[tuple[int, int]],
        admitted: list[tuple[int, int]],
        now: Instant,
    ) -> None:
        """Take in what another process's ``drain`` gave; of what both know, the later stays."""
        self.live.merge(live, uids, now)
        for key, day in admitted:
            if day > (self.admitted.get(key) or 0):
                self.admitted.put(key, day)

    def _sweep(self, now: Instant) -> None:
        self.reservations.sweep(now)
        self.live.sweep(now)
        if len(self.admitted):
            self.admitted.sweep(now)

    def _key_of(self, op: Admit) -> int:
        if op.session:
            return key_of(KeyKind.SESSION, op.org, op.session)
        if op.user:
            return key_of(KeyKind.USER, op.org, op.user)
        return 0

    def _joins(self, token: str, key: int, now: Instant) -> bool:
        hold = self.reservations.waiting(key, now)
        if hold is None:
            return False
        self.reservations.join(token, hold, now)
        return True

    def _over(self, count: Count | None, terms: QuotaTerms | None, now: Instant) -> bool:
        if count is None or terms is None or count.used < terms.limit:
            return False
        # Before anyone is refused, every unit of this count that has lapsed must be back.
        while self.reservations.sweep(now) and count.used >= terms.limit:
            pass
        return count.used >= terms.limit

    def _passes(self, op: Admit, now: Instant) -> bool:
        if not op.user or not len(self.admitted):
            return False
        key = key_of(KeyKind.ADMITTED, op.org, op.user)
        day = self.admitted.get(key)
        today = int(now // _DAY)
        if day is None or day + ADMITTED_DAYS <= today:
            return False
        if day < today:
            self.admitted.put(key, today)
        return True


def _keys_of(op: Mark | Recall) -> list[int]:
    keys = [key_of(KeyKind.SESSION, op.org, op.session)] if op.session else []
    if op.user:
        keys.append(key_of(KeyKind.USER, op.org, op.user))
    return keys


def _day_of(day: int) -> float:
    return float(day * _DAY)


def _used(count: Count | None) -> int:
    return count.used if count is not None else 0
