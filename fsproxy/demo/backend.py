"""A small capture backend that answers as a real one does, and shows what it received.

``GET /_demo/received?limit=20`` lists the last requests with their bodies decoded, ``DELETE`` forgets
them. It has no accounts and keeps nothing. It is for trying and testing the proxy, not for recordings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web

from fsproxy.demo.answers import Sessions, bundle_answer, page_answer, page_problem, problem, settings_answer
from fsproxy.demo.received import GZIP_MAGIC, BodyError, Received, Store, decompressed, parsed
from fsproxy.demo.socket import frame_answer

Clock = Callable[[], int]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY = 64 * 1024 * 1024
MAX_FRAME = 8 * 1024 * 1024
SHOWN = 20
SCRIPT = "/* the demo backend has no recorder to give */\n"

SESSIONS: web.AppKey[Sessions] = web.AppKey("sessions", Sessions)
STORE: web.AppKey[Store] = web.AppKey("store", Store)
CLOCK: web.AppKey[Clock] = web.AppKey("clock")


class _UnauthorizedError(Exception):
    """A server API call without an Authorization header."""


def clock_ms() -> int:
    """Return the Unix time in milliseconds, as recorders count it."""
    return time.time_ns() // 1_000_000


def create_backend(clock: Clock = clock_ms) -> web.Application:
    """Return the backend. ``clock`` gives Unix milliseconds."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_keep_and_refuse])
    app[SESSIONS] = Sessions()
    app[STORE] = Store()
    app[CLOCK] = clock
    app.on_response_prepare.append(_allow_origin)
    app.add_routes(
        [
            web.post("/rec/page", _page),
            web.post("/rec/bundle", _bundle),
            web.post("/rec/bundle/v2", _bundle),
            web.post("/rec/event", _bundle),
            web.get("/rec/sock", _socket),
            web.get("/rec/integrations", _script),
            web.post("/rec/except", _empty),
            web.post("/rec/beacon", _empty),
            web.post("/rec/queryResources", _object),
            web.post("/rec/uploadResource", _empty),
            web.get("/s/settings/{org}/v1/web", _settings),
            web.get("/s/{path:.*}", _script),
            web.get("/datalayer/{path:.*}", _object),
            web.post("/client/event", _call),
            web.post("/client/identify", _call),
            web.post("/client/setUserVars", _call),
            web.post("/users/v1/individual/{uid}/customvars", _server_call),
            web.post("/users/v1/individual/{uid}/customevent", _server_call),
            web.post("/v2/events", _server_call),
            web.post("/v2/users", _server_user),
            web.post("/v2/events/batch", _server_batch),
            web.post("/v2/users/batch", _server_batch),
            web.get("/_demo/received", _received),
            web.delete("/_demo/received", _forget),
        ]
    )
    return app


@web.middleware
async def _keep_and_refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep every request before it is answered. Answer 400 where the body is at fault, 401 without authorization."""
    if not request.path.startswith("/_demo/"):
        body = await request.read()
        request.app[STORE].keep(_as_received(request, request.method, body, gzip=_is_gzip(request, body)))
    if request.method == "OPTIONS":
        return _preflight(request)
    try:
        return await handler(request)
    except _UnauthorizedError:
        return web.json_response(problem("an Authorization header is needed", "unauthorized"), status=401)
    except BodyError as error:
        return web.json_response(problem(str(error), "invalid_body"), status=400)


async def _allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Name the exact origin in the answer: recorders read no answer without it, nor one with ``*`` (wire.md 1)."""
    origin = request.headers.get("Origin")
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Vary"] = "Origin"


def _as_received(request: web.Request, method: str, body: bytes, *, gzip: bool = False) -> Received:
    return Received(
        at_ms=request.app[CLOCK](),
        method=method,
        path=request.path,
        query=dict(request.query),
        headers=dict(request.headers),
        body=body,
        gzip=gzip,
    )


def _is_gzip(request: web.Request, body: bytes) -> bool:
    # Bundles announce gzip in the query alone. aiohttp may have obeyed a Content-Encoding header already and kept the
    # header; then the body does not begin as gzip does.
    if request.query.get("ContentEncoding") == "gzip":
        return True
    return request.headers.get("Content-Encoding") == "gzip" and body.startswith(GZIP_MAGIC)


async def _json_body(request: web.Request) -> Any:
    body = await request.read()
    return parsed(decompressed(body, gzip=_is_gzip(request, body)))


async def _page(request: web.Request) -> web.Response:
    page = await _json_body(request)
    wrong = page_problem(page)
    if wrong is not None:
        raise BodyError(wrong)
    return web.json_response(page_answer(page, request.app[SESSIONS], request.app[CLOCK]()))


async def _bundle(request: web.Request) -> web.Response:
    bundle = await _json_body(request)
    if not isinstance(bundle, dict) or not isinstance(bundle.get("Evts"), list):
        raise BodyError("a bundle is a JSON object that holds a list of Evts")
    return web.json_response(bundle_answer(request.app[CLOCK]()))


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=MAX_FRAME)
    await socket.prepare(request)
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            await socket.close(code=1003, message=b"text frames only")
            break
        text: str = message.data
        request.app[STORE].keep(_as_received(request, "WEBSOCKET", text.encode("utf-8", "surrogatepass")))
        answer = frame_answer(text, request.app[SESSIONS], request.app[CLOCK]())
        await socket.send_str(json.dumps(answer))
    return socket


async def _settings(request: web.Request) -> web.Response:
    return web.json_response(settings_answer(request.match_info["org"]))


async def _script(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler takes its request
    return web.Response(text=SCRIPT, content_type="text/javascript")


async def _empty(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler takes its request
    return web.Response()


async def _object(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler takes its request
    return web.json_response({})


async def _call_body(request: web.Request) -> dict[str, Any]:
    body = await _json_body(request)
    if not isinstance(body, dict):
        raise BodyError("a call is a JSON object")
    return body


async def _call(request: web.Request) -> web.Response:
    await _call_body(request)
    return web.json_response({})


async def _server_body(request: web.Request) -> dict[str, Any]:
    if "Authorization" not in request.headers:
        raise _UnauthorizedError
    return await _call_body(request)


async def _server_call(request: web.Request) -> web.Response:
    await _server_body(request)
    return web.json_response({})


async def _server_user(request: web.Request) -> web.Response:
    user = await _server_body(request)
    names = ("uid", "display_name", "email", "properties")
    return web.json_response({"id": "1", **{name: user[name] for name in names if name in user}})


async def _server_batch(request: web.Request) -> web.Response:
    batch = await _server_body(request)
    if not isinstance(batch.get("requests"), list):
        raise BodyError("a batch holds a list of requests")
    return web.json_response({"job": {"id": "1", "status": "PROCESSING"}})


def _preflight(request: web.Request) -> web.Response:
    headers = {"Access-Control-Allow-Methods": "GET, POST, OPTIONS", "Access-Control-Max-Age": "600"}
    wanted = request.headers.get("Access-Control-Request-Headers")
    if wanted is not None:
        headers["Access-Control-Allow-Headers"] = wanted
    return web.Response(status=204, headers=headers)


async def _received(request: web.Request) -> web.Response:
    limit = request.query.get("limit", str(SHOWN))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6):
        return web.json_response(problem("limit is a number", "invalid_limit"), status=400)
    return web.json_response(request.app[STORE].shown(int(limit)))


async def _forget(request: web.Request) -> web.Response:
    request.app[STORE].clear()
    return web.Response(status=204)
