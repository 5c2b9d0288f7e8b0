"""The doctor looks through fronts that are wrong, each in one way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
        (Front(""), {}, {"public.client_ip.trust": "unknown"}),
        (Front(""), {"client_ip": {"trusted_proxies": ["10.0.0.0/8"]}}, {"public.client_ip": "fault"}),
        (
            Front("", forwarded="pass"),
            TRUSTING,
            {"public.client_ip": "fault", "public.client_ip.trust": "fault"},
        ),
        (Front("", sockets=False), TRUSTING, {"public.socket": "fault"}),
        (Front("", most_body=512 * 1024), TRUSTING, {"public.size": "fault"}),
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


async def test_settings_that_a_front_changes_are_told() -> None:
    async with RecordingUpstream() as upstream:
        upstream.on("OPTIONS", "/rec/bundle", preflight)
        upstream.on("GET", f"/s/settings/{ORG}/v1/web", status(200, b"{}"))
        async with running_proxy({**TRUSTING, "upstream": {"url": upstream.url}}) as proxy:
            other = RecordingUpstream()
            async with other:
                found = await examined(proxy.config_path, other.url, ORG)
                other.unexpected.clear()
    assert found["public.reached"].state.value == "fault"
