"""Which sessions are under way, and which uids they have, in memory (rules.md 1 and 10)."""

from __future__ import annotations

from collections.abc import Iterator

from fsproxy.core.limits.operations import SESSION_IDLE_SECONDS, SESSION_LIFE_SECONDS
from fsproxy.core.model import Instant
from fsproxy.state.memory.expiring_table import ExpiringTable
from fsproxy.state.memory.session_uids import SessionUids

# A session's two times stand in one small integer: when it was last active, in 1/16 s, and, in the
# low 21 bits, how old it was then. More than 36 hours is kept as 36: it has ended either way.
_TICKS = 16
_AGE_BITS = 21
_AGE_MASK = (1 << _AGE_BITS) - 1
_IDLE = SESSION_IDLE_SECONDS * _TICKS
_LIFE = SESSION_LIFE_SECONDS * _TICKS
_SLICE = 60.0


def ended_before(now: Instant) -> int:
    """A row's two times that are less than this, and not negative, are an ended session's."""
    return int((now - SESSION_IDLE_SECONDS) * _TICKS) << _AGE_BITS


class LiveSessions:
    """Sessions and users by key. ``ids`` bounds both together (a session has about two), ``uids`` those with a uid."""

    def __init__(self, ids: int, uids: int) -> None:
        self.times: ExpiringTable[int] = ExpiringTable(ids, SESSION_IDLE_SECONDS, _SLICE, self._last_of)
        """Key -> the two times; or, negative, the complement of the key that is the same session's."""
        self.uids = SessionUids(uids, _SLICE, self._last_active)

    def sweep(self, now: Instant) -> None:
        """Forget a few of those that have ended."""
        self.times.sweep(now)
        if len(self.uids.table):
            self.uids.table.sweep(now)

    def is_under_way(self, key: int, now: Instant) -> bool:
        """Whether the session has not ended, without refreshing it."""
        _, times = self._times(key)
        if times < 0:
            return False
        idle = int(now * _TICKS) - (times >> _AGE_BITS)
        return idle < _IDLE and (times & _AGE_MASK) + idle < _LIFE

    def touch(self, key: int, now: Instant) -> None:
        """Active now. What has been idle for too long starts again; what is too old stays too old."""
        key, times = self._times(key)
        tick = int(now * _TICKS)
        last = times >> _AGE_BITS
        if times < 0 or tick - last >= _IDLE:
            self._begin(key, now)
        elif tick > last:
            age = min((times & _AGE_MASK) + tick - last, _AGE_MASK)
            self.times.put(key, tick << _AGE_BITS | age)

    def open(self, keys: list[int], now: Instant, *, afresh: bool = False) -> None:
        """Under way from now on, under all of these: the first that is known (else the first) keeps the times."""
        if not keys:
            return
        keys = list(dict.fromkeys(keys))
        known = None
        for key in keys:
            if self.is_under_way(key, now):
                known = key
                break
        if known is None or afresh:
            chief, _ = self._times(keys[0] if known is None else known)
            self._begin(chief, now)
        else:
            self.touch(known, now)
            chief, _ = self._times(known)
        for key in keys:
            if self._times(key)[0] == chief:
                continue
            if self.is_under_way(key, now):
                self.touch(key, now)
            else:
                self.times.put(key, ~chief)

    def identify(self, keys: list[int], uid: int) -> None:
        """From now on the sessions and users of these keys have this uid."""
        for key in keys:
            chief, _ = self._times(key)
            if self.uids.get(chief) != uid:
                self.uids.put(chief, uid)

    def uids_of(self, keys: list[int], now: Instant) -> tuple[int, ...]:
        """Return the uids of those that are under way, each once."""
        if not len(self.uids.table):
            return ()
        found = [self.uids.get(self._times(key)[0]) for key in keys if self.is_under_way(key, now)]
        return tuple(dict.fromkeys(uid for uid in found if uid))

    # -- what is kept over a restart

    def journal(self) -> None:
        """From now on note what changes."""
        self.times.journal()
        self.uids.table.journal()

    def note_all(self) -> Iterator[None]:
        """Drain everything once more; a step of the iterator is short."""
        yield from self.times.note_all()
        yield from self.uids.table.note_all()

    def restore(self, rows: list[tuple[int, int]], uids: list[tuple[int, int]], now: Instant) -> None:
        """Take back what was drained, without what has ended meanwhile. Uids come after all sessions."""
        # The times first: an id that is another's alias is as old as they are.
        for key, times in sorted(rows, key=lambda row: row[1], reverse=True):
            if self._last_of(times) > now - SESSION_IDLE_SECONDS:
                self.times.put(key, times)
        self._restore_uids(uids, now)

    def merge(self, rows: list[tuple[int, int]], uids: list[tuple[int, int]], now: Instant) -> None:
        """Take in what another process drained; of what both know, the later stays, and the own uid.

        Aliases come last among the sessions, and uids after all of them.
        """
        for key, times in rows:
            own = self.times.get(key)
            if (own is None or 0 <= own < times) and self._last_of(times) > now - SESSION_IDLE_SECONDS:
                self.times.put(key, times)
        self._restore_uids(uids, now)

    # -- within

    def _restore_uids(self, uids: list[tuple[int, int]], now: Instant) -> None:
        for key, uid in uids:
            if not self.uids.get(key) and self.is_under_way(key, now):
                self.uids.put(key, uid)

    def _begin(self, key: int, now: Instant) -> None:
        self.times.put(key, int(now * _TICKS) << _AGE_BITS)
        self.uids.forget(key)

    def _times(self, key: int) -> tuple[int, int]:
        """The key that holds a session's times, and they (-1: unknown)."""
        times = self.times.get(key)
        if times is not None and times < 0:
            key = ~times
            times = self.times.get(key)
        return key, -1 if times is None or times < 0 else times

    def _last_active(self, key: int) -> float:
        times = self.times.get(key)
        return 0.0 if times is None else self._last_of(times)

    def _last_of(self, times: int) -> float:
        if times < 0:
            chief = self.times.get(~times)
            if chief is None or chief < 0:
                return 0.0  # of what has gone to make room: the first to go
            times = chief
        return (times >> _AGE_BITS) / _TICKS
