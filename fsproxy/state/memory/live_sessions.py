"""Which sessions are under way, and which uids they have, in memory (rules.md 1 and 10).

A session may be known by several keys: ids of sessions or of users. One of them, its chief, holds the session's times.
The others are aliases, and name the chief.

Both times of a session are one integer: when it was last active, in 1/16 s, and in the low 21 bits how old it was then,
in 1/16 s. 21 bits hold 36 hours. An older session is kept as 36 hours old; it has ended either way. An alias is the
complement of its chief's key, which is negative.
"""

from __future__ import annotations

from collections.abc import Iterator

from fsproxy.core.limits.operations import SESSION_IDLE_SECONDS, SESSION_LIFE_SECONDS
from fsproxy.core.model import Instant
from fsproxy.state.memory.expiring_table import ExpiringTable
from fsproxy.state.memory.rows import LedgerRows

_TICKS = 16
_AGE_BITS = 21
_AGE_MASK = (1 << _AGE_BITS) - 1
_IDLE = SESSION_IDLE_SECONDS * _TICKS
_LIFE = SESSION_LIFE_SECONDS * _TICKS
_SLICE = 60.0
_UNKNOWN = -1


def ended_before(now: Instant) -> int:
    """Return the bound for a row's times: those that are less, and not negative, are an ended session's."""
    return int((now - SESSION_IDLE_SECONDS) * _TICKS) << _AGE_BITS


class LiveSessions:
    """Sessions and users by key. ``ids`` bounds both together (a session has about two), ``uids`` those with a uid."""

    def __init__(self, ids: int, uids: int) -> None:
        self.times: ExpiringTable[int] = ExpiringTable(ids, SESSION_IDLE_SECONDS, _SLICE, self._last_active)
        """Key -> the two times, or an alias."""
        # A uid is as old as its session, so that no bundle has to renew a time of its own.
        self.uids: ExpiringTable[int] = ExpiringTable(
            uids, SESSION_IDLE_SECONDS, _SLICE, lambda key, _: self._last_active(key, self.times.get(key))
        )
        """A chief's key -> the digest of the uid; 0: none."""

    def sweep(self, now: Instant) -> bool:
        """Forget a few of those that have ended. Return whether there may be more."""
        more = self.times.sweep(now)
        return self.uids.sweep(now) or more

    def is_under_way(self, key: int, now: Instant) -> bool:
        """Return whether the session has not ended. This does not refresh it."""
        return _is_under_way(self._chief(key)[1], int(now * _TICKS))

    def refresh(self, key: int, now: Instant) -> bool:
        """Note activity of a session under way. Return whether it is."""
        times = self.times.get(key)
        if times is None:
            return False
        if times < 0:
            key, times = self._chief(key)
            if times < 0:
                return False
        tick = int(now * _TICKS)
        idle = tick - (times >> _AGE_BITS)
        age = (times & _AGE_MASK) + idle
        if idle >= _IDLE or age >= _LIFE:
            return False
        if idle > 0:
            self.times.put(key, tick << _AGE_BITS | age)
        return True

    def touch(self, key: int, now: Instant) -> None:
        """Note activity. A session that was idle for too long begins again; one that is too old stays too old."""
        tick = int(now * _TICKS)
        key, times = self._chief(key)
        idle = tick - (times >> _AGE_BITS)
        if times < 0 or idle >= _IDLE:
            self._begin(key, now)
        elif idle > 0:
            self.times.put(key, tick << _AGE_BITS | min((times & _AGE_MASK) + idle, _AGE_MASK))

    def open(self, keys: list[int], now: Instant, *, afresh: bool = False) -> None:
        """Make one session of all these keys, under way from now on. ``afresh``: its times begin now in any case.

        The chief is that of the first key under way, else of the first one. A key that is under way by itself
        keeps its own times; any other becomes an alias.
        """
        if len(keys) < 2:
            for key in keys:
                if afresh or not self.refresh(key, now):
                    self._begin(self._chief(key)[0], now)
            return
        keys, tick = list(dict.fromkeys(keys)), int(now * _TICKS)
        found = list(map(self._chief, keys))
        under_way = [_is_under_way(times, tick) for _, times in found]
        first = under_way.index(True) if True in under_way else 0
        chief = found[first][0]
        if afresh or not under_way[first]:
            self._begin(chief, now)
        else:
            self.touch(chief, now)
        for key, (own, _), is_under_way in zip(keys, found, under_way, strict=True):
            if own == chief:
                continue
            if is_under_way:
                self.touch(key, now)
            else:
                self.times.put(key, ~chief, now)

    def identify(self, keys: list[int], uid: int) -> None:
        """Give the sessions and users of these keys this uid."""
        for key in keys:
            chief, _ = self._chief(key)
            if self.uids.get(chief) != uid:
                self.uids.put(chief, uid)

    def uids_of(self, keys: list[int], now: Instant) -> tuple[int, ...]:
        """Return the uids of those that are under way, without duplicates."""
        found = [self.uids.get(self._chief(key)[0]) for key in keys if self.is_under_way(key, now)]
        return tuple(dict.fromkeys(uid for uid in found if uid))

    # -- for the writer that copies the sessions to disk

    def start_journal(self) -> None:
        """Note from now on what changes."""
        self.times.start_journal()
        self.uids.start_journal()

    def note_all(self) -> Iterator[None]:
        """Let everything be drained once more. A step of the iterator is short."""
        yield from self.times.note_all()
        yield from self.uids.note_all()

    def merge(self, rows: LedgerRows, now: Instant) -> None:
        """Take in what was drained, here or in another process, without what has ended.

        Of times that both know the later stay, and the own uid.
        """
        # Times before aliases, as an alias is as old as its chief. Rows that were read from the file are in order.
        for key, times in sorted(rows.sessions, key=lambda row: row[1], reverse=True):
            own = self.times.get(key)
            is_news = own is None or 0 <= own < times
            if is_news and self._last_active(key, times) > now - SESSION_IDLE_SECONDS:
                self.times.put(key, times)
        for key, uid in rows.uids:
            if not self.uids.get(key) and self.is_under_way(key, now):
                self.uids.put(key, uid)

    # -- within

    def _begin(self, key: int, now: Instant) -> None:
        self.times.put(key, int(now * _TICKS) << _AGE_BITS, now)
        # The session that had a uid under this key has ended.
        if self.uids.size and self.uids.get(key):
            self.uids.put(key, 0)

    def _chief(self, key: int) -> tuple[int, int]:
        """Return the key that holds the session's times, and the times."""
        times = self.times.get(key)
        if times is None:
            return key, _UNKNOWN
        if times < 0:
            key, times = ~times, self.times.get(~times)
        return key, _UNKNOWN if times is None or times < 0 else times

    def _last_active(self, key: int, times: int | None) -> float:  # noqa: ARG002 - the table passes its key
        """Return when a session was last active, in seconds. 0: unknown, so that it is the first to make room."""
        if times is not None and times < 0:
            times = self.times.get(~times)
        return (times >> _AGE_BITS) / _TICKS if times is not None and times >= 0 else 0.0


def _is_under_way(times: int, tick: int) -> bool:
    return times >= 0 and (idle := tick - (times >> _AGE_BITS)) < _IDLE and (times & _AGE_MASK) + idle < _LIFE
