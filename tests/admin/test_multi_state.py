"""The state of several workers as one, and how they are asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, cast

from fsproxy.admin.workers.multi import MultiBackend
from fsproxy.admin.workers.worker_pool import WorkerClient, WorkerPool, WorkerSilentError, WorkerState
from fsproxy.config.schema import ModeSwitch, TopMode
from fsproxy.reload.last_good_config import LastGoodConfig
from fsproxy.telemetry.conditions import Condition, Conditions, Level


def state(generation: int = 1, failure: str | None = None, errors: int = 0) -> dict[str, Any]:
    return {
        "status": "ready",
        "privacy": ["opt_out", "deleting_user"],
        "generation": generation,
        "upstream": {"connections": 2, "last_failure": failure},
        "store": {"state": "up"},
        "config": {"error_count": errors},
        "warnings": ["what a worker says of itself"],
    }


@dataclass
class OneWorker:
    """Answers by path; what it does not know it is silent about."""

    number: int
    says: dict[str, Any] = field(default_factory=dict)
    state: WorkerState = WorkerState.LISTENING
    status: int = 200

    @property
    def pid(self) -> int:
        return self.number + 100

    async def ask(self, method: str, path: str, seconds: float, body: Any = None) -> tuple[int, bytes]:
        assert seconds <= 2.0
        if path not in self.says:
            raise WorkerSilentError(path)
        return self.status, json.dumps([method, path, self.says[path], body and body.decode()]).encode()


@dataclass
class ReadyWorker(OneWorker):
    """Says how it is."""

    async def ask(self, method: str, path: str, seconds: float, body: Any = None) -> tuple[int, bytes]:
        del body
        assert (method, path, seconds) == ("GET", "/readyz", 2.0)
        return 200, json.dumps(self.says).encode()


def pool(*workers: OneWorker) -> WorkerPool:
    return WorkerPool(2, {each.number: cast("WorkerClient", each) for each in workers})


def backend(*workers: OneWorker) -> MultiBackend:
    """The start is over, and the mode was chosen on the admin port."""
    unread = cast("LastGoodConfig", None)
    conditions = Conditions()
    conditions.sources.append(lambda at: [Condition("store", Level.BAD, at, "the same of all")])
    made = MultiBackend(pool(*workers), unread, conditions, instance="i", passage="p", stop=asyncio.Event())
    made.complete, made.switch = True, ModeSwitch(TopMode.ENFORCE)
    return made


async def test_workers_that_agree_are_told_of_as_one() -> None:
    ready, told = await backend(ReadyWorker(1, state()), ReadyWorker(2, state())).state()
    assert (ready, told["generation"], told["warnings"]) == (True, 1, ["the same of all"])
    assert told["upstream"] == {"connections": 4, "last_failure": None}


async def test_generations_that_differ_are_warned_of_and_the_worst_of_each_stands() -> None:
    _, told = await backend(
        ReadyWorker(1, state(3)),
        ReadyWorker(2, {**state(4, failure="upstream_reset", errors=2), "privacy": ["opt_out"]}),
    ).state()
    assert (told["generation"], told["privacy"]) == (3, ["opt_out"])
    assert "the workers' generations of the configuration differ: 3, 4" in told["warnings"]
    assert told["upstream"]["last_failure"] == "upstream_reset"
    assert told["config"]["error_count"] == 2


async def test_a_worker_that_is_silent_or_not_there_is_listed_as_such() -> None:
    ready, told = await backend(ReadyWorker(1, state()), OneWorker(2)).state()
    assert (ready, told["workers"]["2"]["status"]) == (True, "silent")
    ready, told = await backend(ReadyWorker(1, state())).state()
    assert (ready, told["workers"]["2"]) == (True, {"state": "ended"})


async def test_while_workers_start_it_says_how_many_listen_and_what_each_of_the_others_waits_for() -> None:
    starting = {"status": "starting", "waiting_for": ["compiling the rules"], "config": {"error_count": 0}}
    late = ReadyWorker(2, starting, state=WorkerState.STARTING)
    made = backend(ReadyWorker(1, state()), late)
    made.complete = False
    ready, told = await made.state()
    assert (ready, told["status"]) == (False, "starting")
    assert told["waiting_for"] == ["workers: 1 of 2 listen", "worker 2: compiling the rules"]
    assert made.summary() == "starting: 1 of 2 workers listen"
    made.complete = True
    # Its answer was on the way when it began to listen.
    late.state = WorkerState.LISTENING
    ready, told = await made.state()
    assert (ready, "waiting_for" in told, told["generation"]) == (True, False, 1)
    assert made.summary() == "mode enforce, 2 of 2 workers listen; the same of all"


async def test_all_that_listen_are_asked_and_silence_is_told_of_each() -> None:
    fleet = pool(
        OneWorker(1, {"/p": "one"}),
        OneWorker(2),
        OneWorker(3, {"/p": "three"}, status=500),
        OneWorker(4, {"/p": "four"}, state=WorkerState.STARTING),
    )
    told = await fleet.ask_all("/p")
    assert [(each.worker, each.pid, each.body is None) for each in told] == [
        (1, 101, False),
        (2, 102, True),
        (3, 103, True),
    ]


async def test_each_is_asked_for_what_came_after_its_own_number() -> None:
    fleet = pool(OneWorker(1, {"/p?after=7": "seven"}), OneWorker(2, {"/p?after=0": "none"}))
    assert all(
        each.body is not None for each in await fleet.ask_all(lambda _, pid: f"/p?after={ {101: 7}.get(pid, 0) }")
    )


async def test_any_is_the_first_that_answers_whatever_it_answers() -> None:
    fleet = pool(OneWorker(1), OneWorker(2, {"/p": "two"}, status=400), OneWorker(3, {"/p": "three"}))
    assert await fleet.ask_any("/p", b"{}") == (400, b'["POST", "/p", "two", "{}"]')
    assert await fleet.ask_any("/other") is None
    assert await pool().ask_any("/p") is None
