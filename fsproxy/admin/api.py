"""The JSON API of the admin port: what happened, why, how much is used, what is in force."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from fsproxy.admin.answers import Decisions, Event, Explanation, Rejections, ShadowReport, Traffic
from fsproxy.admin.backend import AdminBackend, Seen, UnansweredError
from fsproxy.admin.openapi import EVENT_STREAM, INVALID, JSON, SILENT, Endpoint
from fsproxy.admin.queries import DecisionsQuery, PlanQuery, Q, TrafficQuery, read_query
from fsproxy.admin.question import Question
from fsproxy.admin.redactions import RedactionReport
from fsproxy.admin.state_answers import ConfigReport, Error, LearnedPlan, UsageReport
from fsproxy.admin.status_answers import OwnStatus

MAY_CHANGE = web.RequestKey("may_change", bool)
"""Whether the caller may change something. A request that lacks this key may."""
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
MOST_STREAMS = 20
TICK_SECONDS = 1.0
WRITE_SECONDS = 5.0
"""A stream ends when its reader takes longer to make room."""
_encode = msgspec.json.Encoder().encode


class Api:
    """The handlers, and the streams that are open."""

    def __init__(self, backend: AdminBackend, tick: float = TICK_SECONDS) -> None:
        """``tick``: seconds between two events of a stream."""
        self._backend = backend
        self._tick = tick
        self._streams = 0
        self._stopping = asyncio.Event()

    async def stop(self, _: web.Application) -> None:
        """End all streams."""
        self._stopping.set()

    async def decisions(self, request: web.Request) -> web.Response:
        """Return the last requests, newest first.

        Of the last 2,000 requests that were decided about and the last 500 that were only forwarded. All conditions
        hold together. With workers above 1, of each worker. They are ordered by the time at which they ended.
        """
        return await _asked(request, DecisionsQuery, self._backend.decisions)

    async def status(self, request: web.Request) -> web.Response:
        """Return how the program is, at a glance."""

        async def status() -> OwnStatus:
            return {**await self._backend.status(), "may_change": request.get(MAY_CHANGE, True)}

        return await answered(status())

    async def explain(self, request: web.Request) -> web.Response:
        """Return what would be decided about a new session, or about a request of the past, and why."""
        if request.content_type != JSON:
            return error(400, "send a JSON object as application/json")
        try:
            return await answered(self._backend.explain(await request.read()))
        except ValueError as fault:
            return error(400, str(fault))

    async def rejections(self, _: web.Request) -> web.Response:
        """Return the calls and properties that were rejected within 24 hours."""
        return await answered(self._backend.rejections())

    async def usage(self, _: web.Request) -> web.Response:
        """Return how much of their quotas and limits on names the orgs have used."""
        return await answered(self._backend.usage())

    async def plan(self, request: web.Request) -> web.Response:
        """Return a plan of names that has every name which is counted.

        All keys of a Redis store are walked through for it, unless an org is given.
        """
        return await _asked(request, PlanQuery, self._backend.plan)

    async def config(self, _: web.Request) -> web.Response:
        """Return the configuration in force, and what became of the last reload."""
        return await answered(self._backend.config())

    async def shadow(self, _: web.Request) -> web.Response:
        """Return what shadow rules would have blocked within 24 hours."""
        return await answered(self._backend.shadow())

    async def redactions(self, _: web.Request) -> web.Response:
        """Return how often each redaction rule was found within 24 hours."""
        return await answered(self._backend.redactions())

    async def traffic(self, request: web.Request) -> web.Response:
        """Return how requests ended, by minute."""
        return await _asked(request, TrafficQuery, self._backend.traffic)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream what is new, each second.

        Server-sent events without names; at most 20 streams.
        """
        if self._streams >= MOST_STREAMS:
            return error(503, f"there are {MOST_STREAMS} streams already")
        response = web.StreamResponse(headers={**NO_STORE, "Content-Type": EVENT_STREAM})
        self._streams += 1
        try:
            # Before the answer begins, so that it can be that there is none.
            first = await self._backend.tick(None)
            await response.prepare(request)
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self._stream(response, *first)
        finally:
            self._streams -= 1
        return response

    async def _stream(self, response: web.StreamResponse, event: Event, seen: Seen) -> None:
        while True:
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(b"data: %b\n\n" % _encode(event))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._tick)
            if self._stopping.is_set():
                return
            event, seen = await self._backend.tick(seen)


async def _asked(request: web.Request, kind: type[Q], ask: Callable[[Q], Awaitable[object]]) -> web.Response:
    try:
        return await answered(ask(read_query(kind, request.query)))
    except ValueError as fault:
        return error(400, str(fault))


async def answered(asked: Awaitable[object]) -> web.Response:
    """Return an answer of the backend's."""
    return answer(await asked)


@web.middleware
async def or_silence(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 503 with the reason where the backend has no answer: the program is starting, or no worker answers."""
    try:
        return await handler(request)
    except UnansweredError as silence:
        return error(503, str(silence))


def answer(document: object, status: int = 200) -> web.Response:
    """Return an answer in JSON that no cache keeps."""
    return web.Response(body=_encode(document), status=status, content_type=JSON, headers=NO_STORE)


def error(status: int, text: str, **more: object) -> web.Response:
    """Return an answer that says what is wrong."""
    return answer({"error": text, **more}, status)


ENDPOINTS = (
    Endpoint("GET", "/api/decisions", Api.decisions, Decisions, query=DecisionsQuery, others=INVALID | SILENT),
    Endpoint("GET", "/api/status", Api.status, OwnStatus, others=SILENT),
    Endpoint("POST", "/api/explain", Api.explain, Explanation, body=Question, others=INVALID | SILENT),
    Endpoint("GET", "/api/rejections", Api.rejections, Rejections, others=SILENT),
    Endpoint("GET", "/api/usage", Api.usage, UsageReport, others=SILENT),
    Endpoint("GET", "/api/plan", Api.plan, LearnedPlan, query=PlanQuery, others=INVALID | SILENT),
    Endpoint("GET", "/api/config", Api.config, ConfigReport, others=SILENT),
    Endpoint("GET", "/api/shadow", Api.shadow, ShadowReport, others=SILENT),
    Endpoint("GET", "/api/redactions", Api.redactions, RedactionReport, others=SILENT),
    Endpoint("GET", "/api/traffic", Api.traffic, Traffic, query=TrafficQuery, others=INVALID | SILENT),
    Endpoint("GET", "/api/events", Api.events, Event, EVENT_STREAM, others={503: ("Too many streams.", Error)}),
)
