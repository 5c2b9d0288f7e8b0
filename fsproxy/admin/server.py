"""The admin port: health, metrics, the kill switch, the API and the operators' page. Never on the data port."""

from __future__ import annotations

import asyncio
from functools import cache
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from fsproxy.admin.api import ENDPOINTS as API_ENDPOINTS
from fsproxy.admin.api import NO_STORE, Api, answer, error, or_silence
from fsproxy.admin.backend import AdminBackend
from fsproxy.admin.guard import guard
from fsproxy.admin.lists.answers import CHANGE_PATH
from fsproxy.admin.lists_api import ENDPOINTS as LIST_ENDPOINTS
from fsproxy.admin.lists_api import ListsApi
from fsproxy.admin.openapi import EVENT_STREAM, INVALID, JSON, Endpoint, document
from fsproxy.admin.page import FOLDER as PAGE_FOLDER
from fsproxy.admin.page import PATH as PAGE_PATH
from fsproxy.admin.page import PageFiles
from fsproxy.admin.single import SingleBackend
from fsproxy.admin.state_answers import (
    Draining,
    Error,
    Instance,
    ModeChoice,
    ReloadOutcome,
    ReloadWish,
    State,
    mode_choice,
)
from fsproxy.admin.trial.answers import TRIAL_PATH
from fsproxy.admin.trial_api import ENDPOINTS as TRIAL_ENDPOINTS
from fsproxy.admin.trial_api import TrialApi
from fsproxy.admin.workers.merged_events import TICK_PATH
from fsproxy.config.schema import AdminConfig, ModeSwitch, TopMode
from fsproxy.core.run_time_lists import ListChange, ListFullError, ListRow

MOST_BODY = 1024 * 1024
"""Bytes of what is posted."""
ROWS_IN_PART = 400
"""Rows of lists that go from one worker to another in one piece: at most 50 KB."""
_read_change = msgspec.json.Decoder(ListChange).decode
_read_rows = msgspec.json.Decoder(list[ListRow]).decode


def create_admin(config: AdminConfig, backend: AdminBackend) -> web.Application:
    """Return the application of an admin port that other programs can reach."""
    app = web.Application(middlewares=[guard(config), or_silence], client_max_size=MOST_BODY)
    _add_endpoints(app, backend)
    return app


def create_private_admin(backend: SingleBackend) -> web.Application:
    """Return the application of a worker's admin port, which its supervisor alone can reach."""

    async def tick(request: web.Request) -> web.Response:
        after = request.query.get("after", "")
        if not after.isdecimal():
            return error(400, "after is a decision's number")
        newest = backend.newest
        return answer({**await backend.news(int(after)), "number": newest, "vitals": backend.vitals()})

    app = web.Application(middlewares=[or_silence], client_max_size=MOST_BODY)
    _add_endpoints(app, backend)

    async def trial(_: web.Request) -> web.Response:
        return answer(backend.trials.state)

    async def change(request: web.Request) -> web.Response:
        try:
            return answer(await backend.lists.change(_read_change(await request.read())))
        except ListFullError:
            return error(409, "full")

    async def rows(request: web.Request) -> web.StreamResponse:
        response, every = web.StreamResponse(), backend.lists.rows()
        await response.prepare(request)
        while part := list(islice(every, ROWS_IN_PART)):
            await response.write(msgspec.json.encode(part) + b"\n")
            await asyncio.sleep(0)
        return response

    async def take(request: web.Request) -> web.Response:
        await backend.lists.take(_read_rows(await request.read()))
        return answer({})

    app.router.add_post(CHANGE_PATH, change)
    app.router.add_get(CHANGE_PATH, rows, allow_head=False)
    app.router.add_put(CHANGE_PATH, take)
    app.router.add_get(TICK_PATH, tick, allow_head=False)
    app.router.add_get(TRIAL_PATH, trial, allow_head=False)
    return app


def _add_endpoints(app: web.Application, backend: AdminBackend) -> None:
    controls, api = Controls(backend), Api(backend)
    app.add_routes([_route(each, controls) for each in ENDPOINTS])
    app.add_routes([_route(each, api) for each in API_ENDPOINTS])
    app.add_routes([_route(each, TrialApi(backend)) for each in TRIAL_ENDPOINTS])
    app.add_routes([_route(each, ListsApi(backend)) for each in LIST_ENDPOINTS])
    app.router.add_get(PAGE_FOLDER + "{name}", controls.page_file)
    app.on_shutdown.append(api.stop)


def _route(endpoint: Endpoint, owner: Controls | Api | TrialApi | ListsApi) -> web.RouteDef:
    handler = endpoint.handler.__get__(owner)
    if endpoint.method != "GET":
        return web.route(endpoint.method, endpoint.path, handler)
    # A HEAD request would run the handler, which for a stream has no end.
    return web.get(endpoint.path, handler, allow_head=endpoint.content != EVENT_STREAM)


