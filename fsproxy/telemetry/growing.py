"""A counter of what should not happen, as a condition: from its first growth until it has rested for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition

REST_SECONDS = 60.0


class Growing:
    """A source of one condition, which counts what came since it began."""

    def __init__(
        self,
        read: Callable[[], int],
        describe: Callable[[], Condition],
        *,
        rest: float = REST_SECONDS,
        lasts: Callable[[], bool] = lambda: False,
    ) -> None:
        """Read a counter with ``read``. ``describe`` returns the condition; its time and count are set here.

        It is over when the counter has not grown for ``rest`` seconds, and not while ``lasts`` is true. Meanwhile it
        is reported as it was described last.
        """
        self._read = read
        self._describe = describe
        self._rest = rest
        self._lasts = lasts
        self._total = self._before = read()
        self._since: Instant | None = None
        self._grown = Instant(0.0)
        self._described: Condition | None = None

    def __call__(self, now: Instant) -> Iterator[Condition]:
        """Yield the condition while it lasts, and once more with its end."""
        total = self._read()
        if total < self._total:
            # A part of what is counted together has gone, such as a server.
            self._before, self._total = self._before - (self._total - total), total
        if total != self._total:
            if self._since is None:
                self._since, self._before = now, self._total
            self._total, self._grown, self._described = total, now, self._describe()
        elif self._lasts():
            self._since, self._grown, self._described = self._since or now, now, self._describe()
        if self._since is None or self._described is None:
            return
        ended = None if 0 <= now - self._grown < self._rest else self._grown
        yield replace(self._described, since=self._since, count=total - self._before, ended=ended)
        if ended is not None:
            self._since = None

    def end(self) -> None:
        """Count it as over from now on: its cause was taken away."""
        self._since, self._total = None, self._read()
