"""The upstream of most tests: a real aiohttp server that records byte-exactly and knows what a backend knows."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from aiohttp import WSMsgType, web

from fsproxy.demo.answers import Sessions, bundle_answer, page_answer
from support.raw_upstream import abort

NOW_MS = 1_795_287_301_510
KNOWN = re.compile(
    r"POST /rec/(page|bundle|bundle/v2|event|except|beacon|queryResources|uploadResource)"
    r"|GET /rec/(sock|integrations)"
    r"|GET /(s|datalayer)/.*"
    r"|POST /client/(event|identify|setUserVars)"
    r"|POST /users/v1/individual/[^/]+/custom(vars|event)"
    r"|POST /v2/(events|users)(/batch)?"
)


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in: nothing decoded, decompressed, lower-cased or merged."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def path(self) -> str:
        """The target up to its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded; of a repeated name the last value."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def values(self, name: str) -> list[str]:
        """All values of one header, compared without case."""
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == wanted]

    def value(self, name: str) -> str | None:
        """The header's value, None without one; a header that came twice fails the test."""
        values = self.values(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


Answer = Callable[[web.BaseRequest, Received], Awaitable[web.StreamResponse]]


@dataclass
class RecordingUpstream:
    """``async with RecordingUpstream() as upstream``: a capture backend on port 0 of 127.0.0.1.

    It answers known routes as a real backend does, or as the test says with ``on`` and ``answer``. A request on
    any other route is answered 404 and fails the test when the block is left, unless ``allow_unexpected``.
    """

    answer: Answer | None = None
    """Answers every request, in place of the default."""
    allow_unexpected: bool = False
    port: int = 0
    received: list[Received] = field(default_factory=list)
    frames: list[str | bytes] = field(default_factory=list)
    """Messages that came over WebSockets; each is sent back as it came."""
    unexpected: list[Received] = field(default_factory=list)
    _peers: set[object] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._routes: dict[tuple[str, str], Answer] = {}
        self._sessions = Sessions()
        self._arrived = asyncio.Condition()
        self._open = asyncio.Event()
        self._open.set()
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections have carried a request so far."""
        return len(self._peers)

    def on(self, method: str, path: str, answer: Answer) -> None:
        """Answers one route (the path as it stands in the target, without query) by a function of the test's."""
        self._routes[method, path] = answer

    def hold(self) -> None:
        """Keeps every answer back, requests are read and recorded, until ``release``."""
        self._open.clear()

    def release(self) -> None:
        """Lets the held answers go."""
        self._open.set()

    async def arrived(self, count: int = 1, deadline: float = 120.0) -> list[Received]:
        """Waits until so many requests have been read whole; fails the test after ``deadline`` seconds."""
        async with asyncio.timeout(deadline), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
        return self.received

    def only(self) -> Received:
        """The one request there was; fails the test when there were more or fewer."""
        assert len(self.received) == 1, f"{len(self.received)} requests: {[one.target for one in self.received]}"
        return self.received[0]

    async def refuse(self) -> None:
        """Stops listening and closes every connection: the port refuses, until ``accept``."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def accept(self) -> None:
        """Listens (again), on the same port once there is one."""
        if self._runner is None:
            server = web.Server(self._handle, auto_decompress=False)
            self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await self._runner.setup()
            site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
            await site.start()
            self.port = self._runner.addresses[0][1]

    async def __aenter__(self) -> Self:
        """Listens."""
        await self.accept()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stops, and fails the test on requests that it did not expect."""
        self.release()
        await self.refuse()
        if kind is None and not self.allow_unexpected:
            assert not self.unexpected, f"unknown routes were asked for: {self.unexpected}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            self._peers.add(request.transport.get_extra_info("peername"))
        received = Received(request.method, request.raw_path, tuple(request.raw_headers), await request.read())
        self.received.append(received)
        async with self._arrived:
            self._arrived.notify_all()
        await self._open.wait()
        answer = self._routes.get((received.method, received.path), self.answer)
        if answer is not None:
            return await answer(request, received)
        return await self.usual(request, received)

    async def usual(self, request: web.BaseRequest, received: Received) -> web.StreamResponse:
        """As a backend answers; for an ``answer`` of a test's that only looks."""
        if not KNOWN.fullmatch(f"{received.method} {received.path}"):
            self.unexpected.append(received)
            return web.Response(status=404)
        if received.path == "/rec/sock":
            return await self._echo(request)
        if received.path == "/rec/page":
            answer = page_answer(json.loads(received.body), self._sessions, NOW_MS)
        elif received.path in {"/rec/bundle", "/rec/bundle/v2", "/rec/event"}:
            answer = bundle_answer(NOW_MS)
        else:
            answer = {}
        response = web.json_response(answer)
        origin = received.value("Origin")
        if origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    async def _echo(self, request: web.BaseRequest) -> web.WebSocketResponse:
        echo = web.WebSocketResponse(max_msg_size=0)
        await echo.prepare(request)
        async for message in echo:
            self.frames.append(message.data)
            if message.type is WSMsgType.TEXT:
                await echo.send_str(message.data)
            else:
                await echo.send_bytes(message.data)
        return echo


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """An answer with a status, a body and headers (``content_type="..."`` is ``Content-Type``)."""

    async def answer(request: web.BaseRequest, received: Received) -> web.Response:
        return web.Response(status=code, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


async def reset(request: web.BaseRequest, received: Received) -> web.StreamResponse:
    """An answer that is none: the connection is reset after the request was read."""
    abort(request.transport)
    return web.Response()
