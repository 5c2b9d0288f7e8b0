"""What the admin port asks of the program about configurations that are tried: for one process, and what all answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import msgspec

from fsproxy.admin.trial.answers import Try, faults_answer, try_answer
from fsproxy.config.problems import ConfigError
from fsproxy.reload.build_generation import Asked
from fsproxy.reload.trials import STOPPED, NotNowError, Trials, TrialState

_read = msgspec.json.Decoder(Asked).decode


class RefusedTrialError(Exception):
    """A configuration is not tried; ``document`` says why."""

    def __init__(self, status: int, document: Mapping[str, object]) -> None:
        super().__init__(document.get("error"))
        self.status = status
        self.document = document


class TrialBackend(ABC):
    """Tries configurations on live traffic. Methods may raise ``backend.UnansweredError``."""

    @abstractmethod
    async def start(self, asked: bytes) -> Try:
        """Begin (``Asked``). Raise RefusedTrialError."""

    @abstractmethod
    async def show(self) -> Try:
        """Return what the candidate would change, or what the last one would have changed."""

    @abstractmethod
    async def end(self) -> Try:
        """End it, and return what was found."""


class SingleTrial(TrialBackend):
    """Of this process."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials

    @property
    def state(self) -> TrialState:
        """The whole state, which the supervisor adds to that of the other workers."""
        return self._trials.state

    async def start(self, asked: bytes) -> Try:
        try:
            return try_answer([await self._trials.start(_read(asked))])
        except ConfigError as faults:
            raise RefusedTrialError(400, faults_answer(faults.problems)) from None
        except NotNowError as reason:
            raise RefusedTrialError(409, {"error": str(reason)}) from None
        except (msgspec.DecodeError, RecursionError) as fault:
            raise RefusedTrialError(400, {"error": str(fault) or "nested too deep"}) from None

    async def show(self) -> Try:
        return try_answer([self.state])

    async def end(self) -> Try:
        return try_answer([self._trials.end(STOPPED)])
