"""The doctor looks through fronts that are wrong, each in one way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.doctoring import examined
from support.front import SOURCE, Front, running_front
from support.proxy import RunningProxy, running_proxy
from support.upstream import Received, RecordingUpstream, status

ORG = "o-1"
TRUSTING: dict[str, Any] = {"client_ip": {"trusted_proxies": [SOURCE]}}


async def preflight(request: web.BaseRequest, received: Received) -> web.Response:
    headers = {"Access-Control-Allow-Origin": received.value("Origin") or ""}
    return web.Response(status=204, headers=headers)


async def behind(front: Front, config: dict[str, Any] = TRUSTING) -> dict[str, str]:
    """The states of everything that was found through this front, by name."""
    async with RecordingUpstream() as upstream:
        upstream.on("OPTIONS", "/rec/bundle", preflight)
        whole = {"server": {"max_body": "1MB"}, **config, "upstream": {"url": upstream.url}}
        whole["audit"] = {"client_ip": "full", **config.get("audit", {})}
        async with running_proxy(whole) as proxy:
            return await through(proxy, front)


async def through(proxy: RunningProxy, front: Front) -> dict[str, str]:
    async with running_front(replace(front, target=proxy.url)) as url:
        found = await examined(proxy.config_path, url, ORG)
    return {name: each.state.value for name, each in found.items()}


async def test_a_right_front_has_no_fault() -> None:
    found = await behind(Front(""))
    assert set(found.values()) == {"ok"}, found


@pytest.mark.parametrize(
    ("front", "config", "wrong"),
    [
        (Front("", forwarded="strip"), TRUSTING, {"public.client_ip": "fault"}),
        (Front(""), {}, {"public.client_ip": "unknown", "public.client_ip.trust": "unknown"}),
        (Front(""), {"client_ip": {"trusted_proxies": ["10.0.0.0/8"]}}, {"public.client_ip": "fault"}),
        (
            Front("", forwarded="pass"),
            TRUSTING,
            {"public.client_ip": "fault", "public.client_ip.trust": "fault"},
        ),
        (Front("", sockets=False), TRUSTING, {"public.socket": "fault"}),
        (Front("", most_body=512 * 1024), TRUSTING, {"public.size": "fault"}),
        (Front("", most_body=512 * 1024), {**TRUSTING, "mode": "shadow"}, {"public.size": "fault"}),
        (Front("", packs_answers=True), TRUSTING, {"public.answers": "warning"}),
        (Front("", unpacks_bodies=True), TRUSTING, {"public.requests": "fault"}),
        (
            Front("", removes=frozenset({"access-control-allow-origin"})),
            TRUSTING,
            {"public.cors": "fault", "public.preflight": "warning"},
        ),
        (
            Front("", adds=(("Access-Control-Allow-Origin", "*"),)),
            TRUSTING,
            {"public.cors": "fault", "public.preflight": "warning"},
        ),
        (Front("", refuses=True), TRUSTING, {"public.reached": "fault"}),
        (Front("", removes=frozenset({"x-request-id"})), TRUSTING, {"public.reached": "fault"}),
        (Front(""), {**TRUSTING, "audit": {"client_ip": "none"}}, {"public.client_ip": "unknown"}),
        (Front(""), {**TRUSTING, "cors": {"origins": ["www.other.example"]}}, {"public.cors": "fault"}),
    ],
    ids=lambda each: "" if isinstance(each, dict) else None,
)
async def test_what_is_wrong_in_front_is_found_and_nothing_else(
    front: Front, config: dict[str, Any], wrong: dict[str, str]
) -> None:
    found = await behind(front, config)
    assert {name: state for name, state in found.items() if state != "ok"} == wrong


async def test_nothing_but_settings_a_preflight_a_socket_and_the_page_reach_the_upstream() -> None:
    async with RecordingUpstream() as upstream:
        upstream.on("OPTIONS", "/rec/bundle", preflight)
        async with running_proxy({**TRUSTING, "upstream": {"url": upstream.url}}) as proxy:
            await through(proxy, Front(""))
        assert {(each.method, each.path) for each in upstream.received} == {
            ("GET", f"/s/settings/{ORG}/v1/web"),
            ("POST", "/rec/page"),
            ("OPTIONS", "/rec/bundle"),
            ("GET", "/rec/sock"),
        }
        assert len([each for each in upstream.received if each.method == "POST"]) == 1


@pytest.mark.parametrize("mode", ["shadow", "bypass"])
async def test_in_bypass_nothing_is_asked_that_would_reach_the_backend(mode: str) -> None:
    async with RecordingUpstream() as upstream:
        upstream.on("OPTIONS", "/rec/bundle", preflight)
        async with running_proxy({**TRUSTING, "mode": mode, "upstream": {"url": upstream.url}}) as proxy:
            found = await through(proxy, Front(""))
        assert len([each for each in upstream.received if each.method == "POST"]) == 1
    assert found["public.reached"] == ("ok" if mode == "shadow" else "unknown")


async def test_what_fsproxy_itself_warns_of_is_passed_on() -> None:
    """Pages through a load balancer that is not listed."""
    async with RecordingUpstream() as upstream:
        upstream.on("OPTIONS", "/rec/bundle", preflight)
        config = {"client_ip": {"trusted_proxies": ["10.0.0.0/8"]}, "upstream": {"url": upstream.url}}
        async with running_proxy(config) as proxy, running_front(Front(proxy.url)) as url:
            assert (await examined(proxy.config_path, url, ORG))["admin.ready"].state.value == "ok"
            body = b'{"OrgId": "o-1", "Url": "https://www.example.com/"}'
            async with aiohttp.ClientSession() as http:
                for _ in range(200):
                    await (await http.post(f"{url}/rec/page", data=body)).read()
            assert (await examined(proxy.config_path))["admin.ready"].state.value == "warning"


async def test_another_path_of_pages_is_used() -> None:
    routes = {"page": ["/p"], "bundle": ["/b"], "socket": []}
    async with RecordingUpstream() as upstream:
        upstream.on("POST", "/p", status(202, b'{"reason_code": 1}'))
        upstream.on("OPTIONS", "/b", preflight)
        async with running_proxy({**TRUSTING, "routes": routes, "upstream": {"url": upstream.url}}) as proxy:
            found = await through(proxy, Front(""))
    assert (found["public.reached"], found["public.size"], found["upstream.page"]) == ("ok", "ok", "warning")
    assert "public.socket" not in found


async def test_a_redirect_is_not_followed() -> None:
    """Recorders would lose their body with it."""
    async with RecordingUpstream() as upstream, running_proxy({"upstream": {"url": upstream.url}}) as proxy:
        async with RecordingUpstream(answer=status(301, Location=f"{proxy.url}/rec/page")) as other:
            found = await examined(proxy.config_path, other.url)
    assert found["public.reached"].state.value == "fault"
    assert "301" in found["public.reached"].text
