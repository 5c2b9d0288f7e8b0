"""Trying a configuration on live traffic: one at a time, for a given time, beside the one in force."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from fsproxy.clock import now
from fsproxy.config.schema import ModeSwitch, TopMode
from fsproxy.core.audit.privacy import safe
from fsproxy.core.trial.tally import Tally
from fsproxy.proxy.trial.candidate import Candidate
from fsproxy.proxy.trial.trial import Trial
from fsproxy.reload.build_generation import Asked, build_candidate

if TYPE_CHECKING:
    from fsproxy.proxy.data_plane import DataPlane
    from fsproxy.proxy.generation import Generation

TIME_OVER = "its time is over"
STOPPED = "it was stopped"
RELOADED = "another configuration was loaded"
MODE_CHANGED = "the mode was changed"
PROGRAM_STOPS = "the program stops"
log = structlog.get_logger("fsproxy")


class NotNowError(Exception):
    """Raised where no trial can begin. Its text says why, and what to do."""


class TrialState(msgspec.Struct):
    """A trial, or what it found. The times are Unix seconds and seconds."""

    state: Literal["none", "running", "ended"] = "none"
    name: str | None = None
    since: float | None = None
    seconds: float | None = None
    left: float | None = None
    share: float | None = None
    ended_because: str | None = None
    restart_needed_for: tuple[str, ...] = ()
    """Keys that differ, and that only a restart changes: it is tried with the present values."""
    tally: Tally = msgspec.field(default_factory=Tally)


class Trials:
    """Starts and ends trials, and keeps what the last one found."""

    def __init__(
        self,
        data_plane: Callable[[], DataPlane | None],
        switch: Callable[[], ModeSwitch | None],
        retire: Callable[[Generation], None],
    ) -> None:
        """``switch``: what the admin API asked for. ``retire`` frees a generation once nothing uses it."""
        self._data_plane = data_plane
        self._switch = switch
        self._retire = retire
        self._state = TrialState()
        self._trial: Trial | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._building: str | None = None
        """The name of a candidate that is being compiled."""

    @property
    def state(self) -> TrialState:
        """What is known now."""
        timer = self._timer
        self._state.left = max(timer.when() - asyncio.get_running_loop().time(), 0.0) if timer is not None else None
        return self._state

    async def start(self, asked: Asked) -> TrialState:
        """Begin. Raise NotNowError, and ConfigError for a candidate with faults."""
        data_plane = self._data_plane()
        if data_plane is None:
            raise NotNowError("the program has not started yet")
        if self._building is not None:
            raise NotNowError(f"{self._building} is about to be tried")
        if self._trial is not None:
            left = int(self.state.left or 0)
            text = "is being tried for {} s more; end it with DELETE /api/try, or on the page"
            raise NotNowError(f"{self._state.name} {text.format(left)}")
        before = data_plane.generation
        if before.mode is TopMode.BYPASS:
            raise NotNowError("the mode is bypass: nothing is judged that could be compared")
        self._building = safe(asked.name)
        try:
            built = await to_thread(build_candidate, asked, before, self._switch())
        finally:
            self._building = None
        if data_plane.generation is not before:
            self._retire(built.generation)
            raise NotNowError(f"{RELOADED} meanwhile; try again")
        judges, config = data_plane.judges, before.config
        candidate = Candidate(built.generation, judges.stores, judges.limits, config.state.redis.timeout)
        trial = self._trial = Trial(judges, candidate, asked.share, config.audit.mask)
        self._state = TrialState(
            "running", safe(asked.name), now(), asked.seconds, None, asked.share, None, built.waits_for_restart
        )
        self._state.tally = trial.tally
        self._timer = asyncio.get_running_loop().call_later(asked.seconds, self.end, TIME_OVER)
        trial.start()
        log.info("a configuration is tried on live traffic", file=safe(asked.name), seconds=asked.seconds)
        return self.state

    def end(self, because: str) -> TrialState:
        """End the trial, if one runs. What it found stays until the next one."""
        trial = self._trial
        if trial is not None:
            trial.stop()
            self._trial = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._state.state, self._state.ended_because = "ended", because
            self._retire(trial.release())
            tally = trial.tally
            log.info(
                "the trial of a configuration has ended",
                file=self._state.name,
                because=because,
                pages=tally.pages,
                changed=tally.changed,
            )
        return self.state
