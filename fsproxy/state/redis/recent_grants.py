"""Units that the store has granted to this process in the last seconds, for a server that may not know of them.

Servers replicate behind. So a new primary lacks what the old one granted last, which is up to a second of it where both
were primaries for a while (``SENTINEL FAILOVER``). Each process tells what it was granted, and what was made of it. A
server that knows of the session counts nothing then.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec.structs import replace

from fsproxy.clock import now as wall_clock
from fsproxy.core.limits.operations import RESERVATION_SECONDS, Admit, Admitted, Confirm, Operation, Release
from fsproxy.core.model import Instant

LAST_SECONDS = 3.0
"""Before the newest grant of the same org. Sentinels see a new primary within a second of its promotion; the other
nodes of a Cluster go on granting until a lost one's replica is in charge."""
MOST = 5_000


class RecentGrants:
    """The newest grants, by the page's token. A session without an id is left out, as it cannot be known again."""

    def __init__(self) -> None:
        self._grants: OrderedDict[str, tuple[Instant, Admit, Confirm | None]] = OrderedDict()

    def note(self, operation: Admit, answer: Admitted, now: Instant) -> None:
        """Keep the operation if it was granted a unit."""
        quota = operation.quota
        if quota is None or answer.under_way or not (operation.session or operation.user):
            return
        is_out = (operation.ramped_out and not answer.user_admitted) or (
            operation.shared_out and not answer.share_admitted
        )
        if is_out or (answer.over_quota and quota.enforced):
            return
        grants = self._grants
        grants[operation.token] = (now, operation, None)
        while len(grants) > MOST or next(iter(grants.values()))[0] < now - RESERVATION_SECONDS:
            grants.popitem(last=False)

    def end(self, operation: Confirm | Release) -> None:
        """Note what the store learned of a unit."""
        token = operation.token
        if token in self._grants:
            if isinstance(operation, Confirm):
                self._grants[token] = (*self._grants[token][:2], operation)
            else:
                del self._grants[token]

    def again(self) -> list[Operation]:
        """Return what is to be sent, in its order. A unit counts again whatever the limit is by now."""
        found: list[Operation] = []
        now = wall_clock()
        newest = {admit.org: at for at, admit, _ in self._grants.values()}
        for at, admit, confirm in self._grants.values():
            is_last = newest[admit.org] - at <= LAST_SECONDS
            if is_last and admit.quota is not None and 0 <= now - at < RESERVATION_SECONDS:
                quota = replace(admit.quota, enforced=False)
                found.append(replace(admit, ramped_out=False, shared_out=False, quota=quota))
                if confirm is not None:
                    found.append(confirm)
        return found
