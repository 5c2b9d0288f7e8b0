"""What this process answers in place of Redis, and what it learns from Redis's answers (see ``redis_known``)."""

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
    Operation,
    Recall,
    Recalled,
    Release,
)
from fsproxy.core.model import Instant
from fsproxy.state.memory.keys import KeyKind, key_of
from fsproxy.state.redis.known import Known
from fsproxy.state.redis.new_names import NewNames
from fsproxy.state.redis.wire import uid_from

UNKNOWN = object()
"""Stands for an answer that only Redis has."""
_MOST_ORGS = 10_000


class Here:
    """Answers operations from ``known``, which ``RedisLedger`` keeps for one connection."""

    def __init__(self) -> None:
        self.known = Known()
        self.new_names = NewNames()
        self._used: dict[str, int] = {}

    def answer(self, operation: Operation, now: Instant, *, behind: bool) -> Any:
        """What can be answered without asking; ``behind``: what has no answer may be sent later than this."""
        known = self.known
        match operation:
            case Mark():
                return None if behind or not self.due(operation, now) else UNKNOWN
            case Move():
                return None if behind else UNKNOWN
            case Confirm() | Release():
                return None if behind or self.is_told(operation, now) else UNKNOWN
            case Recall():
                uids = [known.uids.get(key, now) for key in keys_of(operation)]
                return UNKNOWN if None in uids else Recalled(tuple(dict.fromkeys(uid for uid in uids if uid)))
            case Claim():
                count = known.count_if_known(operation, now)
                if count is not None or not self.new_names.has_room(operation.org):
                    return Claimed(frozenset(), count or 0)
            case Admit(org=org, session=session, user=user) if session or user:
                key = key_of(KeyKind.SESSION, org, session) if session else key_of(KeyKind.USER, org, user)
                if known.is_under_way(key, now):
                    used = self._used.get(org, 0) if operation.quota is not None else 0
                    return Admitted(under_way=True, user_admitted=False, over_quota=False, used=used)
        return UNKNOWN

    def due(self, operation: Mark, now: Instant) -> list[int]:
        """The ids of which Redis must be told something."""
        known, uid = self.known, operation.uid
        return [key for key in keys_of(operation) if not (known.is_marked(key, now) and self._has_uid(key, uid, now))]

    def is_told(self, operation: Confirm | Release, now: Instant) -> bool:
        """Whether a page's end is no news: it held nothing, and its session is known to be under way."""
        if not self.known.is_free(operation.token):
            return False
        if isinstance(operation, Release):
            return True
        if operation.new or operation.remember_user:
            return False
        known, uid = self.known, operation.uid
        return all(known.is_under_way(key, now) and self._has_uid(key, uid, now) for key in keys_of(operation))

    def identified(self, operation: Mark | Confirm, now: Instant) -> None:
        """Redis is being told of a uid; this process knows it from now on."""
        if operation.uid:
            for key in keys_of(operation):
                self.known.uids.put(key, operation.uid, now)

    def learn(self, operation: Operation, answer: Answer, told: Any, now: Instant) -> None:
        """Keep what Redis ``told``, which is ``answer`` in the contract's form."""
        known = self.known
        match operation:
            case Claim():
                if isinstance(answer, Claimed):
                    known.learn_names(operation, answer.refused, answer.known, now)
            case Admit(org=org, session=session, user=user):
                self._count(org, told[3])
                if told[0] == 1:
                    key = key_of(KeyKind.SESSION, org, session) if session else key_of(KeyKind.USER, org, user)
                    known.told(key, told[4], now)
                    known.holds_nothing(operation.token)
            case Mark() | Confirm():
                for key, left in zip(keys_of(operation), told[1:], strict=True):
                    known.told(key, left, now)
            case Recall():
                for key, uid in zip(keys_of(operation), told, strict=True):
                    known.uids.put(key, uid_from(uid), now)

    def _has_uid(self, key: int, uid: int, now: Instant) -> bool:
        """Whether there is nothing to tell of the uid of a session or user."""
        return not uid or self.known.uids.get(key, now) == uid

    def _count(self, org: str, used: int) -> None:
        if len(self._used) > _MOST_ORGS:
            self._used.clear()
        self._used[org] = used


def keys_of(operation: Mark | Confirm | Recall) -> list[int]:
    """The ids that it speaks of, as they are known here; in the order of the script's answer."""
    org = operation.org
    sessions = operation.sessions if isinstance(operation, Confirm) else (operation.session,)
    users = operation.users if isinstance(operation, Confirm) else (operation.user,)
    keys = [key_of(KeyKind.SESSION, org, each) for each in sessions if each]
    return keys + [key_of(KeyKind.USER, org, each) for each in users if each]
