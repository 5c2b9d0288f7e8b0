"""Sessions under way, the quota they use up, and the visitors that ramping has let in (rules.md 1)."""

from __future__ import annotations

from fsproxy.core.limits.operations import (
    SESSION_IDLE_SECONDS,
    SESSION_LIFE_SECONDS,
    Admit,
    Admitted,
    Confirm,
    Mark,
    QuotaTerms,
    Release,
)
from fsproxy.core.model import Instant
from fsproxy.shell.ledger.aging import AgingTable
from fsproxy.shell.ledger.counts import Count, Counts
from fsproxy.shell.ledger.holds import Holds
from fsproxy.shell.ledger.keys import KeyKind, key_of

ADMITTED_DAYS = 400
"""A visitor that ramping let in is remembered this long after the last new session."""

# A session's two times stand in one small integer: when it was last active, in 1/16 s, and, in the
# low 21 bits, how old it was then. More than 36 hours is kept as 36: it has ended either way.
_TICKS = 16
_AGE_BITS = 21
_AGE_MASK = (1 << _AGE_BITS) - 1
_IDLE = SESSION_IDLE_SECONDS * _TICKS
_LIFE = SESSION_LIFE_SECONDS * _TICKS
_DAY = 86_400
_SLICE = 60.0


def ended_before(now: Instant) -> int:
    """A row's two times that are less than this, and not negative, are an ended session's."""
    return int((now - SESSION_IDLE_SECONDS) * _TICKS) << _AGE_BITS


