"""The API over several workers, some of which do not answer, or not in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer

from fsproxy.admin.answers import MOST_NEW
from fsproxy.admin.backend import Seen
from fsproxy.admin.server import create_admin
from fsproxy.admin.state_answers import State
from fsproxy.admin.workers import merged_events
from fsproxy.admin.workers.merged_events import TICK_PATH
from fsproxy.admin.workers.multi import MultiBackend
from fsproxy.admin.workers.worker_pool import (
    MOST_UNANSWERED,
    WorkerAnswer,
    WorkerClient,
    WorkerPool,
    WorkerSilentError,
    WorkerState,
)
from fsproxy.config.schema import AdminConfig, Config, UpstreamConfig
from fsproxy.core.model import Instant
from fsproxy.reload.last_good_config import LastGoodConfig
from fsproxy.telemetry.conditions import Condition, Conditions, Level


def decision(number: int) -> dict[str, Any]:
    return {"number": number, "where": "", "ended": float(number), "line": {}, "story": []}


def minute(at: int, captured: int) -> dict[str, Any]:
    ends = {"captured": captured, "forwarded": 0, "rejected": 0, "failed": 0, "blocked": {}}
    return {"minute": at, "pages": ends, "requests": ends, "upstream_failed": 0, "rejected_in_part": 1}


VITALS: dict[str, Any] = {
    "time": 990.0,
    "started": 100.0,
    "rate": 1.5,
    "minutes": [minute(60 * number, 2) for number in range(17)],
    "last_minute": {"own": [0, 1, *[1] * 65], "upstream": []},
    "last_hour": [{"own": [], "upstream": []}] * 30,
    "upstream": {"state": "up", "since": 100.0, "failed": 0, "kind": None, "address": "a:1", "text": ""},
    "store": {"kind": "redis", "state": "up", "since": 100.0, "text": "", "latency": None},
}
"""Of a worker that had two pages in each minute."""


CONDITIONS = Conditions()
CONDITIONS.sources.append(lambda _: [Condition("store", Level.BAD, Instant(900.0), "the store is down")])


class Workers(WorkerPool):
    """Two workers; ``said`` is what each answers, by number. None: nothing."""

    def __init__(self) -> None:
        super().__init__(2, {})
        self.said: dict[int, bytes | None] = {}
        self.any_says: tuple[int, bytes] | None = None
        self.news: dict[int, list[dict[str, Any]] | None] = {1: [], 2: []}
        self.asked: list[str] = []

    async def ask_all(self, path: str | Callable[[int, int], str]) -> list[WorkerAnswer]:
        own = {number: path if isinstance(path, str) else path(number, number + 10) for number in (1, 2, 3)}
        self.asked.append(own[1])
        if not own[1].startswith(TICK_PATH):
            return [WorkerAnswer(number, number + 10, said) for number, said in self.said.items()]
        return [WorkerAnswer(number, number + 10, self._tick(number, own[number])) for number in self.news]

    def _tick(self, number: int, path: str) -> bytes | None:
        every = self.news[number]
        if every is None:
            return None
        new = [each for each in every if each["number"] > int(path.rpartition("=")[2])]
        newest = max((each["number"] for each in every), default=0)
        told = {"time": 1.0, "minutes": [], "decisions": new[:MOST_NEW], "number": newest, "vitals": VITALS}
        return json.dumps(told).encode()

    async def ask_any(self, path: str, body: bytes | None = None) -> tuple[int, bytes] | None:
        self.asked.append(f"{path} {body!r}")
        return self.any_says


class Backend(MultiBackend):
    """In a state that no worker is asked for."""

    def __init__(self, workers: Workers) -> None:
        config = Config(upstream=UpstreamConfig(url="http://127.0.0.1:9"))
        unread = cast("LastGoodConfig", SimpleNamespace(config=config))
        super().__init__(workers, unread, CONDITIONS, instance="i", passage="p", stop=asyncio.Event())

    async def state(self) -> tuple[bool, State]:
        described = {"1": {"generation": 3}, "2": {"state": "ended"}}
        state = {
            "mode": "enforce",
            "privacy": [],
            "generation": 3,
            "warnings": ["w"],
            "config": {},
            "workers": described,
        }
        state["instance"] = "i"
        return True, cast("State", state)


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
async def admin(workers: Workers) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(create_admin(AdminConfig(), Backend(workers)))) as client:
        yield client


async def get(admin: TestClient[Any, Any], path: str) -> tuple[int, Any]:
    async with admin.get(path) as response:
        return response.status, await response.json()


SHADOW = json.dumps({"rules": [], "evicted": 1}).encode()


async def test_who_does_not_answer_is_left_out_and_that_is_said(workers: Workers, admin: TestClient[Any, Any]) -> None:
    workers.said = {1: SHADOW, 2: SHADOW}
    assert await get(admin, "/api/shadow") == (
        200,
        {"rules": [], "evicted": 2, "workers": {"configured": 2, "answered": 2}},
    )
    workers.said = {1: None, 2: SHADOW}
    answered_by_one = {"rules": [], "evicted": 1, "workers": {"configured": 2, "answered": 1}}
    assert await get(admin, "/api/shadow") == (200, answered_by_one)
    workers.said = {1: b"{", 2: SHADOW}
    assert await get(admin, "/api/shadow") == (200, answered_by_one)
    workers.said = {2: SHADOW}  # the other is being replaced
    assert await get(admin, "/api/shadow") == (200, answered_by_one)


@pytest.mark.parametrize(
    "path",
    [
        "/api/decisions",
        "/api/rejections",
        "/api/shadow",
        "/api/redactions",
        "/api/traffic",
        "/api/usage",
        "/api/config",
    ],
)
@pytest.mark.parametrize("said", [{}, {1: None, 2: None}, {1: b"nonsense"}])
async def test_when_nobody_answers_that_is_the_answer(
    workers: Workers, admin: TestClient[Any, Any], path: str, said: dict[int, bytes | None]
) -> None:
    workers.said = said
    status, told = await get(admin, path)
    assert (status, told["error"]) == (503, "no worker answers")


async def test_what_is_asked_of_the_workers_is_what_was_asked(workers: Workers, admin: TestClient[Any, Any]) -> None:
    counts = dict.fromkeys(("all", "blocked", "rejected", "failed", "captured", "forwarded"), 0)
    kept = {"decisions": 1, "forwarded": 1, "since": 0.0}
    none = {"decisions": [], "next": None, "counts": counts, "kept": kept, "address": None, "number": 0}
    workers.said = {1: json.dumps(none).encode()}
    status, _ = await get(admin, "/api/decisions?q=a%26b%20c&limit=7")
    assert (status, workers.asked) == (200, ["/api/decisions?q=a%26b+c&limit=7"])
    assert (await get(admin, "/api/decisions?limit=0"))[0] == 400
    assert (await get(admin, "/api/traffic?minutes=1441"))[0] == 400
    assert len(workers.asked) == 1, "nobody is asked for what is refused"


async def test_a_question_is_answered_by_any_with_its_refusal(workers: Workers, admin: TestClient[Any, Any]) -> None:
    async def explain() -> tuple[int, Any]:
        async with admin.post("/api/explain", json={"org": "o"}) as response:
            return response.status, await response.json()

    workers.any_says = (200, b'{"decision": "captured"}')
    assert await explain() == (200, {"decision": "captured"})
    assert workers.asked == ["""/api/explain b'{"org": "o"}'"""]
    workers.any_says = (400, b'{"error": "ip: not an address"}')
    assert await explain() == (400, {"error": "ip: not an address"})
    workers.any_says = None
    assert await explain() == (503, {"error": "no worker answers"})


async def test_any_worker_tells_the_plan_of_names_that_all_have_counted(
    workers: Workers, admin: TestClient[Any, Any]
) -> None:
    workers.any_says = (200, b'{"plan": "version: 1"}')
    assert await get(admin, "/api/plan?org=o") == (200, {"plan": "version: 1"})
    assert workers.asked == ["/api/plan?org=o None"]
    workers.any_says = (503, b'{"error": "the store"}')
    assert await get(admin, "/api/plan") == (503, {"error": "the store"})


async def test_the_configuration_is_one_workers_and_its_state_the_fleets(
    workers: Workers, admin: TestClient[Any, Any]
) -> None:
    told = {"mode": "bypass", "generation": 9, "warnings": [], "reload": {"errors": ["x"]}, "config": {"files": []}}
    held = {"changed_share": 0.5, "pages": 2, "since": 1.0, "changes": []}
    both = ({**told, "held_back": None, "config": {"files": [1]}}, {**told, "held_back": held})
    workers.said = {number: json.dumps(each).encode() for number, each in enumerate(both, 1)}
    assert await get(admin, "/api/config") == (
        200,
        {
            "mode": "enforce",
            "generation": 3,
            "warnings": ["w"],
            "reload": {},
            "held_back": held,
            "config": {"files": []},
            "workers": {"configured": 2, "answered": 1, "generations": {"1": 3}},
        },
    )


# -- ticks


def numbers(event: Mapping[str, Any]) -> list[tuple[int, int]]:
    return [(each["worker"], each["number"]) for each in event["decisions"]]


class Ticks(Backend):
    """With a clock of the test's: each question is one to the workers."""

    async def anew(self, seen: Seen | None) -> tuple[Any, Seen]:
        self._events._asked_at = float("-inf")
        return await self.tick(seen)


