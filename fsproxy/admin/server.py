"""The admin port: health, metrics, the kill switch, the API and the operators' page. Never on the data port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from fsproxy.admin.api import JSON, Api, error
from fsproxy.admin.guard import guard
from fsproxy.admin.page import PATH as PAGE_PATH
from fsproxy.admin.page import show_page
from fsproxy.admin.single import Alone, Insight
from fsproxy.config.schema import AdminConfig, TopMode
from fsproxy.telemetry.metrics import Metrics


class Controls(Protocol):
    """What the admin port may see and change of the running program."""

    @property
    def listening(self) -> bool:
        """True once the recorders' port is open: the admin port opens first, so that its faults end the start."""
        ...

    @property
    def draining(self) -> bool:
        """True once the program was told to stop."""
        ...

    def state(self) -> dict[str, object]:
        """For ``/readyz``: mode, generation, the upstream's and the store's state, warnings."""
        ...

    def set_mode(self, mode: TopMode) -> None:
        """Change the top-level mode until the next one or a restart."""
        ...

    async def drain(self, instance: str) -> bool:
        """Stop as at SIGTERM, another program having taken over; False when another instance is meant."""
        ...

    async def reload(self) -> dict[str, object]:
        """Load the configuration anew. ``generation`` is then in use; ``errors`` say why it is still the old one."""
        ...


def create_admin(
    config: AdminConfig,
    controls: Controls,
    metrics: Metrics,
    insight: Insight | None = None,
    *,
    guarded: bool = True,
) -> web.Application:
    """The admin port's application. ``insight``: for the API and the operators' page.

    ``guarded`` is False where only our own processes can reach it: a worker's, which its supervisor asks.
    """
    registry = CollectorRegistry()
    registry.register(metrics)
    text = "The configuration that is in force; 1 is the one of the start."
    metrics.gauges["config_generation"] = (text, lambda: _number(controls.state().get("generation")))

    async def readyz(_: web.Request) -> web.Response:
        # The upstream's and the store's state stand in the body only: taking a sidecar out of service
        # because its upstream is down would turn one failure into two.
        status = "draining" if controls.draining else "ready" if controls.listening else "starting"
        return web.json_response({"status": status, **controls.state()}, status=200 if status == "ready" else 503)

    async def show_metrics(_: web.Request) -> web.Response:
        for prepare in metrics.before:
            await prepare()
        loop = asyncio.get_running_loop()
        text = await loop.run_in_executor(None, generate_latest, registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def mode(request: web.Request) -> web.Response:
        wanted = await wanted_mode(request)
        if wanted is None:
            return error(400, 'send {"mode": ...} as application/json', allowed=[m.value for m in TopMode])
        controls.set_mode(wanted)
        return web.json_response({"mode": wanted.value})

    async def show_mode(_: web.Request) -> web.Response:
        return web.json_response({"mode": controls.state()["mode"]})

    app = web.Application(middlewares=[guard(config)] if guarded else [], client_max_size=1024 * 1024)
    app.add_routes(control_routes(readyz, show_metrics, show_mode, mode, controls.reload, controls.drain))
    if insight is not None:
        app.router.add_get(PAGE_PATH, show_page())
        metrics.before.append(insight.refresh)
        metrics.labelled_gauges.append(insight.collect)
        alone = Alone(insight)
        Api(alone).add_to(app)
        if not guarded:
            alone.add_private(app)
    return app


def control_routes(
    readyz: Handler,
    metrics: Handler,
    show_mode: Handler,
    mode: Handler,
    reload: Callable[[], Awaitable[dict[str, object]]],
    drain: Callable[[str], Awaitable[bool]],
) -> list[web.RouteDef]:
    """The paths of an admin port, the same whether it speaks for one process or for several workers."""
    return [
        web.get("/healthz", _healthz),
        web.get("/readyz", readyz),
        web.get("/metrics", metrics),
        web.get("/mode", show_mode),
        web.post("/mode", mode),
        web.post("/reload", _reload_handler(reload)),
        web.post("/drain", _drain_handler(drain)),
    ]


async def wanted_mode(request: web.Request) -> TopMode | None:
    """The mode that was posted, None when it is not one of them."""
    if request.content_type != JSON:
        return None
    try:
        return TopMode((await request.json())["mode"])
    except (ValueError, TypeError, KeyError, RecursionError):  # nested too deep to read
        return None


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _reload_handler(reload: Callable[[], Awaitable[dict[str, object]]]) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        if request.content_type != JSON:
            return error(400, "send {} as application/json")
        outcome = await reload()
        return web.json_response(outcome, status=422 if outcome["errors"] else 200)

    return handler


def _drain_handler(drain: Callable[[str], Awaitable[bool]]) -> Handler:
    """``POST /drain``: who is to drain must be named as ``/readyz`` names it, as another may listen there by now."""

    async def handler(request: web.Request) -> web.Response:
        if request.content_type != JSON:
            return error(400, 'send {"instance": ...} as application/json')
        try:
            instance = str((await request.json())["instance"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return error(400, 'send {"instance": ...} as application/json')
        if not await drain(instance):
            return error(409, "another instance is meant")
        return web.json_response({"status": "draining"})

    return handler


def _number(value: object) -> float:
    return float(value) if isinstance(value, int) else 0.0