class Sessions:
    """The memory of sessions. ``ids`` bounds the ids of sessions and users together: a session has about two."""

    def __init__(self, ids: int, admitted: int, reservations: int, orgs: int) -> None:
        self.live: AgingTable[int] = AgingTable(ids, SESSION_IDLE_SECONDS, _SLICE, self._last_of)
        """Key -> the two times; or, negative, the complement of the key that is the same session's."""
        self.admitted: AgingTable[int] = AgingTable(admitted, ADMITTED_DAYS * _DAY, _DAY, _day_of)
        """Key of a visitor -> the day of the last new session."""
        self.holds = Holds(reservations)
        self.counts = Counts(orgs)

    def admit(self, op: Admit, now: Instant) -> Admitted:
        """See ``Admit``."""
        self._sweep(now)
        terms = op.quota
        count = self.counts.of(op.org, terms.cycle, terms.ends, now) if terms is not None else None
        key = self._key_of(op)
        if key and self._under_way(key, now):
            self._touch(key, now)
            return Admitted(under_way=True, user_admitted=False, over_quota=False, used=_used(count), held=False)
        if key and self._joins(op.token, key, now):
            return Admitted(under_way=True, user_admitted=False, over_quota=False, used=_used(count))
        passes = self._passes(op, now)
        over = self._over(count, terms, now)
        ramped_out = op.ramped_out and not passes
        if not ramped_out and not (over and terms is not None and terms.enforced):
            self.holds.reserve(op.token, key, count, now, by_user=not op.session)
        return Admitted(under_way=False, user_admitted=passes, over_quota=over, used=_used(count))

    def confirm(self, op: Confirm, now: Instant) -> None:
        """See ``Confirm``."""
        self._sweep(now)
        sessions = [key_of(KeyKind.SESSION, op.org, each) for each in op.sessions if each]
        users = [key_of(KeyKind.USER, op.org, each) for each in op.users if each]
        hold = self.holds.confirm(op.token, new=op.new)
        if hold is not None:
            if hold.key:
                (users if hold.by_user else sessions).insert(0, hold.key)
            if hold.unit is not None and not hold.counted:
                if hold.key:
                    self.holds.supersede(hold.key, hold)
                if not hold.key or not self._under_way(hold.key, now):
                    hold.count_again()
        # Of a session that is not new, the visitor's own time goes on; a new one starts both.
        self._open(sessions, now)
        self._open(users, now, afresh=op.new)
        if op.remember_user:
            for each in op.users:
                if each:
                    self.admitted.put(key_of(KeyKind.ADMITTED, op.org, each), int(now // _DAY))

    def release(self, op: Release, now: Instant) -> None:
        """See ``Release``."""
        self._sweep(now)
        self.holds.release(op.token)

    def mark(self, op: Mark, now: Instant) -> None:
        """See ``Mark``."""
        self._sweep(now)
        if op.session:
            self._touch(key_of(KeyKind.SESSION, op.org, op.session), now)
        if op.user:
            self._touch(key_of(KeyKind.USER, op.org, op.user), now)

    def under_way(self, org: str, session: str, user: str, now: Instant) -> bool:
        """Whether a session is under way, without refreshing it. Reserved ones are not."""
        if session:
            return self._under_way(key_of(KeyKind.SESSION, org, session), now)
        return bool(user) and self._under_way(key_of(KeyKind.USER, org, user), now)

    def restore(
        self,
        live: list[tuple[int, int]],
        admitted: list[tuple[int, int]],
        counts: list[tuple[str, str, int, Instant]],
        now: Instant,
    ) -> None:
        """Take back what the parts' ``drain`` gave, without what has ended meanwhile."""
        # The times first: an id that is another's alias is as old as they are.
        for key, times in sorted(live, key=lambda row: row[1], reverse=True):
            if self._last_of(times) > now - SESSION_IDLE_SECONDS:
                self.live.put(key, times)
        for key, day in admitted:
            if _day_of(day) > now - ADMITTED_DAYS * _DAY:
                self.admitted.put(key, day)
        for org, cycle, used, ends in counts:
            if ends > now:
                self.counts.of(org, cycle, ends, now).used = used

    def merge(self, live: list[tuple[int, int]], admitted: list[tuple[int, int]], now: Instant) -> None:
        """Take in what another process's ``drain`` gave; of what both know, the later stays. Aliases come last."""
        for key, times in live:
            own = self.live.get(key)
            if (own is None or 0 <= own < times) and self._last_of(times) > now - SESSION_IDLE_SECONDS:
                self.live.put(key, times)
        for key, day in admitted:
            if day > (self.admitted.get(key) or 0):
                self.admitted.put(key, day)

    def _sweep(self, now: Instant) -> None:
        self.holds.sweep(now)
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
        hold = self.holds.waiting(key, now)
        if hold is None:
            return False
        self.holds.join(token, hold, now)
        return True

    def _over(self, count: Count | None, terms: QuotaTerms | None, now: Instant) -> bool:
        if count is None or terms is None or count.used < terms.limit:
            return False
        # Before anyone is refused, every unit of this count that has lapsed must be back.
        while self.holds.sweep(now) and count.used >= terms.limit:
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

    def _times(self, key: int) -> tuple[int, int]:
        """The key that holds a session's times, and they (-1: unknown)."""
        times = self.live.get(key)
        if times is not None and times < 0:
            key = ~times
            times = self.live.get(key)
        return key, -1 if times is None or times < 0 else times

    def _under_way(self, key: int, now: Instant) -> bool:
        _, times = self._times(key)
        if times < 0:
            return False
        idle = int(now * _TICKS) - (times >> _AGE_BITS)
        return idle < _IDLE and (times & _AGE_MASK) + idle < _LIFE

    def _touch(self, key: int, now: Instant) -> None:
        """Active now. What has been idle for too long starts again; what is too old stays too old."""
        key, times = self._times(key)
        tick = int(now * _TICKS)
        last = times >> _AGE_BITS
        if times < 0 or tick - last >= _IDLE:
            self.live.put(key, tick << _AGE_BITS)
        elif tick > last:
            age = min((times & _AGE_MASK) + tick - last, _AGE_MASK)
            self.live.put(key, tick << _AGE_BITS | age)

    def _open(self, keys: list[int], now: Instant, *, afresh: bool = False) -> None:
        """Under way from now on, under all of these: the first that is known (else the first) keeps the times."""
        if not keys:
            return
        keys = list(dict.fromkeys(keys))
        known = None
        for key in keys:
            if self._under_way(key, now):
                known = key
                break
        if known is None or afresh:
            chief, _ = self._times(keys[0] if known is None else known)
            self.live.put(chief, int(now * _TICKS) << _AGE_BITS)
        else:
            self._touch(known, now)
            chief, _ = self._times(known)
        for key in keys:
            if self._times(key)[0] == chief:
                continue
            if self._under_way(key, now):
                self._touch(key, now)
            else:
                self.live.put(key, ~chief)

    def _last_of(self, times: int) -> float:
        if times < 0:
            chief = self.live.get(~times)
            if chief is None or chief < 0:
                return 0.0  # of what has gone to make room: the first to go
            times = chief
        return (times >> _AGE_BITS) / _TICKS


def _day_of(day: int) -> float:
    return float(day * _DAY)


def _used(count: Count | None) -> int:
    return count.used if count is not None else 0
