"""What of the ledger is worth keeping over a restart."""

from __future__ import annotations

import msgspec

from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import Instant
from fsproxy.core.run_time_lists import ListRow


class LedgerRows(msgspec.Struct):
    """All but rates and reservations (rules.md 5). It holds no id of a visitor."""

    sessions: list[tuple[int, int]] = []
    """Key, and a session's times or the other key that has them (``LiveSessions``). Worthless after 30 minutes."""
    admitted: list[tuple[int, int]] = []
    """Key of a visitor, and the day (since 1970) of the last new session."""
    counts: list[tuple[str, str, int, Instant]] = []
    """Org, cycle, units used, end of the cycle."""
    names: list[tuple[str, NameKind, str, Instant]] = []
    """Org, kind, name (a long one's digest), last seen."""
    uids: list[tuple[int, int]] = []
    """Key of a session or user, and the digest of its uid. Worthless without that session."""
    lists: list[ListRow] = []
    """Entries of the lists that change at run time; a uid as its digest."""

    def __len__(self) -> int:
        kept = len(self.sessions) + len(self.admitted) + len(self.counts) + len(self.names) + len(self.uids)
        return kept + len(self.lists)
