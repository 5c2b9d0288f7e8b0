"""The admin port's answers about one process: it asks the data plane, the reloader and the ring directly.

One method for each question of ``AdminBackend`` (hence its length).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from fsproxy.admin import decisions, views
from fsproxy.admin.answers import (
    MOST_NEW,
    Decisions,
    Event,
    ExplainedDecision,
    Explanation,
    News,
    Rejections,
    ShadowReport,
    Traffic,
)
from fsproxy.admin.backend import AdminBackend, Seen, UnansweredError
from fsproxy.admin.explaining import explain, explain_record
from fsproxy.admin.lists.backend import SingleLists
from fsproxy.admin.plan_learning import learn_plan
from fsproxy.admin.queries import DecisionsQuery, PlanQuery, TrafficQuery
from fsproxy.admin.question import Question, UnanswerableError, read_question
from fsproxy.admin.redactions import RedactionReport, redactions
from fsproxy.admin.sources import sources
from fsproxy.admin.state_answers import ConfigReport, LearnedPlan, Load, ReloadOutcome, State, UsageReport
from fsproxy.admin.status import glance
from fsproxy.admin.status.vitals import Vitals, vitals_of
from fsproxy.admin.status_answers import Status
from fsproxy.admin.stories import Stories
from fsproxy.admin.trial.answers import held_back
from fsproxy.admin.trial.backend import SingleTrial
from fsproxy.admin.usage import Usage
from fsproxy.clock import monotonic, now
from fsproxy.config.schema import ModeSwitch, StateBackend
from fsproxy.core.audit.privacy import safe
from fsproxy.core.limits.operations import LedgerDownError, QuotaTerms
from fsproxy.core.replay.story import Rules
from fsproxy.core.wire.facts import LONGEST_ID
from fsproxy.proxy.data_plane import DataPlane
from fsproxy.proxy.generation import Generation
from fsproxy.reload.reloader import Reloader
from fsproxy.telemetry.metrics import Metrics

SHARED_SECONDS = 0.5
"""Streams whose ticks are closer together than this share one status, which takes a millisecond to make."""
SELF = 0
"""The one process, in what a stream has seen."""
STATE = ("mode", "generation", "warnings", "config", "upstream", "store")
"""The parts of ``/readyz`` that an event repeats."""
log = structlog.get_logger("fsproxy")
COMPILE_SECONDS = 1.0
"""How long the answer to ``POST /mode`` waits for the mode to be in force. Longer, and it comes into force later."""


class SingleBackend(AdminBackend):
    """Answers for this process."""

    def __init__(
        self,
        reloader: Reloader,
        metrics: Metrics,
        *,
        instance: str,
        passage: str,
        stop: asyncio.Event,
    ) -> None:
        """Answer that the program is starting, until ``use`` was called."""
        super().__init__(instance, passage, stop)
        self.waiting_for: Callable[[], list[str]] = list
        """Return what the start waits for, in words."""
        self.listening = False
        """The data port is open. The admin port opens first, so that a long start does not look like a dead program."""
        self._started: DataPlane | None = None
        self._reloader = reloader
        self._metrics = metrics
        self.trials: SingleTrial = SingleTrial(reloader.trials)
        self.lists: SingleLists = SingleLists(lambda: self._data_plane)
        self._status: Status | None = None
        """The one of the last event, and when it was made."""
        self._status_at = float("-inf")
        self._stories = Stories(lambda: self._data_plane.generation.snapshot)
        self._registry = CollectorRegistry()
        self._registry.register(metrics)
        ProcessCollector(registry=self._registry)

    def use(self, data_plane: DataPlane) -> None:
        """Answer about this data plane from now on. It has started, so its state is loaded."""
        self._started = data_plane
        config, since = data_plane.generation.config.state, data_plane.pulse.started
        kept = config.backend is StateBackend.REDIS or config.persist is not None
        orgs = self._metrics.orgs
        self._usage = Usage(data_plane.ledger, lambda: data_plane.generation.snapshot, orgs, since, kept=kept)
        text = "The configuration that is in force; 1 is the one of the start."
        self._metrics.gauges["config_generation"] = (text, lambda: data_plane.generation.number)
        self._registry.register(self._usage)

    @property
    def _data_plane(self) -> DataPlane:
        return self._require_started()

    def _require_started(self) -> DataPlane:
        if self._started is None:
            raise UnansweredError(f"the program is starting: {', '.join(self.waiting_for())}")
        return self._started

    # -- state and switches

    @property
    def mode(self) -> ModeSwitch:
        return self._data_plane.generation.switch

    async def set_mode(self, switch: ModeSwitch) -> list[int]:
        """See ``AdminBackend``. ``bypass`` acts at once; the others compile the rules anew first, mostly in no time."""
        if (compiling := self._reloader.set_mode(switch)) is not None:
            await asyncio.wait({compiling}, timeout=COMPILE_SECONDS)
        return []

    async def state(self) -> tuple[bool, State]:
        # A bad state of the upstream or the store does not change readiness: taking a sidecar out of service because
        # its upstream is down would turn one failure into two.
        status = "draining" if self._stop.is_set() else "ready" if self.listening else "starting"
        waiting = {"waiting_for": self.waiting_for()} if status == "starting" else {}
        return status == "ready", cast("State", {"status": status, **waiting, **self.program_state()})

    def program_state(self) -> dict[str, Any]:
        """Return the state of the data plane, if it has started, and of the configuration, and this program's names."""
        state = self._started.state() if self._started is not None else {}
        names = {"instance": self.instance, "passage": self.passage}
        return {**state, "config": self._reloader.state(), **names}

    def summary(self) -> str:
        if self._stop.is_set():
            return "" if self.taken_over else "draining"
        if self._started is None or not self.listening:
            return f"starting: {', '.join(self.waiting_for())}"
        generation, warnings = self._started.generation, self._started.conditions.warnings()
        return "; ".join([f"mode {generation.mode.value}, generation {generation.number}", *warnings[:1]])

    async def status(self) -> Status:
        alerts, config = self._data_plane.conditions.alerts(), self._data_plane.generation.config
        return glance.status(self.vitals(), alerts, self.program_state(), config, {"configured": 1, "answered": 1}, {})

    def vitals(self) -> Vitals:
        """Return the vital signs of this process."""
        return vitals_of(self._data_plane, now())

    async def metrics(self) -> bytes:
        if self._started is not None:
            await self._usage.read(now())
        return await asyncio.get_running_loop().run_in_executor(None, generate_latest, self._registry)

    async def reload(self, *, take: bool = False) -> ReloadOutcome:
        self._require_started()
        outcome = await self._reloader.reload(take=take)
        return cast("ReloadOutcome", {**outcome, "held_back": held_back(self._reloader.holding_back.held)})

    async def drain(self, instance: str) -> bool:
        if instance != self.instance:
            return False
        self.taken_over = True
        self._stop.set()
        return True

    # -- what happened, and why

    async def decisions(self, query: DecisionsQuery) -> Decisions:
        recent, audit = self._data_plane.recent, self._data_plane.generation.config.audit
        kept, number, since = recent.lines(), recent.number, recent.whole_since

        def answer(rules: Rules) -> Decisions:
            found = decisions.find(kept, query, audit)
            return decisions.answer(found, query, audit, rules, number=number, since=since)

        return await self._stories.tell(answer)

    async def explain(self, question: bytes) -> Explanation:
        """See ``AdminBackend``. The quota counts as it is used now."""
        asked = read_question(question)
        generation, loaded = self._data_plane.generation, self._reloader.loaded
        if asked.record is None:
            decided, known = await self._explained(generation, asked)
            return {**decided, "quota_known": known, "source": await sources(generation, decided, None, loaded)}
        if asked != Question(record=asked.record):
            raise UnanswerableError("record", "an audit line is the whole question: leave out the other fields")
        decided, org = explain_record(generation, asked.record), asked.record.get("organization.id")
        return {**decided, "quota_known": True, "source": await sources(generation, decided, org, loaded)}

    async def _explained(self, generation: Generation, asked: Question) -> tuple[ExplainedDecision, bool]:
        """Return what would be decided about a new session, and whether it is known how much of the quota is used."""
        moment = now()
        wanted: list[tuple[str, QuotaTerms]] = []

        def unused(org: str, terms: QuotaTerms) -> int:
            wanted.append((org, terms))
            return 0

        # The ledger is asked between two explanations, since the first one tells which quota is needed.
        explanation, known = explain(generation, asked, moment, unused), True
        if wanted:
            try:
                units = await self._usage.units(*wanted[0])
            except LedgerDownError:
                known = False
            else:
                explanation = explain(generation, asked, moment, lambda _, __: units)
        return explanation.document(), known

    async def rejections(self) -> Rejections:
        return views.rejections(self._data_plane.recent, now())

    async def usage(self) -> UsageReport:
        self._require_started()
        return await self._usage.report(now())

    async def plan(self, query: PlanQuery) -> LearnedPlan:
        data_plane = self._data_plane
        return await learn_plan(data_plane.ledger, data_plane.generation.config, query.org or None)

    async def config(self) -> ConfigReport:
        state = self.program_state()
        effective = await asyncio.to_thread(views.effective, self._data_plane.generation.config)
        report = {key: state[key] for key in ("mode", "generation", "warnings")}
        report |= {"files": list(self._data_plane.generation.config.files), "loads": self._reloader.loads}
        report |= {"reload": state["config"], "held_back": held_back(self._reloader.holding_back.held)}
        return cast("ConfigReport", {**report, "lists": self.lists.summaries(), "config": effective})

    async def shadow(self) -> ShadowReport:
        return views.shadow(self._data_plane.recent, now())

    async def redactions(self) -> RedactionReport:
        return redactions(self._data_plane.recent, now())

    async def traffic(self, query: TrafficQuery) -> Traffic:
        traffic, orgs = self._data_plane.recent.traffic, self._data_plane.metrics.orgs
        time, step = now(), query.step
        this = int(time) // 60
        # Begins where the first bar begins, so that only the present bar is not whole.
        first = (this // step - query.bars + 1) * step
        counted = traffic.minutes(this - first + 1, time, query.org or None)
        return {
            "minutes": await asyncio.to_thread(views.traffic, counted, query.step),
            "step": query.step,
            "org": query.org or None,
            "orgs": list(dict.fromkeys(safe(org, LONGEST_ID) for org, _ in orgs.by_label())),
            "loads": cast("list[Load]", self._reloader.loads),
            "reasons": views.REASONS,
        }

    async def tick(self, seen: Seen | None) -> tuple[Event, Seen]:
        state, number = self.program_state(), self._data_plane.recent.number
        news = await self.news(seen[SELF] if seen is not None else number)
        if monotonic() - self._status_at >= SHARED_SECONDS:
            self._status, self._status_at = await self.status(), monotonic()
        event = {**{key: state.get(key) for key in STATE}, **news, "status": self._status}
        return cast("Event", event), {SELF: number}

    async def news(self, after: int) -> News:
        """Return the requests that ended after that number, and the last minutes."""
        recent, time = self._data_plane.recent, now()
        # The minute before too: a request may have ended in it after the last event.
        minutes, new = views.traffic(recent.traffic.minutes(2, time)), recent.decisions_after(after, MOST_NEW)
        told = await self._stories.tell(partial(decisions.tell, new)) if new else []
        return {"time": time, "minutes": minutes, "decisions": told}

    @property
    def newest(self) -> int:
        """The number of the newest request."""
        return self._data_plane.recent.number
