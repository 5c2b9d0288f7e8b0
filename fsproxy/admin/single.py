"""What one process tells of itself to the admin API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Protocol

from aiohttp import web
from prometheus_client.core import Metric

from fsproxy.admin import views
from fsproxy.admin.api import Seen, answer, error
from fsproxy.config.schema import Config
from fsproxy.core.model import Instant
from fsproxy.telemetry.ring import Recent

MOST_TOLD = 50
"""Decisions that one event tells: the newest."""
SELF = 0
"""The one process, in what a stream has seen."""
TICK_PATH = "/api/tick"
"""What the supervisor asks a worker for each second; served on a worker's private port alone."""
STATE = ("mode", "generation", "warnings", "config", "upstream", "store")
"""What of ``/readyz`` an event tells."""


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

    async def explain(self, question: bytes) -> dict[str, Any]:
        """What would be decided about a session (see ``openapi.json``). Raises ValueError with a text to be told."""
        ...

    async def usage(self) -> dict[str, Any]:
        """How much of their quotas and limits the orgs have used."""
        ...

    async def refresh(self) -> None:
        """Find out anew what ``collect`` tells."""
        ...

    def collect(self) -> Iterable[Metric]:
        """How much is used, as gauges."""
        ...


class Alone:
    """``api.Teller`` of one process."""

    def __init__(self, insight: Insight) -> None:
        self._insight = insight

    async def decisions(self, query: Mapping[str, str], limit: int) -> dict[str, Any]:
        """See ``AdminBackend``."""
        recent = self._insight.recent
        wanted = views.wanted(self._insight.config, query)
        found = islice((each for each in recent.newest() if wanted(each.record)), limit)
        return {"decisions": [views.decision(each) for each in found], "number": recent.number}

    async def explain(self, question: bytes) -> dict[str, Any]:
        """See ``AdminBackend``."""
        return await self._insight.explain(question)

    async def rejections(self) -> dict[str, Any]:
        """See ``AdminBackend``."""
        return views.rejections(self._insight.recent, self._insight.now())

    async def usage(self) -> dict[str, Any]:
        """See ``AdminBackend``."""
        return await self._insight.usage()

    async def config(self) -> dict[str, Any]:
        """See ``AdminBackend``."""
        state = self._insight.state()
        effective = await asyncio.to_thread(views.effective, self._insight.config)
        told = {key: state.get(key) for key in ("mode", "generation", "warnings")}
        return {**told, "reload": state.get("config"), "config": effective}

    async def shadow(self) -> dict[str, Any]:
        """See ``AdminBackend``."""
        return views.shadow(self._insight.recent, self._insight.now())

    async def traffic(self, minutes: int) -> dict[str, Any]:
        """See ``AdminBackend``."""
        told = views.traffic(self._insight.recent, minutes, self._insight.now())
        return {"minutes": told, "reasons": views.REASONS}

    async def tick(self, seen: Seen | None) -> tuple[dict[str, Any], Seen]:
        """See ``AdminBackend``."""
        state, number = self._insight.state(), self._insight.recent.number
        news = self.news(seen[SELF] if seen is not None else number)
        return {key: state.get(key) for key in STATE} | news, {SELF: number}

    def news(self, seen: int) -> dict[str, Any]:
        """What happened since that decision, and in the last minutes."""
        recent, now = self._insight.recent, self._insight.now()
        return {
            "time": now,
            # The last one too: a request may have ended in it after the event before this.
            "minutes": views.traffic(recent, 2, now),
            "decisions": [views.decision(each) for each in recent.decisions_after(seen, MOST_TOLD)],
        }

    def add_private(self, app: web.Application) -> None:
        """Add what the supervisor asks for."""

        async def tick(request: web.Request) -> web.Response:
            seen = request.query.get("after", "")
            if not seen.isdecimal():
                return error(400, "after is a decision's number")
            return answer({**self.news(int(seen)), "number": self._insight.recent.number})

        app.router.add_get(TICK_PATH, tick, allow_head=False)
