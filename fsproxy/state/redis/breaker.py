"""Whether the store is asked at all: one that did not answer in time is left alone until a probe succeeds."""

from __future__ import annotations

from enum import StrEnum, unique

import structlog

PROBE_SECONDS = 1.0
"""Between two probes of a store that is down: the limits are back within 2 s of the store (rules.md 5)."""

log = structlog.get_logger("fsproxy")


@unique
class StoreState(StrEnum):
    """The store's state, in the words of ``/readyz``."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"


class Breaker:
    """The state of the store, one log line for each change, and counters.

    One round trip over the time limit opens it, not several: each would cost a request the whole limit. A connection
    that was lost is first opened anew, at once; it opens the breaker when that fails.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.state = StoreState.STARTING
        self.round_trips = 0
        """Commands written to the store, since the start. A script call or a cache's command is one."""
        self.failures = 0
        """Round trips that failed, probes included."""
        self.unavailable = 0
        """Requests that were refused, as the store was down."""

    @property
    def is_open(self) -> bool:
        """Return whether the store must not be asked."""
        return self.state is StoreState.DOWN

    def failed(self, reason: str) -> None:
        """Note that a round trip or a connection failed. ``reason`` is a kind of failure, never a server's own text."""
        self.failures += 1
        if self.state is not StoreState.DOWN:
            log.error("the store is down: see state.on_error", store=self._name, reason=reason)
            self._change(StoreState.DOWN)

    def recovered(self) -> None:
        """Note that a probe was answered."""
        if self.state is StoreState.DOWN:
            log.warning("the store is back", store=self._name)
        elif self.state is StoreState.STARTING:
            log.info("the store is up", store=self._name)
        if self.state is not StoreState.UP:
            self._change(StoreState.UP)

    def _change(self, state: StoreState) -> None:
        self.state = state
