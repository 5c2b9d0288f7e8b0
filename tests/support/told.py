"""What a running program tells of a condition: in its log, in ``/readyz`` and in the admin API, in the same words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from support.proxy import POLL, RunningProxy

DEADLINE = 120.0


async def ask(proxy: RunningProxy, path: str) -> Any:
    """Return what the admin port answers."""
    async with aiohttp.ClientSession() as http, http.get(proxy.admin_url + path) as response:
        return await response.json()


def lines(proxy: RunningProxy, name: str, *, over: bool = False) -> list[dict[str, Any]]:
    """The lines of the log by which this condition has begun, or by which it is over."""
    every = [json.loads(line) for line in proxy.log_text().splitlines() if line.startswith("{")]
    named = [line for line in every if line.get("fsproxy.condition") == name]
    return [line for line in named if str(line["message"]).startswith("over: ") == over]


async def alert(proxy: RunningProxy, name: str) -> Mapping[str, Any] | None:
    """The alert of this condition; None: there is none."""
    alerts = (await ask(proxy, "/api/status"))["alerts"]
    return next((each for each in alerts if each["id"] == name), None)


async def begun(proxy: RunningProxy, name: str, level: str = "bad", times: int = 1) -> dict[str, Any]:
    """Wait until the condition has begun so often, see that all three say the same, and return the log's last line."""
    try:
        async with asyncio.timeout(DEADLINE):
            while len(found := lines(proxy, name)) < times or (told := await alert(proxy, name)) is None:
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise AssertionError(f"{name} has not begun: {proxy.log_text()}") from None
    assert len(found) == times, found
    line = found[-1]
    text = what(line["message"])
    assert (told["level"], what(told["text"]).casefold()) == (level, text.casefold()), (told, text)
    assert line["log.level"] == {"bad": "error", "warn": "warning", "info": "info"}[level]
    assert (text in await warned(proxy)) == (level != "info")
    return line


def what(text: object) -> str:
    """The text without the cause behind its colon, which may change while it lasts: a connection is reset, then refused."""
    return str(text).partition(": ")[0]


async def warned(proxy: RunningProxy) -> list[str]:
    """What ``/readyz`` warns of, without the causes."""
    return [what(each) for each in (await ask(proxy, "/readyz"))["warnings"]]


async def ended(proxy: RunningProxy, name: str, times: int = 1) -> dict[str, Any]:
    """Wait until the condition is over, see that nothing tells it any more, and return the log's last line."""
    try:
        async with asyncio.timeout(DEADLINE):
            while len(found := lines(proxy, name, over=True)) < times:
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise AssertionError(f"{name} is not over: {proxy.log_text()}") from None
    assert len(found) == times, found
    assert await alert(proxy, name) is None
    assert what(str(found[-1]["message"]).removeprefix("over: ")) not in await warned(proxy)
    return found[-1]