@pytest.fixture(autouse=True)
def at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_events, "now", lambda: Instant(1000.0))


async def test_a_stream_is_told_of_what_is_new_since_it_began_once(workers: Workers) -> None:
    together = Ticks(workers)
    workers.news[1] = [decision(1)]
    event, seen = await together.anew(None)
    assert (event["decisions"], event["time"], event["workers"]) == ([], 1000.0, {"configured": 2, "answered": 2})
    workers.news = {1: [decision(3), decision(1)], 2: [decision(2)]}
    event, seen = await together.anew(seen)
    assert numbers(event) == [(1, 3), (2, 2)]
    event, seen = await together.anew(seen)
    assert numbers(event) == []


async def test_streams_that_tick_together_ask_the_workers_once_and_miss_nothing(workers: Workers) -> None:
    together = Ticks(workers)
    _, early = await together.anew(None)
    (_, one), (_, other) = await asyncio.gather(together.tick(None), together.tick(None))
    assert len(workers.asked) == 1
    workers.news[2] = [decision(1)]
    event, one = await together.anew(one)
    assert numbers(event) == [(2, 1)]
    workers.news[2] = [decision(2), decision(1)]
    event, other = await together.anew(other)
    assert numbers(event) == [(2, 2), (2, 1)], "also what was asked for by another stream meanwhile"
    event, _ = await together.tick(early)
    assert numbers(event) == [(2, 2), (2, 1)]


