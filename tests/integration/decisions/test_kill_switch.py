"""``POST /mode`` on the admin port: the kill switch, and the way back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.proxy import ProxyDiedError
from support.rig import JSON, Rig, running_rig
from support.upstream import status

pytestmark = pytest.mark.asyncio(loop_scope="module")

BLOCKED = {"X-Forwarded-For": "203.0.113.9"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig({"filters": {"ip": {"block": ["203.0.113.0/24"]}}}) as running:
        yield running


async def test_bypass_acts_on_the_very_next_request_and_enforce_brings_the_rules_back(rig: Rig) -> None:
    assert (await rig.page(BLOCKED)).status == 202
    status_, text = await rig.admin("/mode", "POST", b'{"mode": "bypass"}', **JSON)
    assert (status_, json.loads(text)) == (200, {"mode": "bypass"})
    passed = await rig.page(BLOCKED)
    assert passed.status == 200
    assert (await rig.line(passed))["fsproxy.mode"] == "bypass"
    assert json.loads((await rig.admin("/readyz"))[1])["mode"] == "bypass"

    await rig.set_mode("enforce")
    assert (await rig.page(BLOCKED)).status == 202


async def test_shadow_notes_what_enforce_would_block(rig: Rig) -> None:
    await rig.set_mode("shadow")
    noted = await rig.page(BLOCKED)
    assert noted.status == 200
    line = await rig.line(noted)
    assert (line["fsproxy.mode"], line["fsproxy.shadow"][0]["filter"]) == ("shadow", "ip")
    await rig.set_mode("enforce")
    assert (await rig.page(BLOCKED)).status == 202


async def test_a_request_under_way_keeps_the_mode_that_it_began_with(rig: Rig) -> None:
    before = len(rig.upstream.received)
    rig.upstream.hold()
    page = asyncio.create_task(rig.page())
    await rig.upstream.arrived(before + 1)
    await rig.set_mode("shadow")
    rig.upstream.release()
    assert (await rig.line(await page))["fsproxy.mode"] == "enforce"
    await rig.set_mode("enforce")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"mode": "panic"}', "application/json"),
        (b'{"mode": null}', "application/json"),
        (b'{"mode": ["bypass"]}', "application/json"),
        (b'{"mode": {}}', "application/json"),
        (b'{"mode": 1}', "application/json"),
        (b"{}", "application/json"),
        (b"[]", "application/json"),
        (b'"bypass"', "application/json"),
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"", "application/json"),
        (b'{"mode": "bypass"}', "text/plain"),
        (b'{"mode": "bypass"}', "application/x-www-form-urlencoded"),
        (b"mode=bypass", "application/x-www-form-urlencoded"),
    ],
)
async def test_what_names_no_mode_is_refused_with_what_is_allowed_and_changes_nothing(
    rig: Rig, body: bytes, kind: str
) -> None:
    answered, text = await rig.admin("/mode", "POST", body, Content_Type=kind)
    assert answered == 400
    assert json.loads(text)["allowed"] == ["enforce", "shadow", "bypass"]
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "enforce"}


async def test_another_method_is_not_allowed(rig: Rig) -> None:
    assert (await rig.admin("/mode", "PUT", b'{"mode": "bypass"}', **JSON))[0] == 405


async def test_a_name_of_another_site_is_refused_on_loopback_too(rig: Rig) -> None:
    """DNS rebinding: a page elsewhere reaches this port under its own name."""
    answered, _ = await rig.admin("/mode", "POST", b'{"mode": "bypass"}', **JSON, Host="evil.example")
    assert answered == 403
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "enforce"}


@pytest.mark.parametrize("path", ["/mode", "/healthz", "/readyz", "/metrics"])
async def test_nothing_of_it_answers_on_the_data_port(rig: Rig, path: str) -> None:
    rig.upstream.on("GET", path, status(418, b"the upstream's"))
    rig.upstream.on("POST", path, status(418, b"the upstream's"))
    for method in ("GET", "POST"):
        answer = await rig.send(path, b'{"mode": "bypass"}' if method == "POST" else b"", JSON, method)
        assert (answer.status, answer.body) == (418, b"the upstream's")
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "enforce"}


async def test_with_a_token_the_switch_needs_it_and_health_does_not() -> None:
    async with running_rig({"admin": {"token": "s3cret-token"}}) as rig:
        body = b'{"mode": "bypass"}'
        given = (None, "", "Bearer", "Bearer s3cret", "Bearer s3cret-token2", "Basic s3cret-token", "s3cret-token")
        for authorization in given:
            headers = JSON if authorization is None else {**JSON, "Authorization": authorization}
            answered, text = await rig.admin("/mode", "POST", body, **headers)
            assert answered == 401
            assert "s3cret" not in text
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await rig.admin(path))[0] == 200
        for scheme in ("Bearer", "bearer"):
            authorized = {**JSON, "Authorization": f"{scheme} s3cret-token"}
            assert (await rig.admin("/mode", "POST", body, **authorized))[0] == 200
        assert (await rig.page(BLOCKED)).status == 200
        assert "s3cret" not in rig.proxy.log_text()


@pytest.mark.parametrize(("held", "token"), [("s3cret\n", "s3cret"), ("null", "null"), ("12345", "12345")])
async def test_a_token_from_the_environment_is_needed_and_let_in(held: str, token: str) -> None:
    async with running_rig({"admin": {"token": "${TOKEN}"}}, {"TOKEN": held}) as rig:
        assert (await rig.admin("/mode"))[0] == 401
        assert (await rig.admin("/mode", Authorization=f"Bearer {token}"))[0] == 200


async def test_a_token_that_is_set_but_empty_ends_the_start() -> None:
    with pytest.raises(ProxyDiedError, match=r"admin\.token: \*\*\* refers to TOKEN, which is set in .* but empty"):
        async with running_rig({"admin": {"token": "${TOKEN}"}}, {"TOKEN": "\n"}):
            pytest.fail("it started")


async def test_what_a_proxy_on_this_machine_passes_on_switches_nothing(rig: Rig) -> None:
    body = b'{"mode": "bypass"}'
    assert (await rig.admin("/mode", "POST", body, **JSON, X_Forwarded_For="203.0.113.9"))[0] == 403
    assert (await rig.admin("/mode", "POST", body, **JSON, Origin="https://evil.example"))[0] == 403
    assert (await rig.admin("/readyz", X_Forwarded_For="203.0.113.9"))[0] == 200
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "enforce"}
