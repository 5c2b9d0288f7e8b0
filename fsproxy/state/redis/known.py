"""What this process knows for a while without asking: a steady site then rarely touches Redis.

Every entry was told by Redis, and is asked for again when it is due. So what Redis knows of a session's last
activity is up to 60 s old, and of a name's up to an hour (or a tenth of the retention): a session ends after
29 to 30 minutes without activity, a name is forgotten that much before its retention. Neither ever admits
more than a limit. All of it is forgotten with each new connection: the server may have come back empty.
"""

from __future__ import annotations

from fsproxy.core.limits.operations import Claim, NameKind
from fsproxy.core.model import Instant
from fsproxy.state.memory.expiring_table import ExpiringTable

SESSION_SECONDS = 60.0
"""A session or user seen within this time is not marked again."""
NAME_SECONDS = 3_600.0
NAME_SHARE = 10
"""A known name is refreshed at least once in a tenth of its retention, and in an hour."""

_MOST_IDS = 500_000
_MOST_NAMES = 200_000
_MOST_TOKENS = 50_000
_SLICE = 10.0


class Known:
    """Ids under way and names, each with the moment at which it must be asked for again."""

    def __init__(self) -> None:
        self._ids: ExpiringTable[float] = ExpiringTable(
            _MOST_IDS, SESSION_SECONDS, _SLICE, lambda _, due: abs(due) - SESSION_SECONDS
        )
        self._names: dict[tuple[str, NameKind], dict[str, Instant]] = {}
        self._counts: dict[tuple[str, NameKind], int] = {}
        self._name_count = 0
        self._tokens: dict[str, None] = {}
        self.uids = KnownUids()

    def forget(self) -> None:
        """All of it."""
        self.__init__()  # type: ignore[misc]  # as new

    # -- ids: the moment when due; negative when Redis has not said that the session is under way

    def has(self, key: int) -> bool:
        """Anything is known of it, however old."""
        return self._ids.get(key) is not None

    def is_marked(self, key: int, now: Instant) -> bool:
        """Redis was told of its activity within the last 60 s."""
        due = self._ids.get(key)
        # Twice: requests overtake each other. A clock that stepped back must not make an entry last.
        return due is not None and 0 < abs(due) - now <= 2 * SESSION_SECONDS

    def is_under_way(self, key: int, now: Instant) -> bool:
        """Redis said so within the last 60 s, and the session cannot have ended since."""
        due = self._ids.get(key)
        return due is not None and 0 < due - now <= 2 * SESSION_SECONDS

    def mark(self, key: int, now: Instant) -> None:
        """On its way to Redis."""
        self._ids.sweep(now)
        self._ids.put(key, -(now + SESSION_SECONDS))

    def told(self, key: int, left: float, now: Instant) -> None:
        """Redis says that it can be under way for ``left`` seconds more."""
        self._ids.sweep(now)
        self._ids.put(key, now + min(left, SESSION_SECONDS) if left > 0 else -(now + SESSION_SECONDS))

    def unmark(self, key: int, now: Instant) -> None:
        """It did not arrive."""
        self._ids.put(key, -now)

    # -- pages of sessions under way hold nothing in Redis

    def holds_nothing(self, token: str) -> None:
        """This page was told "under way": its end gives no unit back."""
        if len(self._tokens) >= _MOST_TOKENS:
            self._tokens.clear()
        self._tokens[token] = None

    def is_free(self, token: str) -> bool:
        """See ``holds_nothing``."""
        return token in self._tokens

    def end(self, token: str) -> None:
        """The page has ended."""
        self._tokens.pop(token, None)

    # -- names

    def count_if_known(self, op: Claim, now: Instant) -> int | None:
        """How many names the org has, if all of these are known here and none is due."""
        dues = self._names.get((op.org, op.kind))
        if dues is None:
            return None
        within = 2 * _name_seconds(op.retention)
        for name in op.names:
            due = dues.get(name)
            if due is None or not 0 < due - now <= within:
                return None
        return self._counts[op.org, op.kind]

    def learn_names(self, op: Claim, refused: frozenset[str], known: int, now: Instant) -> None:
        """Redis's answer to a claim."""
        if self._name_count >= _MOST_NAMES:
            self._names.clear()
            self._counts.clear()
            self._name_count = 0
        key = (op.org, op.kind)
        dues = self._names.setdefault(key, {})
        before = len(dues)
        due = Instant(now + _name_seconds(op.retention))
        for name in op.names:
            if name not in refused:
                dues[name] = due
        self._counts[key] = known
        self._name_count += len(dues) - before


class KnownUids:
    """The uids of sessions and users as Redis has them, each believed for 60 s. That there is none is kept as well."""

    def __init__(self) -> None:
        self._uids: ExpiringTable[tuple[int, float]] = ExpiringTable(
            _MOST_IDS, SESSION_SECONDS, _SLICE, lambda _, kept: kept[1]
        )

    def get(self, key: int, now: Instant) -> int | None:
        """The digest, 0: Redis knows of none; None: it must be asked."""
        kept = self._uids.get(key)
        # A clock that stepped back must not make an entry last.
        return kept[0] if kept is not None and abs(now - kept[1]) < SESSION_SECONDS else None

    def put(self, key: int, uid: int, now: Instant) -> None:
        """What Redis says, or is being told."""
        self._uids.sweep(now)
        self._uids.put(key, (uid, now))


def _name_seconds(retention: float) -> float:
    return min(NAME_SECONDS, retention / NAME_SHARE)
