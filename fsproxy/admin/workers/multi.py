"""The admin port's answers about several workers as about one program: each is asked, and the answers are merged.

One method for each question of ``AdminBackend`` (hence its length).

A worker that does not answer in time is left out, and ``workers`` of the answer counts those that have answered. What
a worker remembers of the past is lost when it is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

import msgspec

from fsproxy.admin.answers import Decisions, Event, Explanation, Rejections, ShadowReport, Traffic
from fsproxy.admin.backend import AdminBackend, Seen, UnansweredError
from fsproxy.admin.queries import Cursor, DecisionsQuery, PlanQuery, TrafficQuery, path_of
from fsproxy.admin.redactions import RedactionReport
from fsproxy.admin.state_answers import (
    ConfigReport,
    LearnedPlan,
    ReloadOutcome,
    State,
    UsageReport,
    WorkersAnswered,
    mode_choice,
)
from fsproxy.admin.status_answers import Status
from fsproxy.admin.workers import merged_views
from fsproxy.admin.workers.merged_events import MergedEvents, read
from fsproxy.admin.workers.merged_lists import MergedLists
from fsproxy.admin.workers.merged_trial import MergedTrial
from fsproxy.admin.workers.merging import MergedMetrics
from fsproxy.admin.workers.worker_pool import ASK_SECONDS, WorkerClient, WorkerPool, WorkerSilentError, WorkerState
from fsproxy.config.schema import ModeSwitch
from fsproxy.reload.last_good_config import LastGoodConfig
from fsproxy.telemetry.conditions import Conditions

RELOAD_SECONDS = 60.0
"""A configuration of 100,000 rules takes seconds."""


class MultiBackend(AdminBackend):
    """Answers for all workers."""

    def __init__(
        self,
        pool: WorkerPool,
        last_good: LastGoodConfig,
        conditions: Conditions,
        *,
        instance: str,
        passage: str,
        stop: asyncio.Event,
    ) -> None:
        """``conditions``: those of the program, of which its log tells. Alerts and warnings say the same."""
        super().__init__(instance, passage, stop)
        self.complete = False
        """All workers have listened at the same time once: the start has succeeded."""
        self.switch: ModeSwitch | None = None
        """The mode that the admin API asked for last."""
        self.generation = 1
        """The highest number that a worker has reported: a replacement begins with it."""
        self.merged = MergedMetrics(pool.configured)
        self._pool = pool
        self._last_good = last_good
        self._conditions = conditions
        self._ended: set[int] = set()
        """Processes whose metrics are still to be retired."""
        self._scrape = asyncio.Lock()
        self._events = MergedEvents(pool, conditions)
        self.trials = MergedTrial(pool)
        self.lists: MergedLists = MergedLists(pool)

    # -- state and switches

    @property
    def mode(self) -> ModeSwitch:
        return self.switch or ModeSwitch(self._last_good.config.mode)

    async def set_mode(self, switch: ModeSwitch) -> list[int]:
        """See ``AdminBackend``. A worker that starts gets the mode as soon as it listens."""
        self.switch = switch
        workers = self._pool.listening()
        done = await asyncio.gather(*(self.set_mode_of(worker, switch) for worker in workers))
        return [worker.number for worker, taken in zip(workers, done, strict=True) if not taken]

    async def set_mode_of(self, worker: WorkerClient, switch: ModeSwitch) -> bool:
        """Return whether the worker took the mode. If it has ended, its replacement takes it."""
        try:
            status, _ = await worker.ask("POST", "/mode", ASK_SECONDS, mode_choice(switch))
        except WorkerSilentError:
            return worker.state is WorkerState.ENDED
        return status == 200

    async def state(self) -> tuple[bool, State]:
        """See ``AdminBackend``. Ready: the start has succeeded, and at least one worker listens now."""
        workers, configured = self._pool.running(), self._pool.configured
        states = await asyncio.gather(*map(self._state_of, workers))
        listening = len(self._pool.listening())
        draining = self._stop.is_set()
        ready = self.complete and listening > 0 and not draining
        answered = [state for state in states if "config" in state]
        generations = {state["generation"] for state in answered}
        described: dict[str, dict[str, Any]] = {
            str(worker.number): {"pid": worker.pid, **state, "state": worker.state.value}
            for worker, state in zip(workers, states, strict=True)
        }
        for number in range(1, configured + 1):
            described.setdefault(str(number), {"state": WorkerState.ENDED.value})
        state: State = {
            "status": "draining" if draining else "ready" if ready else "starting",
            "mode": self.mode.mode,
            "privacy": merged_views.privacy(answered),
            "instance": self.instance,
            "passage": self.passage,
            "generation": min(generations, default=self.generation),
            "upstream": merged_views.upstream(answered),
            "store": merged_views.worst(answered, "store", lambda store: store["state"] != "up"),
            "config": merged_views.worst(answered, "config", lambda config: config["error_count"]),
            "warnings": self._conditions.warnings() + merged_views.warnings(generations),
            "workers": described,
        }
        if not (self.complete or draining):
            state["waiting_for"] = [f"workers: {listening} of {configured} listen"]
            for name, each in described.items():
                state["waiting_for"] += [f"worker {name}: {text}" for text in each.get("waiting_for", ())]
        return ready, state

    def summary(self) -> str:
        """See ``AdminBackend``. No worker is asked."""
        if self._stop.is_set():
            return "" if self.taken_over else "draining"
        listen = f"{len(self._pool.listening())} of {self._pool.configured} workers listen"
        if not self.complete:
            return f"starting: {listen}"
        return "; ".join([f"mode {self.mode.mode.value}, {listen}", *self._conditions.warnings()[:1]])

    async def status(self) -> Status:
        """See ``AdminBackend``. The vital signs of all workers are added."""
        event, _ = await self.tick(None)
        if not event["status"]["workers"]["answered"]:
            raise UnansweredError("no worker answers")
        return event["status"]

    async def _state_of(self, worker: WorkerClient) -> dict[str, Any]:
        try:
            _, body = await worker.ask("GET", "/readyz", ASK_SECONDS)
        except WorkerSilentError:
            return {} if worker.state is WorkerState.STARTING else {"status": "silent"}
        state: dict[str, Any] = msgspec.json.decode(body)
        if "generation" not in state or worker.state is WorkerState.STARTING:
            return {"waiting_for": state.get("waiting_for", ())}
        self.generation = max(self.generation, state["generation"])
        return state

    async def metrics(self) -> bytes:
        """See ``AdminBackend``. Scrapes run one after the other."""
        async with self._scrape:
            answers = await self._pool.ask_all("/metrics")
            # A worker that ended meanwhile is retired after its last answer was counted.
            ended, self._ended = self._ended, set()
            pages = [(each.pid, each.body) for each in answers if each.body is not None]
            listening = self._pool.listening()
            self.merged.listening, self.merged.silent = len(listening), sum(each.is_silent for each in listening)
            return await asyncio.get_running_loop().run_in_executor(None, self.merged.scrape, pages, ended)

    def forget(self, pid: int) -> None:
        """Retire the metrics of a process that has ended with the next scrape."""
        self._ended.add(pid)

    async def reload(self, *, take: bool = False) -> ReloadOutcome:
        """See ``AdminBackend``. All workers load at once; each fault is listed once."""
        workers = self._pool.listening()
        outcomes = await asyncio.gather(*(self._reload_one(each, take=take) for each in workers))
        if take:
            self._last_good.ask()
        numbered = {str(worker.number): each for worker, each in zip(workers, outcomes, strict=True)}
        self.generation = max([self.generation, *(each.get("generation", 0) for each in outcomes)])
        return merged_views.reload(numbered, self.generation)

    async def _reload_one(self, worker: WorkerClient, *, take: bool) -> dict[str, Any]:
        try:
            _, body = await worker.ask("POST", "/reload", RELOAD_SECONDS, {"force": take})
        except WorkerSilentError as error:
            return {"errors": [str(error)]}
        outcome: dict[str, Any] = msgspec.json.decode(body)
        return outcome

    async def drain(self, instance: str) -> bool:
        if instance != self.instance:
            return False
        # Asked rather than signalled, so that the workers know that another program goes on.
        self.taken_over = True
        await asyncio.gather(*map(self._drain_one, self._pool.listening()))
        self._stop.set()
        return True

    async def _drain_one(self, worker: WorkerClient) -> None:
        with contextlib.suppress(WorkerSilentError):  # the supervisor signals it next
            await worker.ask("POST", "/drain", ASK_SECONDS, {"instance": self.instance})

    # -- what happened, and why

    async def decisions(self, query: DecisionsQuery) -> Decisions:
        """See ``AdminBackend``. ``number`` is the sum of all workers."""
        before = Cursor.parse(query.before) if query.before else None

        def path(number: int, _: int) -> str:
            own = str(before.of_worker(number)) if before is not None else ""
            return path_of("/api/decisions", msgspec.structs.replace(query, before=own))

        answers, workers = await self._all(path)
        return {**merged_views.decisions(answers, query), "workers": workers}

    async def explain(self, question: bytes) -> Explanation:
        """See ``AdminBackend``. Any worker answers: all would decide alike."""
        status, answer = await self._any("/api/explain", question)
        if status != 200:
            raise ValueError(answer.get("error", ""))
        return cast("Explanation", answer)

    async def rejections(self) -> Rejections:
        answers, workers = await self._all("/api/rejections")
        return {**merged_views.rejections(list(answers.values())), "workers": workers}

    async def usage(self) -> UsageReport:
        """See ``AdminBackend``. All workers share the counts; each knows its own newest names."""
        answers, workers = await self._all("/api/usage")
        return {**merged_views.usage(list(answers.values())), "workers": workers}

    async def plan(self, query: PlanQuery) -> LearnedPlan:
        """See ``AdminBackend``. Any worker answers: all share the names."""
        status, answer = await self._any(path_of("/api/plan", query))
        if status != 200:
            raise UnansweredError(answer.get("error", ""))
        return cast("LearnedPlan", answer)

    async def config(self) -> ConfigReport:
        """See ``AdminBackend``. The configuration is any worker's, the state that of all."""
        (answers, _), (_, state) = await asyncio.gather(self._all("/api/config"), self.state())
        # One that holds a configuration back must not be overlooked.
        answer = max(answers.values(), key=lambda each: each.get("held_back") is not None)
        generations = {number: each["generation"] for number, each in state["workers"].items() if "generation" in each}
        answer |= {key: state.get(key) for key in ("mode", "generation", "warnings")}
        workers = {**self._counted(len(generations)), "generations": generations}
        return cast("ConfigReport", {**answer, "reload": state.get("config"), "workers": workers})

    async def shadow(self) -> ShadowReport:
        answers, workers = await self._all("/api/shadow")
        return {**merged_views.shadow(list(answers.values())), "workers": workers}

    async def redactions(self) -> RedactionReport:
        answers, workers = await self._all("/api/redactions")
        return {**merged_views.redactions(list(answers.values())), "workers": workers}

    async def traffic(self, query: TrafficQuery) -> Traffic:
        answers, workers = await self._all(path_of("/api/traffic", query))
        return {**merged_views.traffic(list(answers.values()), query), "workers": workers}

    async def tick(self, seen: Seen | None) -> tuple[Event, Seen]:
        """See ``AdminBackend``. This never raises: the event shows how many workers have answered."""
        return await self._events.next(self.state, self._last_good.config, seen)

    async def _all(self, path: str | Callable[[int, int], str]) -> tuple[dict[int, dict[str, Any]], WorkersAnswered]:
        """Return each worker's answer by its number, and how many those are. Raise UnansweredError."""
        answers = {each.worker: answer for each in await self._pool.ask_all(path) if (answer := read(each.body))}
        if not answers:
            raise UnansweredError("no worker answers")
        return answers, self._counted(len(answers))

    async def _any(self, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        answer = await self._pool.ask_any(path, body)
        document = read(answer[1]) if answer is not None else None
        if answer is None or document is None:
            raise UnansweredError("no worker answers")
        return answer[0], document

    def _counted(self, answered: int) -> WorkersAnswered:
        return {"configured": self._pool.configured, "answered": answered}
