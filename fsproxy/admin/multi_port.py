"""The admin port of several workers: it answers for all of them as if they were one."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from fsproxy.admin.api import Api, error
from fsproxy.admin.guard import guard
from fsproxy.admin.multi import Together, Workers
from fsproxy.admin.page import PATH as PAGE_PATH
from fsproxy.admin.page import show_page
from fsproxy.admin.server import control_routes, wanted_mode
from fsproxy.config.schema import AdminConfig, TopMode


class Fleet(Workers, Protocol):
    """What the admin port may see and change of the workers."""

    @property
    def mode(self) -> TopMode:
        """What the workers are to run in."""
        ...

    async def set_mode(self, mode: TopMode) -> list[int]:
        """Change the mode of all; the numbers of those that did not answer."""
        ...

    async def drain(self, instance: str) -> bool:
        """As ``Controls.drain``, of all."""
        ...

    async def reload(self) -> dict[str, object]:
        """Have all load the configuration anew, as ``Controls.reload``."""
        ...

    async def metrics(self) -> bytes:
        """Everything that all of them counted, in Prometheus' form."""
        ...


def create_fleet_admin(config: AdminConfig, fleet: Fleet) -> web.Application:
    """The admin port's application: the paths of one worker's."""

    async def readyz(_: web.Request) -> web.Response:
        ready, body = await fleet.state()
        return web.json_response(body, status=200 if ready else 503)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=await fleet.metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def mode(request: web.Request) -> web.Response:
        wanted = await wanted_mode(request)
        if wanted is None:
            return error(400, 'send {"mode": ...} as application/json', allowed=[m.value for m in TopMode])
        silent = await fleet.set_mode(wanted)
        if silent:
            return error(502, "not all workers have answered", workers=silent)
        return web.json_response({"mode": wanted.value})

    async def show_mode(_: web.Request) -> web.Response:
        return web.json_response({"mode": fleet.mode.value})

    app = web.Application(middlewares=[guard(config)], client_max_size=1024 * 1024)
    app.add_routes(control_routes(readyz, show_metrics, show_mode, mode, fleet.reload, fleet.drain))
    app.router.add_get(PAGE_PATH, show_page())
    Api(Together(fleet)).add_to(app)
    return app
