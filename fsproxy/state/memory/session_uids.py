"""Which uid a session under way has, in memory: as digests, as long as the session (rules.md 10)."""

from __future__ import annotations

from collections.abc import Callable

from fsproxy.core.limits.operations import SESSION_IDLE_SECONDS
from fsproxy.core.uid_digest import DIGEST_BITS
from fsproxy.state.memory.expiring_table import ExpiringTable

_DIGEST_MASK = (1 << DIGEST_BITS) - 1


class SessionUids:
    """At most ``bound`` uids, by the key under which ``Sessions`` keeps the times of the session or user.

    ``last_active`` gives when the session of such a key was active last, 0 when it is not known: a uid goes with its
    session, without a time of its own that each bundle would have to renew.
    """

    def __init__(self, bound: int, width: float, last_active: Callable[[int], float]) -> None:
        # The value holds its key above the digest, as the table asks each value for its age.
        self.table: ExpiringTable[int] = ExpiringTable(
            bound, SESSION_IDLE_SECONDS, width, lambda value: last_active(value >> DIGEST_BITS)
        )

    def put(self, key: int, uid: int) -> None:
        """Remember the uid, in place of an earlier one."""
        self.table.put(key, key << DIGEST_BITS | uid)

    def get(self, key: int) -> int:
        """The digest; 0 when none is known."""
        return (self.table.get(key) or 0) & _DIGEST_MASK

    def forget(self, key: int) -> None:
        """The session has ended, and another begins under the same key."""
        if self.get(key):
            self.put(key, 0)

    def drain(self, most: int) -> list[tuple[int, int]]:
        """At most so many that changed since they were last drained: key and digest."""
        return [(key, value & _DIGEST_MASK) for key, value in self.table.drain(most)]
