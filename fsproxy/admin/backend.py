"""What the admin port asks of the program: one interface for one process (``single``) and for several (``multi``)."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

from fsproxy.admin.answers import Decisions, Event, Explanation, Rejections, ShadowReport, Traffic
from fsproxy.admin.lists.backend import ListBackend
from fsproxy.admin.queries import DecisionsQuery, PlanQuery, TrafficQuery
from fsproxy.admin.redactions import RedactionReport
from fsproxy.admin.state_answers import ConfigReport, LearnedPlan, ReloadOutcome, State, UsageReport
from fsproxy.admin.status_answers import Status
from fsproxy.admin.trial.backend import TrialBackend
from fsproxy.config.schema import ModeSwitch

Seen = Mapping[int, int]
"""The number of the newest request that a stream of events knows, by process."""


class UnansweredError(Exception):
    """No worker has answered."""


class AdminBackend(ABC):
    """The program behind the admin port. Methods that return an answer may raise UnansweredError."""

    trials: TrialBackend
    lists: ListBackend

    def __init__(self, instance: str, passage: str, stop: asyncio.Event) -> None:
        """``instance`` names this program on the admin port, ``passage`` in ``CDN-Loop``; ``stop`` ends it."""
        self.instance = instance
        self.passage = passage
        self.taken_over = False
        """Another program has this one's listening sockets, and goes on."""
        self._stop = stop

    @property
    @abstractmethod
    def mode(self) -> ModeSwitch:
        """The mode in force."""

    @abstractmethod
    async def set_mode(self, switch: ModeSwitch) -> list[int]:
        """Change the mode until the next change or a restart. Return the numbers of workers that did not answer."""

    @abstractmethod
    async def state(self) -> tuple[bool, State]:
        """Return whether the program is ready, and in what state it is."""

    @abstractmethod
    def summary(self) -> str:
        """Return how the program is, in one line, for ``systemctl status``; "": another program has taken over."""

    @abstractmethod
    async def status(self) -> Status:
        """Return how the program is, at a glance."""

    @abstractmethod
    async def metrics(self) -> bytes:
        """Return all metrics in Prometheus' form."""

    @abstractmethod
    async def reload(self, *, take: bool = False) -> ReloadOutcome:
        """Load the configuration anew; with ``take`` also one that is held back."""

    @abstractmethod
    async def drain(self, instance: str) -> bool:
        """Stop as at SIGTERM, because another program has taken over. Return False if another instance is meant."""

    @abstractmethod
    async def decisions(self, query: DecisionsQuery) -> Decisions:
        """Return the last requests that ``query`` asks for, newest first. Raise ValueError for a bad question."""

    @abstractmethod
    async def explain(self, question: bytes) -> Explanation:
        """Return what would be decided about a session (``question.Question``). Raise ValueError for a bad question."""

    @abstractmethod
    async def rejections(self) -> Rejections:
        """Return the calls and properties that were rejected within 24 hours."""

    @abstractmethod
    async def usage(self) -> UsageReport:
        """Return how much of their quotas and limits the orgs have used."""

    @abstractmethod
    async def plan(self, query: PlanQuery) -> LearnedPlan:
        """Return a plan of names that is learned from those that are counted."""

    @abstractmethod
    async def config(self) -> ConfigReport:
        """Return the configuration in force, and what became of the last reload."""

    @abstractmethod
    async def shadow(self) -> ShadowReport:
        """Return what shadow rules would have blocked within 24 hours."""

    @abstractmethod
    async def redactions(self) -> RedactionReport:
        """Return how often each redaction rule was found within 24 hours."""

    @abstractmethod
    async def traffic(self, query: TrafficQuery) -> Traffic:
        """Return how requests ended, by minute."""

    @abstractmethod
    async def tick(self, seen: Seen | None) -> tuple[Event, Seen]:
        """Return the next event of a stream that knows ``seen``, and what it knows with it. None: the first event."""