async def test_a_worker_that_was_silent_for_a_moment_is_told_of_later_and_nothing_is_told_twice(
    workers: Workers,
) -> None:
    together = Ticks(workers)
    workers.news[1] = [decision(1)]
    _, seen = await together.anew(None)
    workers.news[1] = None
    event, seen = await together.anew(seen)
    assert (numbers(event), event["workers"]["answered"]) == ([], 1)
    workers.news[1] = [decision(2), decision(1)]
    event, seen = await together.anew(seen)
    assert numbers(event) == [(1, 2)]


async def test_a_replacement_is_told_of_from_its_first_request_on_and_memory_is_bounded(workers: Workers) -> None:
    together = Ticks(workers)
    workers.news[1] = [decision(number) for number in range(59, 0, -1)]
    _, seen = await together.anew(None)
    assert len(together._events._news[11]) == MOST_NEW
    del workers.news[1]
    workers.news[3] = [decision(1)]
    event, seen = await together.anew(seen)
    assert numbers(event) == [(3, 1)]
    assert (set(together._events._news), set(seen)) == ({12, 13}, {12, 13})


async def test_that_nobody_answers_is_an_event_too(workers: Workers) -> None:
    workers.news = {1: None, 2: None}
    event, _ = await Backend(workers).tick(None)
    assert event["workers"] == {"configured": 2, "answered": 0}
    assert (event["minutes"], event["decisions"], event["mode"]) == ([], [], "enforce")


async def test_the_status_is_of_all_that_answer(workers: Workers, admin: TestClient[Any, Any]) -> None:
    status, told = await get(admin, "/api/status")
    assert (status, told["workers"], told["rate"]) == (200, {"configured": 2, "answered": 2}, 3.0)
    assert (told["started"], told["time"], told["hour"]["pages"]) == (100.0, 1000.0, 68)
    assert told["hour"]["rejected"] == 34
    assert [(each["text"], each["since"]) for each in told["alerts"]] == [
        ("The store is down", 900.0),
        ("W", 1000.0),
    ]
    assert told["latency"]["own_p50"] is not None
    assert told["upstream"]["state"] == "up"


async def test_the_status_when_nobody_answers(workers: Workers, admin: TestClient[Any, Any]) -> None:
    workers.news = {1: None, 2: None}
    assert (await get(admin, "/api/status"))[0] == 503


async def test_one_question_without_an_answer_is_no_silence_as_the_whole_machine_may_have_paused(
    tmp_path: Path,
) -> None:
    worker = WorkerClient(1, 1, str(tmp_path / "nobody.sock"))
    worker.state = WorkerState.LISTENING
    for asked in range(MOST_UNANSWERED):
        assert worker.silent_seconds == 0, asked
        with pytest.raises(WorkerSilentError):
            await worker.ask("GET", "/healthz", 60.0)
    assert worker.silent_seconds > 0
    await worker.close()
