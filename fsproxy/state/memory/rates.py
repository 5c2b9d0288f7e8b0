"""The calls that each session has made, as long as a window can still hold them (rules.md 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

from fsproxy.core.limits.operations import Move, Spend, Spent
from fsproxy.core.limits.rate import Limits, by_log, horizon, in_microseconds
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from fsproxy.state.memory.call_log import CallLog
from fsproxy.state.memory.expiring_table import ExpiringTable
from fsproxy.state.memory.keys import PAGE, PAGE_RATE_KEYS, RATE_KEYS, key_of

_SLICE = 30.0


class Rates:
    """Logs of accepted calls, by org, session or page, and kind. ``bound`` is how many logs are kept.

    A log forgets calls older than the longest window plus 10 minutes. A log without a call for so long goes.
    """

    def __init__(self, bound: int) -> None:
        self.calls: ExpiringTable[CallLog] = ExpiringTable(bound, horizon(()), _SLICE, lambda _, log: log.last_upload)
        # The windows of the last call, which are mostly the next one's, and how long they need a call's time.
        self._windows: tuple[Window, ...] = ()
        self._limits: Limits = ()
        self._limits_of_session: Limits = ()
        self._limits_of_page: Limits = ()
        self._horizon = horizon(())

    def spend(self, op: Spend, now: Instant) -> Spent:
        """See ``Spend``."""
        windows = op.windows
        if not windows:
            return Spent(passed=True)
        if windows is not self._windows:
            self._windows = windows
            self._limits = in_microseconds(windows)
            self._limits_of_page = in_microseconds([each for each in windows if each.per_page])
            self._limits_of_session = in_microseconds([each for each in windows if not each.per_page])
            self._horizon = horizon(windows)
            self.calls.idle = max(self.calls.idle, self._horizon)
        self.calls.sweep(now)
        page = key_of(PAGE, op.org, op.page) if op.page else 0
        if not op.of_page or not self._limits_of_page:
            return self._spend(key_of(RATE_KEYS[op.kind], op.org, op.session), op, page, self._limits, now)
        of_page = key_of(PAGE_RATE_KEYS[op.kind], op.org, op.of_page)
        on_page = partial(self._spend, of_page, op, page, self._limits_of_page, now)
        if not self._limits_of_session:
            return on_page()
        key = key_of(RATE_KEYS[op.kind], op.org, op.session)
        return self._spend(key, op, page, self._limits_of_session, now, on_page)

    def _spend(
        self, key: int, op: Spend, page: int, limits: Limits, now: Instant, also: Callable[[], Spent] | None = None
    ) -> Spent:
        known = self.calls.get(key)
        log = known if known is not None else CallLog()
        log.forget(now - self._horizon, now)
        spent = log.spend(op, page, limits, also)
        if known is None and spent.passed:
            self.calls.put(key, log, now)
        return spent

    def look(self, op: Spend, now: Instant, logs: dict[int, CallLog]) -> Spent:
        """Return what ``spend`` would answer, and count the call in ``logs`` alone, which begin empty.

        So the calls of one body count against each other.
        """
        page = key_of(PAGE, op.org, op.page) if op.page else 0
        of_session, of_page = by_log(op)
        asked: Callable[[], Spent] | None = None
        if of_page:
            key = key_of(PAGE_RATE_KEYS[op.kind], op.org, op.of_page)
            asked = partial(self._looked_log(key, of_page, now, logs).spend, op, page, in_microseconds(of_page))
        if of_session:
            log = self._looked_log(key_of(RATE_KEYS[op.kind], op.org, op.session), of_session, now, logs)
            return log.spend(op, page, in_microseconds(of_session), asked)
        return asked() if asked is not None else Spent(passed=True)

    def move(self, op: Move, now: Instant) -> None:  # noqa: ARG002 - the ledger gives every operation the time
        """See ``Move``."""
        page = key_of(PAGE, op.org, op.page)
        for keys, identifier in ((RATE_KEYS, op.session), (PAGE_RATE_KEYS, op.page)):
            for kind in keys.values():
                log = self.calls.get(key_of(kind, op.org, identifier))
                if log is not None:
                    log.move(page, op.began)

    def _looked_log(self, key: int, windows: Sequence[Window], now: Instant, logs: dict[int, CallLog]) -> CallLog:
        log = logs.get(key)
        if log is None:
            known = self.calls.get(key)
            log = logs[key] = deepcopy(known) if known is not None else CallLog()
            log.forget(now - horizon(windows), now)
        return log
