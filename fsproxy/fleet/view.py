"""What the workers say, as one: the answers of the admin port of several workers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from fsproxy.admin.merging import MergedMetrics
from fsproxy.admin.multi import Told
from fsproxy.clock import now
from fsproxy.config.schema import Config, TopMode
from fsproxy.core.model import Instant
from fsproxy.fleet.worker import Worker, WorkerSilentError, WorkerState

ASK_SECONDS = 2.0
RELOAD_SECONDS = 60.0
"""A configuration of 100,000 rules takes seconds."""


class Workers(Protocol):
    """The supervisor."""

    mode: TopMode | None
    metrics: MergedMetrics
    instance: str
    passage: str

    @property
    def config(self) -> Config: ...  # noqa: D102 - as in Supervisor
    @property
    def workers(self) -> list[Worker]: ...  # noqa: D102
    @property
    def draining(self) -> bool: ...  # noqa: D102
    @property
    def complete(self) -> bool: ...  # noqa: D102
    def stop(self) -> None: ...  # noqa: D102


class FleetView:
    """``admin.fleet.Fleet``, over the private admin sockets."""

    def __init__(self, of: Workers) -> None:
        self._of = of
        self.generation = 1
        """The highest number that a worker has said: a replacement goes on from there."""
        self._ended: set[int] = set()
        """Processes whose metrics are still to be retired."""
        self._scrape = asyncio.Lock()

    @property
    def mode(self) -> TopMode:
        """What the admin API asked for last, else the configuration's."""
        return self._of.mode or self._of.config.mode

    @property
    def wanted(self) -> int:
        """How many are configured."""
        return self._of.metrics.wanted

    def now(self) -> Instant:
        """The time."""
        return now()

    async def state(self) -> tuple[bool, dict[str, Any]]:
        """Ready: all workers have listened once, and one does now. One being replaced is no reason to leave."""
        of = self._of
        workers = of.workers
        bodies = await asyncio.gather(*(self._state_of(worker) for worker in workers))
        listening = sum(worker.state is WorkerState.LISTENING for worker in workers)
        ready = of.complete and listening > 0 and not of.draining
        status = "draining" if of.draining else "ready" if ready else "starting"
        described: dict[str, Any] = {
            str(worker.number): {"pid": worker.pid, **body, "state": worker.state.value}
            for worker, body in zip(workers, bodies, strict=True)
        }
        missing = (str(number) for number in range(1, of.metrics.wanted + 1))
        described |= {number: {"state": WorkerState.ENDED.value} for number in missing if number not in described}
        warnings = sorted({text for body in bodies for text in body.get("warnings", ())})
        silent = sum(body.get("status") == "silent" for body in bodies)
        if silent:
            warnings.append(f"{silent} of {of.metrics.wanted} workers do not answer")
        if ready and listening < of.metrics.wanted:
            warnings.append(f"{of.metrics.wanted - listening} of {of.metrics.wanted} workers do not listen")
        answered = [body for body in bodies if "config" in body]
        # The one that is worst off speaks for all.
        store: dict[str, Any] = max(
            (body["store"] for body in bodies if "store" in body), key=lambda each: each["state"] != "up", default={}
        )
        config: dict[str, Any] = max(
            (body["config"] for body in answered), key=lambda each: each["error_count"], default={}
        )
        generations = {body["generation"] for body in answered}
        if len(generations) > 1:
            each = ", ".join(map(str, sorted(generations)))
            warnings.append(f"the workers' generations of the configuration differ: {each}")
        return ready, {
            "status": status,
            "mode": self.mode.value,
            "instance": of.instance,
            "passage": of.passage,
            "listeners": listening,
            "generation": min(generations, default=self.generation),
            "upstream": _upstream(answered),
            "store": store,
            "config": config,
            "warnings": warnings,
            "workers": described,
        }

    async def set_mode(self, mode: TopMode) -> list[int]:
        """All that listen are told at once; one that starts is told as soon as it listens."""
        self._of.mode = mode
        asked = self._listening()
        done = await asyncio.gather(*(self.tell_mode(worker, mode) for worker in asked))
        return [worker.number for worker, told in zip(asked, done, strict=True) if not told]

    async def drain(self, instance: str) -> bool:
        """Workers are told rather than signalled, so that they go on accepting for the moment that it takes."""
        if instance != self._of.instance:
            return False
        told = (self._told_to_drain(worker) for worker in self._listening())
        await asyncio.gather(*told)
        self._of.stop()
        return True

    async def _told_to_drain(self, worker: Worker) -> None:
        with contextlib.suppress(WorkerSilentError):  # it is signalled next
            await worker.ask("POST", "/drain", ASK_SECONDS, {"instance": self._of.instance})

    async def tell_mode(self, worker: Worker, mode: TopMode) -> bool:
        """Whether it took it; one that ended takes it with its successor."""
        try:
            status, _ = await worker.ask("POST", "/mode", ASK_SECONDS, {"mode": mode.value})
        except WorkerSilentError:
            return worker.state is WorkerState.ENDED
        return status == 200

    async def reload(self) -> dict[str, object]:
        """All at once; the faults of all, each once."""
        asked = self._listening()
        outcomes = await asyncio.gather(*(self._reload_one(worker) for worker in asked))
        first: dict[str, Any] = (
            next((each for each in outcomes if each.get("error_count")), outcomes[0]) if asked else {}
        )
        errors = list(dict.fromkeys(text for each in outcomes for text in each["errors"]))
        generations = [each["generation"] for each in outcomes if "generation" in each]
        self.generation = max([self.generation, *generations])
        return {
            **first,
            "generation": min(generations, default=self.generation),
            "errors": errors,
            "workers": {
                str(worker.number): each.get("generation") for worker, each in zip(asked, outcomes, strict=True)
            },
        }

    async def metrics(self) -> bytes:
        """One scrape of all; scrapes come one after the other."""
        async with self._scrape:
            asked = self._listening()
            answers = await asyncio.gather(*(self._page_of(worker) for worker in asked))
            # A worker that ended while it was asked is retired after what it said last.
            ended, self._ended = self._ended, set()
            pages = [(worker.pid, page) for worker, page in zip(asked, answers, strict=True) if page is not None]
            merged = self._of.metrics
            merged.listening = len(self._listening())
            return await asyncio.get_running_loop().run_in_executor(None, _merge, merged, pages, ended)

    async def ask_all(self, path: str, after: Mapping[int, int] | None = None) -> list[Told]:
        """See ``together.Workers``."""

        async def told(worker: Worker) -> Told:
            asked = path if after is None else f"{path}?after={after.get(worker.pid, 0)}"
            try:
                status, body = await worker.ask("GET", asked, ASK_SECONDS)
            except WorkerSilentError:
                return Told(worker.number, worker.pid, None)
            return Told(worker.number, worker.pid, body if status == 200 else None)

        return list(await asyncio.gather(*(told(worker) for worker in self._listening())))

    async def ask_any(self, path: str, body: bytes | None = None) -> tuple[int, bytes] | None:
        """See ``together.Workers``: one after the other, within the time for one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_SECONDS):
                asked = self._listening()
                for worker in asked:
                    with contextlib.suppress(WorkerSilentError):
                        method = "GET" if body is None else "POST"
                        return await worker.ask(method, path, ASK_SECONDS / len(asked), body)
        return None

    def forget(self, worker: Worker) -> None:
        """It ended."""
        self._ended.add(worker.pid)

    def _listening(self) -> list[Worker]:
        return [worker for worker in self._of.workers if worker.state is WorkerState.LISTENING]

    async def _state_of(self, worker: Worker) -> dict[str, Any]:
        if worker.state is WorkerState.STARTING:
            return {}
        try:
            _, body = await worker.ask("GET", "/readyz", ASK_SECONDS)
        except WorkerSilentError:
            return {"status": "silent"}
        state: dict[str, Any] = msgspec.json.decode(body)
        self.generation = max(self.generation, state["generation"])
        return state

    async def _reload_one(self, worker: Worker) -> dict[str, Any]:
        try:
            _, body = await worker.ask("POST", "/reload", RELOAD_SECONDS, {})
        except WorkerSilentError as error:
            return {"errors": [str(error)]}
        outcome: dict[str, Any] = msgspec.json.decode(body)
        return outcome

    async def _page_of(self, worker: Worker) -> bytes | None:
        try:
            status, body = await worker.ask("GET", "/metrics", ASK_SECONDS)
        except WorkerSilentError:
            return None
        return body if status == 200 else None


def _upstream(states: list[dict[str, Any]]) -> dict[str, Any]:
    """A failure that one has met is told until it has not."""
    told = [body["upstream"] for body in states if "upstream" in body]
    failures = (each["last_failure"] for each in told if each["last_failure"] is not None)
    return {"connections": sum(each["connections"] for each in told), "last_failure": next(failures, None)}


def _merge(merged: MergedMetrics, pages: list[tuple[int, bytes]], ended: set[int]) -> bytes:
    merged.update(pages)
    merged.retire(ended)
    return merged.text()
