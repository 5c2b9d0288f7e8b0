"""One question to the admin port of a running proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import aiohttp
import click

Question = tuple[str, Any]
"""A path, and what is posted there; None: it is only read."""
ANSWER_SECONDS = 10.0


class NotReachedError(Exception):
    """The admin port gives no answer, or refuses; ``answer`` is then what it says."""

    def __init__(self, text: str, answer: Any = None) -> None:
        super().__init__(text)
        self.answer = answer


def client(url: str, token: str | None) -> aiohttp.ClientSession:
    """Return a client of the admin port at this address."""
    return aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {token}"} if token else {})


async def ask(
    http: aiohttp.ClientSession, url: str, method: str, path: str, body: Any = None, seconds: float = ANSWER_SECONDS
) -> dict[str, Any]:
    """Return the object of an answer with status 200. Raise NotReachedError. ``url`` is the client's."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    data = BytesIO(json.dumps(body).encode()) if body is not None else None
    try:
        async with (
            asyncio.timeout(seconds),
            http.request(method, path, data=data, headers=headers, allow_redirects=False) as response,
        ):
            status = response.status
            answer: Any = None
            with contextlib.suppress(ValueError):
                answer = await response.json(content_type=None)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or "no answer"
        raise NotReachedError(f"the admin port {url} is not reached: {reason}") from None
    if status == 200 and isinstance(answer, dict):
        return answer
    if isinstance(answer, dict) and "error" in answer:
        raise NotReachedError(f"the proxy answers {status}: {answer['error']}", answer)
    raise NotReachedError(f"{url} answers {status}: it is no admin port of a fsproxy that knows {path}")


def answers(
    url: str, token: str | None, questions: Iterable[Question], seconds: float = ANSWER_SECONDS
) -> list[dict[str, Any]]:
    """Return the answers to questions that are asked one after the other. Raise ClickException at the first refusal."""

    async def asked() -> list[dict[str, Any]]:
        async with client(url, token) as http:
            return [
                await ask(http, url, "GET" if body is None else "POST", path, body, seconds) for path, body in questions
            ]

    try:
        return asyncio.run(asked())
    except NotReachedError as error:
        raise click.ClickException(str(error)) from None
