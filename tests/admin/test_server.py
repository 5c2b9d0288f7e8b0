"""Who is answered on the admin port, wherever they call from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from fsproxy.admin.backend import AdminBackend
from fsproxy.admin.server import create_admin
from fsproxy.admin.single import SingleBackend
from fsproxy.admin.state_answers import ReloadOutcome
from fsproxy.config.schema import AdminConfig, ModeSwitch, TopMode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPEN = ("/healthz", "/readyz", "/metrics")


class Program(SingleBackend):
    """A running program, as the admin port knows one, without a data plane."""

    def __init__(self, *, listening: bool = True, errors: Sequence[str] = ()) -> None:
        AdminBackend.__init__(self, "one", "p", asyncio.Event())
        self.listening = listening
        self.waiting_for = lambda: ["compiling the rules"]
        self.errors = list(errors)
        self.modes: list[ModeSwitch] = []
        self.reloads = 0

    @property
    def draining(self) -> bool:
        return self._stop.is_set()

    @property
    def mode(self) -> ModeSwitch:
        return (self.modes or [ModeSwitch(TopMode.ENFORCE)])[-1]

    def program_state(self) -> dict[str, Any]:
        """Stands in ``/readyz``."""
        return {"mode": self.mode.mode.value, "store": {"state": "down"}}

    async def set_mode(self, switch: ModeSwitch) -> list[int]:
        """Is remembered."""
        self.modes.append(switch)
        return []

    async def metrics(self) -> bytes:
        return b""

    async def reload(self, *, take: bool = False) -> ReloadOutcome:
        """Is counted; ends as the test says."""
        self.reloads += 1
        return cast("ReloadOutcome", {"generation": 7, "errors": self.errors})


def client(
    program: Program, token: str | None = None, remote: str | None = None, read_token: str | None = None
) -> TestClient:
    """A client of the admin port that seems to call from ``remote``."""
    app = create_admin(AdminConfig(token=token, read_token=read_token), program)

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
    assert program.modes == [ModeSwitch(TopMode.BYPASS)]


async def test_the_privacy_rules_end_only_where_that_is_asked_for_by_name_and_with_bypass() -> None:
    program = Program()
    async with client(program, remote="127.0.0.1") as admin:
        for wanted in ({"mode": "bypass", "privacy": "off"}, {"mode": "bypass", "privacy": "on"}, {"mode": "shadow"}):
            answer = await admin.post("/mode", json=wanted)
            without = {key: value for key, value in wanted.items() if value != "on"}
            assert (answer.status, await answer.json(), await (await admin.get("/mode")).json()) == (
                200,
                without,
                without,
            )
        for wrong in ({"mode": "shadow", "privacy": "off"}, {"mode": "bypass", "privacy": False}, {"privacy": "off"}):
            answer = await admin.post("/mode", json=wrong)
            assert answer.status == 400
    off, on = ModeSwitch(TopMode.BYPASS, privacy=False), ModeSwitch(TopMode.BYPASS)
    assert program.modes == [off, on, ModeSwitch(TopMode.SHADOW)]


@pytest.mark.parametrize("remote", ["203.0.113.9", "127.0.0.1"])
async def test_with_a_token_it_is_what_counts_and_not_the_address(remote: str) -> None:
    program = Program()
    async with client(program, token="töken-ü", remote=remote) as admin:
        assert (await admin.post("/mode", json={"mode": "bypass"})).status == 401
        wrong = {"Authorization": "Bearer token"}
        assert (await admin.post("/mode", json={"mode": "bypass"}, headers=wrong)).status == 401
        right = {"Authorization": "Bearer töken-ü"}
        assert (await admin.post("/mode", json={"mode": "shadow"}, headers=right)).status == 200
    assert program.modes == [ModeSwitch(TopMode.SHADOW)]


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


PASSED_ON = {
    "X-Forwarded-For": "203.0.113.9",
    "x_forwarded_for": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "127.0.0.1",
    "X-Forwarded-Anything": "",
    "Forwarded": "for=203.0.113.9",
    "Via": "1.1 edge",
    "X-Real-IP": "127.0.0.1",
    "X-Client-IP": "::1",
    "True-Client-IP": "203.0.113.9",
    "CF-Connecting-IP": "203.0.113.9",
    "Fly-Client-IP": "203.0.113.9",
    "X-Envoy-External-Address": "203.0.113.9",
    "X-Original-Forwarded-For": "203.0.113.9",
    "X-Original-URL": "/",
    "CDN-Loop": "cloudflare",
}


@pytest.mark.parametrize("name", PASSED_ON)
async def test_what_a_local_proxy_passes_on_needs_a_token_though_its_peer_is_loopback(name: str) -> None:
    program, headers = Program(), {name: PASSED_ON[name]}
    async with client(program, remote="127.0.0.1") as admin:
        for path in OPEN:
            assert (await admin.get(path, headers=headers)).status == 200
        for path in ("/mode", "/", "/no-such-path"):
            answer = await admin.get(path, headers=headers)
            assert (answer.status, "admin.token" in await answer.text()) == (403, True)
        assert (await admin.post("/mode", json={"mode": "bypass"}, headers=headers)).status == 403
    assert program.modes == []
    async with client(program, token="right", remote="127.0.0.1") as admin:
        assert (await admin.post("/mode", json={"mode": "bypass"}, headers=headers)).status == 401
        right = {**headers, "Authorization": "Bearer right"}
        assert (await admin.post("/mode", json={"mode": "bypass"}, headers=right)).status == 200
    assert program.modes == [ModeSwitch(TopMode.BYPASS)]


async def test_a_proxy_that_names_nobody_and_speaks_http_1_0_needs_a_token_too() -> None:
    """As nginx does by default."""
    program = Program()
    async with client(program) as admin:
        for path, status in (("/healthz", b"200"), ("/mode", b"403"), ("/", b"403")):
            reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
            writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:8081\r\nConnection: close\r\n\r\n".encode())
            assert (await reader.readline()).split()[1] == status
            writer.close()


def own(admin: TestClient) -> str:
    """The origin of a page of this port."""
    return f"http://127.0.0.1:{admin.port}"


@pytest.mark.parametrize("token", [None, "right"])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "http://127.0.0.1",
        "http://localhost:1",
        "http://127.0.0.1:{port}.evil.example",
        "http://127.0.0.1:{port}/path",
        "http://u@127.0.0.1:{port}",
        "ftp://127.0.0.1:{port}",
        "127.0.0.1:{port}",
        "http://[::1",
    ],
)
async def test_a_write_comes_from_a_page_of_this_very_address_or_from_no_browser(
    origin: str, token: str | None
) -> None:
    program, authorized = Program(), {"Authorization": f"Bearer {token}"}
    async with client(program, token=token) as admin:
        headers = {**authorized, "Origin": origin.format(port=admin.port)}
        for path, body in (("/mode", {"mode": "bypass"}), ("/reload", {}), ("/drain", {"instance": "one"})):
            assert (await admin.post(path, json=body, headers=headers)).status == 403
        assert (await admin.get("/mode", headers=headers)).status == 200
        assert (program.modes, program.reloads, program.draining) == ([], 0, False)
        for headers in ({**authorized, "Origin": own(admin)}, authorized):
            assert (await admin.post("/mode", json={"mode": "bypass"}, headers=headers)).status == 200
        twice = CIMultiDict([*authorized.items(), ("Origin", own(admin)), ("Origin", "https://evil.example")])
        assert (await admin.post("/mode", json={"mode": "bypass"}, headers=twice)).status == 403
    assert program.modes == [ModeSwitch(TopMode.BYPASS)] * 2


async def test_behind_a_proxy_with_a_token_the_page_writes_under_the_proxys_name() -> None:
    program = Program()
    named = {"Authorization": "Bearer right", "Origin": "https://admin.example"}
    async with client(program, token="right") as admin:
        for headers in ({"Host": "admin.example"}, {"X-Forwarded-Host": "Admin.example"}):
            assert (await admin.post("/reload", json={}, headers=named | headers)).status == 200
        assert (await admin.post("/reload", json={}, headers=named)).status == 403


async def test_readiness_says_starting_then_ready_then_draining_and_the_stores_trouble_is_in_its_body_alone() -> None:
    program = Program(listening=False)
    async with client(program) as admin:
        starting = await admin.get("/readyz")
        assert (starting.status, (await starting.json())["status"]) == (503, "starting")
        assert (await starting.json())["waiting_for"] == ["compiling the rules"]
        program.listening = True
        ready = await admin.get("/readyz")
        assert ready.status == 200
        assert await ready.json() == {"status": "ready", "mode": "enforce", "store": {"state": "down"}}
        await program.drain("one")
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


@pytest.mark.parametrize("body", [b'{"force":"true"}', b'{"force":1}', b'{"force":null}', b"[]", b"{", b"[" * 100_000])
async def test_a_reload_with_a_wrong_wish_is_refused(body: bytes) -> None:
    program = Program()
    async with client(program, remote="127.0.0.1") as admin:
        told = await admin.post("/reload", data=body, headers={"Content-Type": "application/json"})
        assert (told.status, program.reloads) == (400, 0)
        assert "force is true or false" in (await told.json())["error"]
        assert (await admin.post("/reload", headers={"Content-Type": "application/json"})).status == 200
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


# -- the token that may only read

WRITES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/mode", {"mode": "bypass"}),
    ("/reload", {}),
    ("/drain", {"instance": "one"}),
    ("/api/try", {}),
)


@pytest.mark.parametrize("token", [None, "right"])
@pytest.mark.parametrize("remote", ["127.0.0.1", "203.0.113.9"])
async def test_the_read_token_reads_everything_and_changes_nothing(token: str | None, remote: str) -> None:
    program = Program()
    reader = {"Authorization": "Bearer töken-ü"}
    async with client(program, token, remote, read_token="töken-ü") as admin:
        assert (await admin.get("/mode", headers=reader)).status == 200
        assert (await admin.get("/", headers={})).status == 200
        # It is asked, and finds the question wanting.
        assert (await admin.post("/api/explain", data=b"{", headers=reader)).status == 400
        for path, body in WRITES:
            async with admin.post(path, json=body, headers=reader) as answer:
                assert answer.status == 403
                assert "admin.read_token may read everything and change nothing" in await answer.text()
        assert (await admin.delete("/api/try", headers=reader)).status == 403
        for wrong in ("Bearer tok", "Bearer ", "Basic töken-ü", "töken-ü"):
            assert (await admin.get("/mode", headers={"Authorization": wrong})).status == 401
    assert (program.modes, program.reloads, program.draining) == ([], 0, False)


async def test_beside_a_read_token_alone_programs_on_this_machine_may_do_what_they_may_without() -> None:
    program = Program()
    async with client(program, remote="127.0.0.1", read_token="read") as admin:
        assert (await admin.post("/mode", json={"mode": "bypass"})).status == 200
        assert (await admin.get("/mode", headers={"X-Forwarded-For": "203.0.113.9"})).status == 401
    async with client(program, remote="203.0.113.9", read_token="read") as admin:
        assert (await admin.get("/mode")).status == 401
        assert (await admin.post("/mode", json={"mode": "shadow"})).status == 401
    assert program.modes == [ModeSwitch(TopMode.BYPASS)]


async def test_the_whole_token_changes_things_beside_a_read_token_and_nothing_goes_without_one() -> None:
    program = Program()
    async with client(program, "whole", "127.0.0.1", read_token="read") as admin:
        assert (await admin.get("/mode")).status == 401
        assert (await admin.post("/mode", json={"mode": "bypass"})).status == 401
        whole = {"Authorization": "Bearer whole"}
        assert (await admin.post("/mode", json={"mode": "bypass"}, headers=whole)).status == 200
    assert program.modes == [ModeSwitch(TopMode.BYPASS)]
