"""The calls that each session has made, as long as a window can still hold them (rules.md 2)."""

from __future__ import annotations

from copy import deepcopy

from fsproxy.core.limits.operations import Move, Spend, Spent
from fsproxy.core.limits.rate import Limits, horizon, in_microseconds
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.state.memory.call_log import CallLog
from fsproxy.state.memory.expiring_table import ExpiringTable
from fsproxy.state.memory.keys import PAGE, RATE_KEYS, key_of

_SLICE = 30.0


class Rates:
    """Logs of accepted calls, by org, session and kind. ``bound`` is how many logs are kept.

    A log forgets calls older than the longest window plus 10 minutes. A log without a call for so long goes.
    """

    def __init__(self, bound: int) -> None:
        self.calls: ExpiringTable[CallLog] = ExpiringTable(bound, horizon(()), _SLICE, lambda _, log: log.last_upload)
        # The windows of the last call, which are mostly the next one's, and how long they need a call's time.
        self._windows: tuple[Window, ...] = ()
        self._limits: Limits = ()
        self._horizon = horizon(())

    def spend(self, op: Spend, now: Instant) -> Spent:
        """See ``Spend``."""
        windows = op.windows
        if not windows:
            return Spent(passed=True)
        if windows is not self._windows:
            self._windows = windows
            self._limits = in_microseconds(windows)
            self._horizon = horizon(windows)
            self.calls.idle = max(self.calls.idle, self._horizon)
        self.calls.sweep(now)
        key = key_of(RATE_KEYS[op.kind], op.org, op.session)
        page = key_of(PAGE, op.org, op.page) if op.page else 0
        known = self.calls.get(key)
        log = known if known is not None else CallLog()
        log.forget(now - self._horizon, now)
        spent = log.spend(op, page, self._limits)
        if known is None and spent.passed:
            self.calls.put(key, log, now)
        return spent

    def look(self, op: Spend, now: Instant, logs: dict[int, CallLog]) -> Spent:
        """Return what ``spend`` would answer, and count the call in ``logs`` alone, which begin empty.

        So the calls of one body count against each other.
        """
        key = key_of(RATE_KEYS[op.kind], op.org, op.session)
        log = logs.get(key)
        if log is None:
            known = self.calls.get(key)
            log = logs[key] = deepcopy(known) if known is not None else CallLog()
            log.forget(now - horizon(op.windows), now)
        if not op.windows:
            return Spent(passed=True)
        return log.spend(op, key_of(PAGE, op.org, op.page) if op.page else 0, in_microseconds(op.windows))

    def move(self, op: Move, now: Instant) -> None:  # noqa: ARG002 - the ledger gives every operation the time
        """See ``Move``."""
        page = key_of(PAGE, op.org, op.page)
        for kind in RATE_KEYS.values():
            log = self.calls.get(key_of(kind, op.org, op.session))
            if log is not None:
                log.move(page, op.began)
