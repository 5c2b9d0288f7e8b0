"""Whether the store is asked at all: one that did not answer in time is left alone until a probe succeeds."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum, unique

import structlog

PROBE_SECONDS = 1.0
"""Between two probes of a store that is down: the limits are back within 2 s of the store (rules.md 5)."""

log = structlog.get_logger("fsproxy")


@unique
class StoreState(StrEnum):
    """As ``/readyz`` says it."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"


class Breaker:
    """The state of the store, one log line for each change, and what was counted on the way.

    One round trip over the hard limit opens it, not several: each would cost a request the whole limit,
    and a request's own latency must stay under it. A connection that was lost is first opened anew, at
    once; it opens the breaker when that fails.
    """

    def __init__(self, name: str, on_change: Callable[[StoreState], None] | None = None) -> None:
        self._name = name
        self._on_change = on_change
        self.state = StoreState.STARTING
        self.round_trips = 0
        """Commands written to the store, since the start: a script call or a cache's command is one."""
        self.failures = 0
        """Round trips that failed, probes included."""
        self.unavailable = 0
        """Requests that were told that the store is down."""

    @property
    def is_up(self) -> bool:
        """The last that was heard of the store is an answer."""
        return self.state is StoreState.UP

    @property
    def is_open(self) -> bool:
        """The store is not to be asked."""
        return self.state is StoreState.DOWN

    def failed(self, reason: str) -> None:
        """A round trip or a connection failed; ``reason`` is a kind of failure, never what a server said."""
        self.failures += 1
        if self.state is not StoreState.DOWN:
            log.error("the store is down: see state.on_error", store=self._name, reason=reason)
            self._change(StoreState.DOWN)

    def recovered(self) -> None:
        """A probe was answered."""
        if self.state is not StoreState.UP:
            if self.state is StoreState.DOWN:
                log.warning("the store is back", store=self._name)
            else:
                log.info("the store is up", store=self._name)
            self._change(StoreState.UP)

    def _change(self, state: StoreState) -> None:
        self.state = state
        if self._on_change is not None:
            self._on_change(state)
