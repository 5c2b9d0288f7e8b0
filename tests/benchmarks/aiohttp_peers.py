"""What one would write with aiohttp in an afternoon: the things to be faster than. Run as a script, by name and ports.

All of them get uvloop and no access log, so that they are compared at their best.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
import sys
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

BLOCKED = b'{"reason_code":10,"reason":"Opt Out Cookie","cookie_domain":"example.com"}'
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "content-length"}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*_(str|int|real|date|bool|strs|ints|reals|dates|bools)")
UPSTREAM: web.AppKey[str] = web.AppKey("upstream", str)
SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


async def bare(request: web.Request) -> web.Response:
    """Reads the body and answers a fixed 202."""
    await request.read()
    return web.Response(status=202, body=BLOCKED, content_type="application/json")


async def naive(request: web.Request) -> web.StreamResponse:
    """Sends on what came and gives back what is answered, with one shared session."""
    if request.headers.get("Upgrade") == "websocket":
        return await _tunnel(request)
    return await _forward(request, await request.read())


async def validating(request: web.Request) -> web.Response:
    """As ``naive``, after judging an event by the rules of the client API."""
    body = await request.read()
    rejected = _rejections(body)
    if rejected:
        return web.json_response({"errors": rejected}, status=400)
    return await _forward(request, body)


async def _forward(request: web.Request, body: bytes) -> web.Response:
    headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
    url = request.app[UPSTREAM] + request.path_qs
    async with request.app[SESSION].request(request.method, url, headers=headers, data=body) as answer:
        data = await answer.read()
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
        return web.Response(status=answer.status, body=data, headers=dict(kept))


async def _tunnel(request: web.Request) -> web.WebSocketResponse:
    down = web.WebSocketResponse(max_msg_size=0)
    await down.prepare(request)
    async with request.app[SESSION].ws_connect(request.app[UPSTREAM] + request.path_qs, max_msg_size=0) as up:
        pumps = [asyncio.ensure_future(_pump(down, up)), asyncio.ensure_future(_pump(up, down))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
    return down


async def _pump(source: Any, sink: Any) -> None:
    async for message in source:
        await sink.send_str(message.data)


def _rejections(body: bytes) -> list[str]:
    if len(body) > 512 * 1024:
        return ["TooBigToParse"]
    try:
        call = json.loads(body)
    except ValueError:
        return ["InvalidJson"]
    if not isinstance(call.get("name"), str) or not 1 <= len(call["name"]) <= 250:
        return ["InvalidEventName"]
    rejected: list[str] = []
    _judge("", call["properties"], rejected)
    return rejected


def _judge(path: str, properties: dict[str, Any], rejected: list[str]) -> None:
    for name, value in properties.items():
        full = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            _judge(full, value, rejected)
            continue
        match = NAME.fullmatch(name)
        if match is None:
            rejected.append("InvalidPropertyName")
        elif len(full) > 512:
            rejected.append("PropertyNameTooLong")
        elif not _fits(match[1], value):
            rejected.append("InvalidValue")
        elif len(json.dumps(value).encode()) > 8192:
            rejected.append("ValueTooBig")


def _fits(kind: str, value: Any) -> bool:
    if kind.endswith("s"):
        return isinstance(value, list) and all(_fits(kind[:-1], one) for one in value)
    if kind == "date":
        try:
            return dt.datetime.fromisoformat(value).tzinfo is not None
        except (TypeError, ValueError):
            return False
    types: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "real": (int, float), "bool": (bool,)}
    return isinstance(value, types[kind]) and (kind == "bool" or not isinstance(value, bool))


async def _session(app: web.Application) -> Any:
    connector = aiohttp.TCPConnector(limit=512)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        app[SESSION] = session
        yield


def main() -> None:
    """``aiohttp_peers.py NAME PORT UPSTREAM_PORT``."""
    name, port, upstream_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[UPSTREAM] = f"http://127.0.0.1:{upstream_port}"
    app.cleanup_ctx.append(_session)
    app.router.add_route("*", "/{path:.*}", {"bare": bare, "naive": naive, "validating": validating}[name])
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, handle_signals=True)


if __name__ == "__main__":
    main()
