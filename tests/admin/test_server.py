"""Who is answered on the admin port, wherever they call from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fsproxy.admin.metrics import Metrics
from fsproxy.admin.server import create_admin
from fsproxy.config.schema import AdminConfig, TopMode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPEN = ("/healthz", "/readyz", "/metrics")


@dataclass
class Program:
    """A running program, as the admin port knows one."""

    listening: bool = True
    draining: bool = False
    modes: list[TopMode] = field(default_factory=list)

    def state(self) -> dict[str, object]:
        """Stands in ``/readyz``."""
        return {"mode": (self.modes or [TopMode.ENFORCE])[-1].value, "store": {"state": "down"}}

    errors: list[str] = field(default_factory=list)
    reloads: int = 0

    def set_mode(self, mode: TopMode) -> None:
        """Is remembered."""
        self.modes.append(mode)

    async def drain(self, instance: str) -> bool:
        """Only as ``one``."""
        self.draining |= instance == "one"
        return instance == "one"

    async def reload(self) -> dict[str, object]:
        """Is counted; ends as the test says."""
        self.reloads += 1
        return {"generation": 7, "errors": self.errors}


def client(program: Program, token: str | None = None, remote: str | None = None) -> TestClient:
    """A client of the admin port that seems to call from ``remote``."""
    app = create_admin(AdminConfig(token=token), program, Metrics())

    @web.middleware
    async def from_elsewhere(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request.clone(remote=remote) if remote is not None else request)

    app.middlewares.insert(0, from_elsewhere)
    return TestClient(TestServer(app))


@pytest.mark.parametrize("remote", ["203.0.113.9", "10.0.0.1", "2001:db8::1", "::ffff:203.0.113.9", "", "nonsense"])
async def test_off_loopback_without_a_token_only_health_and_metrics_answer(remote: str) -> None:
    program = Program()
    async with client(program, remote=remote) as admin:
        for path in OPEN:
            assert (await admin.get(path)).status == 200
        assert (await admin.get("/mode")).status == 403
        assert (await admin.post("/mode", json={"mode": "bypass"})).status == 403
        assert (await admin.get("/no-such-path")).status == 403
    assert program.modes == []


@pytest.mark.parametrize("remote", ["127.0.0.1", "127.0.0.2", "::1"])
async def test_on_loopback_the_switch_needs_no_token_where_none_is_configured(remote: str) -> None:
    program = Program()
    async with client(program, remote=remote) as admin:
        assert (await admin.post("/mode", json={"mode": "bypass"})).status == 200
    assert program.modes == [TopMode.BYPASS]


@pytest.mark.parametrize("remote", ["203.0.113.9", "127.0.0.1"])
async def test_with_a_token_it_is_what_counts_and_not_the_address(remote: str) -> None:
    program = Program()
    async with client(program, token="töken-ü", remote=remote) as admin:
        assert (await admin.post("/mode", json={"mode": "bypass"})).status == 401
        wrong = {"Authorization": "Bearer token"}
        assert (await admin.post("/mode", json={"mode": "bypass"}, headers=wrong)).status == 401
        right = {"Authorization": "Bearer töken-ü"}
        assert (await admin.post("/mode", json={"mode": "shadow"}, headers=right)).status == 200
    assert program.modes == [TopMode.SHADOW]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8081", 200),
        ("127.0.0.1:8081", 200),
        ("[::1]:8081", 200),
        ("[::1]", 200),
        ("evil.example", 403),
        ("evil.example:8081", 403),
        ("localhost.evil.example", 403),
        ("203.0.113.9:8081", 403),
    ],
)
async def test_on_loopback_only_loopbacks_own_names_are_answered(host: str, status: int) -> None:
    """A page of another site that reaches this port under its own name is refused."""
    program = Program()
    async with client(program) as admin:
        response = await admin.post("/mode", json={"mode": "bypass"}, headers={"Host": host})
        assert response.status == status
    assert len(program.modes) == (status == 200)


async def test_readiness_says_starting_then_ready_then_draining_and_the_stores_trouble_is_in_its_body_alone() -> None:
    program = Program(listening=False)
    async with client(program) as admin:
        starting = await admin.get("/readyz")
        assert (starting.status, (await starting.json())["status"]) == (503, "starting")
        program.listening = True
        ready = await admin.get("/readyz")
        assert ready.status == 200
        assert await ready.json() == {"status": "ready", "mode": "enforce", "store": {"state": "down"}}
        program.draining = True
        draining = await admin.get("/readyz")
        assert draining.status == 503
        assert (await draining.json())["status"] == "draining"
        healthy = await admin.get("/healthz")
        assert (healthy.status, await healthy.json()) == (200, {"status": "ok"})


async def test_a_reload_is_guarded_as_a_change_of_the_mode_is() -> None:
    program = Program()
    async with client(program, remote="203.0.113.9") as admin:
        assert (await admin.post("/reload", json={})).status == 403
    async with client(program, token="right") as admin:
        assert (await admin.post("/reload", json={})).status == 401
        told = await admin.post("/reload", json={}, headers={"Authorization": "Bearer right"})
        assert (told.status, await told.json()) == (200, {"generation": 7, "errors": []})
    async with client(program, remote="127.0.0.1") as admin:
        assert (await admin.post("/reload", data=b"{}")).status == 400
        assert (await admin.post("/reload", data={"a": "form"})).status == 400
    assert program.reloads == 1


async def test_a_reload_that_finds_faults_says_so_with_its_status() -> None:
    program = Program(errors=["fsproxy.yaml:1:1: is wrong"])
    async with client(program, remote="127.0.0.1") as admin:
        told = await admin.post("/reload", json={})
        assert (told.status, (await told.json())["errors"]) == (422, program.errors)


async def test_only_the_instance_that_is_named_drains() -> None:
    program = Program()
    async with client(program) as admin:
        assert (await admin.post("/drain", json={"instance": "two"})).status == 409
        assert (await admin.post("/drain", json=[])).status == 400
        assert (await admin.post("/drain", data=b'{"instance":"one"}')).status == 400
        assert not program.draining
        assert (await admin.post("/drain", json={"instance": "one"})).status == 200
    assert program.draining


async def test_off_loopback_nobody_drains_without_a_token() -> None:
    program = Program()
    async with client(program, remote="203.0.113.9") as admin:
        assert (await admin.post("/drain", json={"instance": "one"})).status == 403
    assert not program.draining
