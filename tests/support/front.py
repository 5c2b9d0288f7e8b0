"""A reverse proxy in front of fsproxy, with the faults that real ones have."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web

SOURCE = "127.9.9.9"
"""The address that fsproxy is connected from, which is not the one that clients have."""
_OWN = {"host", "transfer-encoding", "content-length", "connection", "x-forwarded-for", "expect"}


@dataclass(frozen=True)
class Front:
    """What a front does, and what it does wrongly."""

    target: str
    """Without a slash at its end."""
    forwarded: str = "append"
    """``append`` the client's address to X-Forwarded-For, ``pass`` the header on as it came, or ``strip`` it."""
    sockets: bool = True
    most_body: int = 1 << 30
    packs_answers: bool = False
    unpacks_bodies: bool = False
    removes: frozenset[str] = frozenset()
    """Names of answers' headers, in lower case."""
    adds: tuple[tuple[str, str], ...] = ()
    """Headers of answers."""
    refuses: bool = False
    """It answers everything itself."""

    def _headers(self, request: web.Request) -> list[tuple[str, str]]:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _OWN]
        chain = [] if self.forwarded == "strip" else request.headers.getall("X-Forwarded-For", [])
        if self.forwarded == "append":
            chain = [*chain, request.remote or ""]
        return [*headers, ("X-Forwarded-For", ", ".join(chain))] if chain else headers

    async def _socket(self, request: web.Request, http: aiohttp.ClientSession) -> web.StreamResponse:
        inner = web.WebSocketResponse()
        async with http.ws_connect(self.target + request.raw_path, origin=request.headers.get("Origin")) as outer:
            await inner.prepare(request)
            async for message in inner:
                await outer.send_str(message.data)
        return inner

    async def answer(self, request: web.Request, http: aiohttp.ClientSession) -> web.StreamResponse:
        """Answer one request."""
        if self.refuses:
            return web.Response(status=404, text="no such site")
        if "upgrade" in request.headers:
            return await self._socket(request, http) if self.sockets else web.Response(status=400)
        body = await request.read()
        if self.unpacks_bodies and body[:2] == b"\x1f\x8b":
            body = zlib.decompress(body, 31)
        async with http.request(
            request.method, self.target + request.raw_path, data=io.BytesIO(body), headers=self._headers(request)
        ) as response:
            data, kept = await response.read(), response.headers.copy()
        for name in [*_OWN, *self.removes]:
            kept.popall(name, None)
        if self.packs_answers:
            data = gzip.compress(data)
            kept["Content-Encoding"] = "gzip"
        for name, value in self.adds:
            kept.add(name, value)
        return web.Response(status=response.status, body=data, headers=kept)


@asynccontextmanager
async def running_front(front: Front) -> AsyncIterator[str]:
    """Listen on port 0 of 127.0.0.1. The address, without a slash at its end."""
    connector = aiohttp.TCPConnector(local_addr=(SOURCE, 0), force_close=True)
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type")
    ) as http:
        app = web.Application(client_max_size=front.most_body)

        async def handle(request: web.Request) -> web.StreamResponse:
            return await front.answer(request, http)

        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, auto_decompress=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
