"""What the admin port answers while the program starts: what is known, or 503 with what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from fsproxy.admin.server import create_admin, described
from fsproxy.admin.single import SingleBackend
from fsproxy.config.loader import load_text
from fsproxy.config.schema import AdminConfig, ModeSwitch, TopMode
from fsproxy.reload.reloader import Reloader
from fsproxy.telemetry.metrics import Metrics

ANSWERED = {
    *(("get", path) for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/api/try")),
    *(("post", path) for path in ("/mode", "/drain", "/api/try")),
    ("delete", "/api/try"),
}
"""What needs no request that was answered, or is for this moment."""


@pytest.fixture
async def starting(tmp_path: Path) -> AsyncIterator[tuple[SingleBackend, Reloader, TestClient[Any, Any]]]:
    metrics, config = Metrics(), load_text("upstream: {url: http://127.0.0.1:9}", "fsproxy.yaml", {}, tmp_path)
    reloader = Reloader(config, None, lambda: None, metrics)
    backend = SingleBackend(reloader, metrics, instance="this", passage="that", stop=asyncio.Event())
    backend.waiting_for = lambda: ["compiling the rules"]
    async with TestClient(TestServer(create_admin(AdminConfig(), backend))) as admin:
        yield backend, reloader, admin


async def test_it_lives_and_is_not_ready_and_says_what_it_waits_for(starting: Any) -> None:
    backend, _, admin = starting
    assert (await admin.get("/healthz")).status == 200
    assert backend.summary() == "starting: compiling the rules"
    ready = await admin.get("/readyz")
    body = await ready.json()
    assert (ready.status, body["status"], body["waiting_for"]) == (503, "starting", ["compiling the rules"])
    assert (body["instance"], body["passage"]) == ("this", "that")
    assert "fsproxy_config_errors 0.0" in await (await admin.get("/metrics")).text()


async def test_every_question_about_requests_is_answered_503_with_the_reason(starting: Any) -> None:
    _, _, admin = starting
    paths = msgspec.json.decode(described())["paths"]
    every = {(method, path) for path, methods in paths.items() for method in methods}
    assert every > ANSWERED
    for method, path in every - ANSWERED:
        wish = {"add": ["u"], "for": "1h"} if "{name}" in path else {}
        body = {"json": wish} if method == "post" else {}
        answer = await admin.request(method, path.replace("{name}", "blocked_user"), **body)
        expected = (503, {"error": "the program is starting: compiling the rules"})
        assert (answer.status, await answer.json()) == expected, path
    assert (await admin.get("/")).status == 200
    assert (await admin.post("/api/try", json={"config": ""})).status == 409


async def test_the_kill_switch_and_the_end_are_taken_while_it_starts(starting: Any) -> None:
    backend, reloader, admin = starting
    answer = await admin.post("/mode", json={"mode": "bypass"})
    assert (answer.status, await answer.json()) == (200, {"mode": "bypass"})
    assert reloader.switch == ModeSwitch(TopMode.BYPASS)
    assert (await admin.post("/drain", json={"instance": "this"})).status == 200
    assert (await (await admin.get("/readyz")).json())["status"] == "draining"
    assert backend.taken_over
