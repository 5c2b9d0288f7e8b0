"""What this process answers in place of Redis, so that a steady site rarely asks it.

Everything here was an answer of Redis, and is asked for again when it is due. So what Redis knows of a session's last
activity is up to 60 s old, and of a name's up to an hour (or a tenth of the retention): a session ends after 29 to 30
minutes without activity, and a name is forgotten that much before its retention. Neither ever admits more than a limit.
All of it is forgotten with each new connection, as the server may have come back empty.
"""

from __future__ import annotations

from typing import Any

from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Answer,
    Claim,
    Claimed,
    Confirm,
    Mark,
    Move,
    NameKind,
    Operation,
    Recall,
    Recalled,
    Release,
)
from fsproxy.core.model import Instant
from fsproxy.state.memory.expiring_table import ExpiringTable
from fsproxy.state.memory.keys import KeyKind, admit_key, key_of, session_keys
from fsproxy.state.redis.wire import uid_from
from fsproxy.state.redis.write_limits import NewNames

UNKNOWN = object()
"""In place of an answer that only Redis has."""
UNTOLD = object()
"""The operation has no answer, and Redis must learn of it, later than this if need be."""
SESSION_SECONDS = 60.0
"""A session or user that was active within this time is not marked again; a uid is believed as long."""
NAME_SECONDS = 3_600.0
NAME_SHARE = 10
"""A known name is refreshed at least once in a tenth of its retention, and in an hour."""
_MOST_IDS = 500_000
_MOST_NAMES = 200_000
_MOST_ORGS = 10_000
_SLICE = 10.0


class _Names:
    """Known names by org and kind, each with the moment at which it must be asked for again."""

    def __init__(self) -> None:
        self._dues: dict[tuple[str, NameKind], dict[str, Instant]] = {}
        self._counts: dict[tuple[str, NameKind], int] = {}
        self._size = 0

    def count(self, op: Claim, now: Instant) -> int | None:
        """Return how many names the org has; None, unless all names of the claim are known and none is due.

        What a page has is known to Redis alone.
        """
        dues = self._dues.get((op.org, op.kind))
        if dues is None or op.page:
            return None
        # Twice, as requests overtake each other; a clock that stepped back must not make an entry last.
        within = 2 * _kept_for(op.retention)
        for name in op.names:
            due = dues.get(name)
            if due is None or not 0 < due - now <= within:
                return None
        return self._counts[op.org, op.kind]

    def learn(self, op: Claim, answer: Claimed, now: Instant) -> None:
        """Keep the names that Redis has admitted."""
        if self._size >= _MOST_NAMES:
            self._dues.clear()
            self._counts.clear()
            self._size = 0
        dues = self._dues.setdefault((op.org, op.kind), {})
        before, due = len(dues), Instant(now + _kept_for(op.retention))
        for name in op.names:
            if name not in answer.refused:
                dues[name] = due
        self._counts[op.org, op.kind] = answer.known
        self._size += len(dues) - before


class _Sessions:
    """Ids of sessions and users, and the pages of those that are under way."""

    def __init__(self) -> None:
        # The moment at which Redis must be asked again; negative if Redis did not confirm that it is under way.
        self._dues: ExpiringTable[float] = ExpiringTable(
            _MOST_IDS, SESSION_SECONDS, _SLICE, lambda _, due: abs(due) - SESSION_SECONDS
        )
        self.forget_uids()

    def forget_uids(self) -> None:
        """Forget the uids alone."""
        self._uids: ExpiringTable[tuple[int, Instant]] = ExpiringTable(
            _MOST_IDS, SESSION_SECONDS, _SLICE, lambda _, kept: kept[1]
        )

    def is_known(self, key: int) -> bool:
        """Return whether anything is known of the id, however old."""
        return self._dues.get(key) is not None

    def is_marked(self, key: int, now: Instant) -> bool:
        """Return whether Redis learned of its activity within the last 60 s."""
        due = self._dues.get(key)
        # Twice, as requests overtake each other; a clock that stepped back must not make an entry last.
        return due is not None and 0 < abs(due) - now <= 2 * SESSION_SECONDS

    def is_under_way(self, key: int, now: Instant) -> bool:
        """Return whether it was under way for Redis within the last 60 s, and cannot have ended since."""
        due = self._dues.get(key)
        return due is not None and 0 < due - now <= 2 * SESSION_SECONDS

    def mark(self, key: int, now: Instant, left: float = 0.0) -> None:
        """Note that Redis learns of its activity now, and for how many seconds it says that it can be under way."""
        self._dues.sweep(now)
        self._dues.put(key, now + min(left, SESSION_SECONDS) if left > 0 else -(now + SESSION_SECONDS))

    def unmark(self, key: int, now: Instant) -> None:
        """Note that Redis did not learn of it."""
        self._dues.put(key, -now)

    def uid(self, key: int, now: Instant) -> int | None:
        """Return the digest of its uid, 0: Redis knows of none; None: Redis must be asked."""
        kept = self._uids.get(key)
        # A clock that stepped back must not make an entry last.
        return kept[0] if kept is not None and abs(now - kept[1]) < SESSION_SECONDS else None

    def put_uid(self, key: int, uid: int, now: Instant) -> None:
        """Keep the uid that Redis has, or learns now."""
        self._uids.sweep(now)
        self._uids.put(key, (uid, now))