@cache
def described() -> bytes:
    """Return the OpenAPI document of the admin port, as JSON."""
    return msgspec.json.encode(document((*ENDPOINTS, *API_ENDPOINTS, *TRIAL_ENDPOINTS, *LIST_ENDPOINTS)))


class Controls:
    """The handlers of all that is no JSON API: health, metrics, the switches."""

    def __init__(self, backend: AdminBackend) -> None:
        self._backend = backend
        self._page = PageFiles()

    async def page(self, request: web.Request) -> web.Response:
        """Show the operators' page."""
        return self._page.answer(request)

    async def page_file(self, request: web.Request) -> web.Response:
        """Return a script or the style sheet of the operators' page."""
        return self._page.answer(request, request.match_info["name"])

    async def openapi(self, _: web.Request) -> web.Response:
        """Describe this API."""
        return web.Response(body=described(), content_type=JSON, headers=NO_STORE)

    async def healthz(self, _: web.Request) -> web.Response:
        """Answer while the program lives."""
        return web.json_response({"status": "ok"})

    async def readyz(self, _: web.Request) -> web.Response:
        """Return whether the program is ready, and in what state it is."""
        ready, state = await self._backend.state()
        return web.json_response(state, status=200 if ready else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        """Return all metrics in Prometheus' form."""
        return web.Response(body=await self._backend.metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def mode(self, _: web.Request) -> web.Response:
        """Return the mode in force."""
        return web.json_response(mode_choice(self._backend.mode))

    async def set_mode(self, request: web.Request) -> web.Response:
        """Change the mode: the kill switch.

        It holds until the next change or a restart. bypass acts at once. The privacy rules stay on under it, unless
        "privacy": "off" comes with it.
        """
        try:
            wanted = TopMode(await _member(request, "mode"))
            privacy = (await request.json()).get("privacy", "on")
        except ValueError:
            return error(400, 'send {"mode": ...} as application/json', allowed=[m.value for m in TopMode])
        if privacy not in ("on", "off") or (privacy == "off" and wanted is not TopMode.BYPASS):
            return error(400, "privacy is on, or off with the mode bypass", allowed=["on", "off"])
        switch = ModeSwitch(wanted, privacy == "on")
        silent = await self._backend.set_mode(switch)
        if silent:
            return error(502, "not all workers have answered", workers=silent)
        return web.json_response(mode_choice(switch))

    async def reload(self, request: web.Request) -> web.Response:
        """Load the configuration anew.

        One that would change more pages than reload.max_change is held back, unless force is true.
        """
        if request.content_type != JSON:
            return error(400, "send {} as application/json")
        try:
            asked = await request.json() if await request.read() else {}
        except (ValueError, RecursionError):
            asked = None
        take = asked.get("force", False) if isinstance(asked, dict) else None
        if not isinstance(take, bool):
            return error(400, 'send {} or {"force": true} as application/json: force is true or false')
        outcome = await self._backend.reload(take=take)
        return web.json_response(outcome, status=422 if outcome["errors"] else 409 if outcome.get("held_back") else 200)

    async def drain(self, request: web.Request) -> web.Response:
        """Stop as at SIGTERM.

        Another program has taken over the ports. The instance must be the one that /readyz names, as another may
        listen there by now.
        """
        try:
            instance = str(await _member(request, "instance"))
        except ValueError:
            return error(400, 'send {"instance": ...} as application/json')
        if not await self._backend.drain(instance):
            return error(409, "another instance is meant")
        return web.json_response({"status": "draining"})


async def _member(request: web.Request, name: str) -> Any:
    """Return a member of the JSON object that was posted. Raise ValueError when there is none."""
    if request.content_type == JSON:
        try:
            return (await request.json())[name]
        except (TypeError, KeyError, RecursionError):  # RecursionError: nested too deep to read
            pass
    raise ValueError(name)


_BUSY = {502: ("Not all workers have answered.", Error)}
_FAULTY = {
    409: ("The new configuration is held back, and the old one stays in force.", ReloadOutcome),
    422: ("The new configuration has faults, and the old one stays in force.", ReloadOutcome),
}
_MISTAKEN = {409: ("Another instance is meant.", Error)}
ENDPOINTS = (
    Endpoint("GET", PAGE_PATH, Controls.page, content="text/html", is_open=True),
    Endpoint("GET", "/healthz", Controls.healthz, is_open=True),
    Endpoint("GET", "/readyz", Controls.readyz, State, others={503: ("Starting or draining.", State)}, is_open=True),
    Endpoint("GET", "/metrics", Controls.metrics, content="text/plain", is_open=True),
    Endpoint("GET", "/mode", Controls.mode, ModeChoice),
    Endpoint("POST", "/mode", Controls.set_mode, ModeChoice, body=ModeChoice, others=INVALID | _BUSY),
    Endpoint("POST", "/reload", Controls.reload, ReloadOutcome, body=ReloadWish, others=INVALID | _FAULTY),
    Endpoint("POST", "/drain", Controls.drain, Draining, body=Instance, others=INVALID | _MISTAKEN),
    Endpoint("GET", "/openapi.json", Controls.openapi, dict[str, Any]),
)
