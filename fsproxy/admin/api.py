"""The JSON API of the admin port: what happened, why, how much is used, what is in force. See ``openapi.json``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from importlib.resources import files
from typing import Any, Protocol

import msgspec
from aiohttp import web

from fsproxy.telemetry.ring import MOST_MINUTES

JSON = "application/json"
"""What is posted must say it is this: a page of another site cannot send this type without a preflight, which
nobody answers, so there is no CSRF."""
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
MOST_ASKED = 500
"""Decisions of one answer."""
MOST_STREAMS = 20
TICK_SECONDS = 1.0
WRITE_SECONDS = 5.0
"""A stream's reader that takes longer to make room is gone."""
_encode = msgspec.json.Encoder().encode


class UnansweredError(Exception):
    """Nobody is there who could tell; the text says so."""


Seen = Mapping[int, int]
"""Up to which number decisions were told, by process."""


class AdminBackend(Protocol):
    """What the API tells: of one process (``alone``), or of several workers as of one (``together``).

    All are answers as ``openapi.json`` describes them, and may raise Unanswered.
    """

    async def decisions(self, query: Mapping[str, str], limit: int) -> dict[str, Any]:
        """The last requests that ``query`` asks for, newest first."""
        ...

    async def explain(self, question: bytes) -> dict[str, Any]:
        """What would be decided about a session. Raises ValueError with a text to be told."""
        ...

    async def rejections(self) -> dict[str, Any]:
        """Calls and properties that were rejected within 24 hours."""
        ...

    async def usage(self) -> dict[str, Any]:
        """How much of their quotas and limits the orgs have used."""
        ...

    async def config(self) -> dict[str, Any]:
        """What is in force, and what became of the last reload."""
        ...

    async def shadow(self) -> dict[str, Any]:
        """What shadow rules would have blocked within 24 hours."""
        ...

    async def traffic(self, minutes: int) -> dict[str, Any]:
        """How requests ended, by minute."""
        ...

    async def tick(self, seen: Seen | None) -> tuple[dict[str, Any], Seen]:
        """An event: what is new since then, and what is seen with it. None: it is the stream's first."""
        ...


class Api:
    """The handlers, and the streams that are open."""

    def __init__(self, teller: AdminBackend, tick: float = TICK_SECONDS) -> None:
        """``tick``: seconds between two events of a stream."""
        self._teller = teller
        self._tick = tick
        self._streams = 0
        self._stopping = asyncio.Event()
        self._openapi = files("fsproxy.admin").joinpath("openapi.json").read_bytes()

    def add_to(self, app: web.Application) -> None:
        """Add the routes. The streams end when the application shuts down."""
        app.add_routes(
            [
                web.get("/api/decisions", self.decisions),
                web.post("/api/explain", self.explain),
                web.get("/api/rejections", self.rejections),
                web.get("/api/usage", self.usage),
                web.get("/api/config", self.config),
                web.get("/api/shadow", self.shadow),
                web.get("/api/traffic", self.traffic),
                web.get("/api/events", self.events, allow_head=False),
                web.get("/openapi.json", self.openapi),
            ]
        )
        app.on_shutdown.append(self._stop)

    async def _stop(self, _: web.Application) -> None:
        self._stopping.set()

    async def openapi(self, _: web.Request) -> web.Response:
        """Describe this API."""
        return web.Response(body=self._openapi, content_type=JSON, headers=NO_STORE)

    async def decisions(self, request: web.Request) -> web.Response:
        """The last requests, newest first."""
        limit = _number(request.query, "limit", 100, MOST_ASKED)
        if limit is None:
            return error(400, f"limit is a number from 1 to {MOST_ASKED}")
        return await _told(self._teller.decisions(request.query, limit))

    async def explain(self, request: web.Request) -> web.Response:
        """What would be decided about a session, filter by filter."""
        if request.content_type != JSON:
            return error(400, "send a JSON object as application/json")
        try:
            return await _told(self._teller.explain(await request.read()))
        except ValueError as fault:
            return error(400, str(fault))

    async def rejections(self, _: web.Request) -> web.Response:
        """Calls and properties that were rejected within 24 hours."""
        return await _told(self._teller.rejections())

    async def usage(self, _: web.Request) -> web.Response:
        """Quotas and limits on names."""
        return await _told(self._teller.usage())

    async def config(self, _: web.Request) -> web.Response:
        """What is in force, and what became of the last reload."""
        return await _told(self._teller.config())

    async def shadow(self, _: web.Request) -> web.Response:
        """What shadow rules would have blocked within 24 hours."""
        return await _told(self._teller.shadow())

    async def traffic(self, request: web.Request) -> web.Response:
        """How requests ended, by minute."""
        minutes = _number(request.query, "minutes", 60, MOST_MINUTES)
        if minutes is None:
            return error(400, f"minutes is a number from 1 to {MOST_MINUTES}")
        return await _told(self._teller.traffic(minutes))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """A server-sent event each second: what is new."""
        if self._streams >= MOST_STREAMS:
            return error(503, f"there are {MOST_STREAMS} streams already")
        response = web.StreamResponse(headers={**NO_STORE, "Content-Type": "text/event-stream"})
        self._streams += 1
        try:
            await response.prepare(request)
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self._stream(response)
        finally:
            self._streams -= 1
        return response

    async def _stream(self, response: web.StreamResponse) -> None:
        seen: Seen | None = None
        while not self._stopping.is_set():
            event, seen = await self._teller.tick(seen)
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(b"data: %b\n\n" % _encode(event))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._tick)


async def _told(telling: Awaitable[dict[str, Any]]) -> web.Response:
    try:
        return answer(await telling)
    except UnansweredError as silence:
        return error(503, str(silence))


def answer(document: object, status: int = 200) -> web.Response:
    """An answer in JSON that nobody keeps."""
    return web.Response(body=_encode(document), status=status, content_type=JSON, headers=NO_STORE)


def error(status: int, text: str, **more: object) -> web.Response:
    """An answer that says what is wrong."""
    return answer({"error": text, **more}, status)


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int | None:
    """A whole number from 1 to ``most``, or None."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    number = int(text)
    return number if 1 <= number <= most else None