class LocalAnswers:
    """Answers operations from what is known here, and learns from Redis's answers."""

    def __init__(self) -> None:
        self.new_names = NewNames()
        self.sessions = _Sessions()
        self._names = _Names()
        self._used: dict[str, int] = {}

    def forget(self) -> None:
        """Forget all that Redis may have lost."""
        self.sessions, self._names = _Sessions(), _Names()

    def answer(self, operation: Operation, now: Instant) -> Any:
        """Return the answer, UNKNOWN or UNTOLD. None: there is none, and Redis need not learn of the operation."""
        sessions = self.sessions
        match operation:
            case Mark():
                return UNTOLD if self.keys_to_mark(operation, now) else None
            case Confirm():
                return None if self._is_no_news(operation, now) else UNTOLD
            case Release() | Move():
                return UNTOLD
            case Recall():
                uids = [sessions.uid(key, now) for key in session_keys(operation)]
                return UNKNOWN if None in uids else Recalled(tuple(dict.fromkeys(uid for uid in uids if uid)))
            case Claim():
                count = self._names.count(operation, now)
                if count is not None or not self.new_names.has_room(operation.org):
                    return Claimed(frozenset(), count or 0)
            case Admit():
                key = admit_key(operation)
                if key and sessions.is_under_way(key, now):
                    used = self._used.get(operation.org, 0) if operation.quota is not None else 0
                    return Admitted(under_way=True, user_admitted=False, over_quota=False, used=used, held=False)
        return UNKNOWN

    def keys_to_mark(self, operation: Mark, now: Instant) -> list[int]:
        """Return the keys of the ids of which Redis must learn something."""
        sessions, uid = self.sessions, operation.uid
        keys = session_keys(operation)
        return [key for key in keys if not (sessions.is_marked(key, now) and self._has_uid(key, uid, now))]

    def _is_no_news(self, operation: Confirm, now: Instant) -> bool:
        """Return whether Redis need not learn of a page's answer: it held nothing, and its session is under way."""
        if operation.held or operation.new or operation.visitors:
            return False
        sessions, uid = self.sessions, operation.uid
        return all(sessions.is_under_way(key, now) and self._has_uid(key, uid, now) for key in _keys(operation))

    def learn_uid(self, operation: Mark | Confirm, now: Instant) -> None:
        """Know the operation's uid from now on, as Redis learns it."""
        if operation.uid:
            for key in _keys(operation):
                self.sessions.put_uid(key, operation.uid, now)

    def learn(self, operation: Operation, answer: Answer, raw: Any, now: Instant) -> None:
        """Keep what Redis answered: ``raw`` as the script did, ``answer`` as the contract has it."""
        sessions = self.sessions
        match operation:
            case Claim():
                if isinstance(answer, Claimed):
                    self._names.learn(operation, answer, now)
            case Admit():
                state, _, _, used, left, _ = raw
                if len(self._used) > _MOST_ORGS:
                    self._used.clear()
                self._used[operation.org] = used
                if state == 1:
                    sessions.mark(admit_key(operation), now, left)
            case Mark() | Confirm():
                for key, left in zip(_keys(operation), raw[1:], strict=True):
                    sessions.mark(key, now, left)
            case Recall():
                for key, uid in zip(session_keys(operation), raw, strict=True):
                    sessions.put_uid(key, uid_from(uid), now)

    def _has_uid(self, key: int, uid: int, now: Instant) -> bool:
        """Return whether Redis need not learn of the uid of a session or user."""
        return not uid or self.sessions.uid(key, now) == uid


def _keys(operation: Mark | Confirm) -> list[int]:
    """Return the keys of the ids that the operation names, in the order of the script's answer."""
    if isinstance(operation, Mark):
        return session_keys(operation)
    org = operation.org
    keys = [key_of(KeyKind.SESSION, org, each) for each in operation.sessions if each]
    return keys + [key_of(KeyKind.USER, org, each) for each in operation.users if each]


def _kept_for(retention: float) -> float:
    return min(NAME_SECONDS, retention / NAME_SHARE)
