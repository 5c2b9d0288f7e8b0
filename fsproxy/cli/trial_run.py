"""Starts a trial on the admin port, follows it to its end, and ends it when the command is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import aiohttp

Found = dict[str, Any]
"""An answer of ``/api/try``."""
POLL_SECONDS = 1.0
PATIENCE = 10
"""So many questions in a row may stay without an answer."""
ANSWER_SECONDS = 10.0
START_SECONDS = 90.0
"""A configuration of 100,000 rules takes seconds to compile, and every worker does it."""


class NotReachedError(Exception):
    """There is no trial, or none any more. ``faults`` are those of the configuration, as the proxy found them."""

    def __init__(self, text: str, faults: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(text)
        self.faults = faults


class TrialRun:
    """One trial."""

    def __init__(self, url: str, token: str | None, on_news: Callable[[Found], None] | None = None) -> None:
        """``url`` is the admin port's; ``on_news`` is called with each answer while the trial runs."""
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        self._on_news = on_news or (lambda _: None)

    async def run(self, candidate: Mapping[str, Any]) -> Found:
        """Return what was found in the end. Raise NotReachedError."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        if task is not None:
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
        async with aiohttp.ClientSession(self._url, headers=self._headers) as http:
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
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = BytesIO(json.dumps(body).encode()) if body is not None else None
        try:
            async with (
                asyncio.timeout(seconds),
                http.request(method, "/api/try", data=data, headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
                answer: Any = None
                with contextlib.suppress(ValueError):
                    answer = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or "no answer"
            raise NotReachedError(f"the admin port {self._url} is not reached: {reason}") from None
        if status == 200 and isinstance(answer, dict) and "state" in answer:
            return answer
        if isinstance(answer, dict) and "error" in answer:
            raise NotReachedError(f"the proxy answers {status}: {answer['error']}", answer.get("faults", ()))
        raise NotReachedError(f"{self._url} answers {status}: it is no admin port of a fsproxy that knows /api/try")
