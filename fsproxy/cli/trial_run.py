"""Starts a trial on the admin port, follows it to its end, and ends it when the command is interrupted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fsproxy.cli.asking import ANSWER_SECONDS, NotReachedError, ask, client

if TYPE_CHECKING:
    import aiohttp

Found = dict[str, Any]
"""An answer of ``/api/try``."""
POLL_SECONDS = 1.0
PATIENCE = 10
"""So many questions in a row may stay without an answer."""
START_SECONDS = 90.0
"""A configuration of 100,000 rules takes seconds to compile, and every worker does it."""


class TrialRun:
    """One trial."""

    def __init__(self, url: str, token: str | None, on_news: Callable[[Found], None] | None = None) -> None:
        """``url`` is the admin port's; ``on_news`` is called with each answer while the trial runs."""
        self._url = url
        self._token = token
        self._on_news = on_news or (lambda _: None)

    async def run(self, candidate: Mapping[str, Any]) -> Found:
        """Return what was found in the end. Raise NotReachedError."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        if task is not None:
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
        async with client(self._url, self._token) as http:
            starting = loop.create_task(self._ask(http, "POST", candidate, START_SECONDS))
            try:
                return await self._follow(http, await asyncio.shield(starting))
            except asyncio.CancelledError:
                # Interrupted: what was found until now is the answer. One that has not begun must not be another's.
                if task is not None:
                    task.uncancel()
                await starting
                return await self._ask(http, "DELETE")
            finally:
                loop.remove_signal_handler(signal.SIGTERM)

    async def _follow(self, http: aiohttp.ClientSession, found: Found) -> Found:
        since, unanswered = found["since"], 0
        while found["state"] == "running":
            self._on_news(found)
            await asyncio.sleep(min(POLL_SECONDS, found["left"] or POLL_SECONDS))
            try:
                news = await self._ask(http, "GET")
            except NotReachedError as error:
                unanswered += 1
                if unanswered >= PATIENCE:
                    pages = f"until then {found['changed']} of {found['pages']} pages would have changed"
                    raise NotReachedError(f"{error}; {pages}") from None
                continue
            if news["since"] != since:
                raise NotReachedError("the proxy was started anew, or tries another configuration by now")
            found, unanswered = news, 0
        return found

    async def _ask(
        self, http: aiohttp.ClientSession, method: str, body: Any = None, seconds: float = ANSWER_SECONDS
    ) -> Found:
        answer = await ask(http, self._url, method, "/api/try", body, seconds)
        if "state" not in answer:
            raise NotReachedError(f"{self._url} answers 200: it is no admin port of a fsproxy that knows /api/try")
        return answer
