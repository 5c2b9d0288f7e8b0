"""The JSON API of the admin port: what happened, why, how much is used, what is in force. See ``openapi.json``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from importlib.resources import files
from itertools import islice
from typing import Any, Protocol

import msgspec
from aiohttp import web

from fsproxy.admin import views
from fsproxy.admin.ring import MOST_MINUTES, Recent
from fsproxy.config.schema import Config
from fsproxy.core.model import Instant

JSON = "application/json"
"""What is posted must say it is this: a page of another site cannot send this type without a preflight, which
nobody answers, so there is no CSRF."""
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
MOST_ASKED = 500
"""Decisions of one answer."""
MOST_STREAMS = 20
MOST_TOLD = 50
"""Decisions that one event tells: the newest."""
TICK_SECONDS = 1.0
WRITE_SECONDS = 5.0
"""A stream's reader that takes longer to make room is gone."""
_encode = msgspec.json.Encoder().encode


class Insight(Protocol):
    """What of the running program the API tells."""

    @property
    def recent(self) -> Recent:
        """What happened lately."""
        ...

    @property
    def config(self) -> Config:
        """What is in force."""
        ...

    def now(self) -> Instant:
        """The time."""
        ...

    def state(self) -> dict[str, Any]:
        """As in ``/readyz``: mode, generation, reload, upstream, store, warnings."""
        ...

    def explain(self, question: bytes) -> dict[str, Any]:
        """What would be decided about a session (see ``openapi.json``). Raises ValueError with a text to be told."""
        ...

    def usage(self) -> dict[str, Any]:
        """How much of their quotas and limits the orgs have used."""
        ...


class Api:
    """The handlers, and the streams that are open."""

    def __init__(self, insight: Insight, tick: float = TICK_SECONDS) -> None:
        """``tick``: seconds between two events of a stream."""
        self._insight = insight
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
        recent = self._insight.recent
        wanted = views.wanted(self._insight.config, request.query)
        found = islice((each for each in recent.newest() if wanted(each.record)), limit)
        return answer({"decisions": [views.decision(each) for each in found], "number": recent.number})

    async def explain(self, request: web.Request) -> web.Response:
        """What would be decided about a session, filter by filter."""
        if request.content_type != JSON:
            return error(400, "send a JSON object as application/json")
        try:
            return answer(self._insight.explain(await request.read()))
        except ValueError as fault:
            return error(400, str(fault))

    async def rejections(self, _: web.Request) -> web.Response:
        """Calls and properties that were rejected within 24 hours."""
        return answer(views.rejections(self._insight.recent, self._insight.now()))

    async def usage(self, _: web.Request) -> web.Response:
        """Quotas and limits on names."""
        return answer(self._insight.usage())

    async def config(self, _: web.Request) -> web.Response:
        """What is in force, and what became of the last reload."""
        state = self._insight.state()
        effective = await asyncio.to_thread(views.effective, self._insight.config)
        told = {key: state.get(key) for key in ("mode", "generation", "warnings")}
        return answer({**told, "reload": state.get("config"), "config": effective})

    async def shadow(self, _: web.Request) -> web.Response:
        """What shadow rules would have blocked within 24 hours."""
        return answer(views.shadow(self._insight.recent, self._insight.now()))

    async def traffic(self, request: web.Request) -> web.Response:
        """How requests ended, by minute."""
        minutes = _number(request.query, "minutes", 60, MOST_MINUTES)
        if minutes is None:
            return error(400, f"minutes is a number from 1 to {MOST_MINUTES}")
        told = views.traffic(self._insight.recent, minutes, self._insight.now())
        return answer({"minutes": told, "reasons": views.REASONS})

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
        number = self._insight.recent.number
        while not self._stopping.is_set():
            event, number = self._event(number)
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(b"data: %b\n\n" % _encode(event))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._tick)

    def _event(self, seen: int) -> tuple[dict[str, Any], int]:
        insight, recent = self._insight, self._insight.recent
        now, state = insight.now(), insight.state()
        told = {key: state.get(key) for key in ("mode", "generation", "warnings", "config", "upstream", "store")}
        told |= {
            "time": now,
            # The last one too: a request may have ended in it after the event before this.
            "minutes": views.traffic(recent, 2, now),
            "decisions": [views.decision(each) for each in recent.decisions_after(seen, MOST_TOLD)],
        }
        return told, recent.number


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
