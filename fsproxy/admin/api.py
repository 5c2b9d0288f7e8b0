"""The JSON API of the admin port: what happened, why, how much is used, what is in force."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from fsproxy.admin.answers import MOST_DECISIONS, Decisions, Event, Explanation, Rejections, ShadowReport, Traffic
from fsproxy.admin.backend import AdminBackend, Seen, UnansweredError
from fsproxy.admin.openapi import EVENT_STREAM, INVALID, JSON, SILENT, Endpoint
from fsproxy.admin.question import Question
from fsproxy.admin.state_answers import ConfigReport, Error, UsageReport, about
from fsproxy.telemetry.ring import MOST_MINUTES

NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
MOST_STREAMS = 20
TICK_SECONDS = 1.0
WRITE_SECONDS = 5.0
"""A stream ends when its reader takes longer to make room."""
_encode = msgspec.json.Encoder().encode


class DecisionsQuery(msgspec.Struct):
    """Which requests are wanted: those that meet all conditions."""

    org: Annotated[str | UnsetType, about("The org, exactly.")] = UNSET
    code: Annotated[str | UnsetType, about("A reason code, or captured, blocked, rejected, failed, forwarded.")] = UNSET
    session: Annotated[str | UnsetType, about("The session, or how its id begins.")] = UNSET
    address: Annotated[
        str | UnsetType, about("The visitor's address; it is masked as audit.client_ip says, and then compared.")
    ] = UNSET
    q: Annotated[
        str | UnsetType,
        about("Part of the org, an id, the rule, the reason, the domain, the address or the user agent."),
    ] = UNSET
    limit: Annotated[int, Meta(ge=1, le=MOST_DECISIONS, description="At most so many.")] = 100


class TrafficQuery(msgspec.Struct):
    """Which minutes are wanted."""

    minutes: Annotated[int, Meta(ge=1, le=MOST_MINUTES, description="How many.")] = 60


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
        hold together. With workers above 1, of each worker; then they are ordered by the time of their lines.
        """
        limit = _number(request.query, "limit", DecisionsQuery().limit, MOST_DECISIONS)
        if limit is None:
            return error(400, f"limit is a number from 1 to {MOST_DECISIONS}")
        return await _answered(self._backend.decisions(request.query, limit))

    async def explain(self, request: web.Request) -> web.Response:
        """Return what would be decided about a new session, or about a request of the past, and why."""
        if request.content_type != JSON:
            return error(400, "send a JSON object as application/json")
        try:
            return await _answered(self._backend.explain(await request.read()))
        except ValueError as fault:
            return error(400, str(fault))

    async def rejections(self, _: web.Request) -> web.Response:
        """Return the calls and properties that were rejected within 24 hours."""
        return await _answered(self._backend.rejections())

    async def usage(self, _: web.Request) -> web.Response:
        """Return how much of their quotas and limits on names the orgs have used."""
        return await _answered(self._backend.usage())

    async def config(self, _: web.Request) -> web.Response:
        """Return the configuration in force, and what became of the last reload."""
        return await _answered(self._backend.config())

    async def shadow(self, _: web.Request) -> web.Response:
        """Return what shadow rules would have blocked within 24 hours."""
        return await _answered(self._backend.shadow())

    async def traffic(self, request: web.Request) -> web.Response:
        """Return how requests ended, by minute."""
        minutes = _number(request.query, "minutes", TrafficQuery().minutes, MOST_MINUTES)
        if minutes is None:
            return error(400, f"minutes is a number from 1 to {MOST_MINUTES}")
        return await _answered(self._backend.traffic(minutes))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream what is new, each second.

        Server-sent events without names; at most 20 streams.
        """
        if self._streams >= MOST_STREAMS:
            return error(503, f"there are {MOST_STREAMS} streams already")
        response = web.StreamResponse(headers={**NO_STORE, "Content-Type": EVENT_STREAM})
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
            event, seen = await self._backend.tick(seen)
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(b"data: %b\n\n" % _encode(event))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._tick)


async def _answered(asked: Awaitable[object]) -> web.Response:
    try:
        return answer(await asked)
    except UnansweredError as silence:
        return error(503, str(silence))


def answer(document: object, status: int = 200) -> web.Response:
    """Return an answer in JSON that no cache keeps."""
    return web.Response(body=_encode(document), status=status, content_type=JSON, headers=NO_STORE)


def error(status: int, text: str, **more: object) -> web.Response:
    """Return an answer that says what is wrong."""
    return answer({"error": text, **more}, status)


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int | None:
    """Return a whole number from 1 to ``most``; None when the text is none."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        return None
    number = int(text)
    return number if 1 <= number <= most else None


ENDPOINTS = (
    Endpoint("GET", "/api/decisions", Api.decisions, Decisions, query=DecisionsQuery, others=INVALID | SILENT),
    Endpoint("POST", "/api/explain", Api.explain, Explanation, body=Question, others=INVALID | SILENT),
    Endpoint("GET", "/api/rejections", Api.rejections, Rejections, others=SILENT),
    Endpoint("GET", "/api/usage", Api.usage, UsageReport, others=SILENT),
    Endpoint("GET", "/api/config", Api.config, ConfigReport, others=SILENT),
    Endpoint("GET", "/api/shadow", Api.shadow, ShadowReport, others=SILENT),
    Endpoint("GET", "/api/traffic", Api.traffic, Traffic, query=TrafficQuery, others=INVALID | SILENT),
    Endpoint("GET", "/api/events", Api.events, Event, EVENT_STREAM, others={503: ("Too many streams.", Error)}),
)
