"""Several workers as a test sees them: who they are, what they do to a session, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from support.proxy import RunningProxy, running_proxy
from support.valkey import ValkeyServer

POLL = 0.02
DEADLINE = 120.0


def shared(upstream_url: str, valkey: ValkeyServer, **more: Any) -> dict[str, Any]:
    """A configuration of two workers over a Valkey."""
    state = {"backend": "redis", "redis": {"url": valkey.url, "timeout": "10s"}}
    return {"upstream": {"url": upstream_url}, "workers": 2, "state": state, **more}


@asynccontextmanager
async def fresh_connections() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that opens a connection for each request, so that the kernel deals them out among the workers."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as http:
        yield http


async def visit(
    http: aiohttp.ClientSession, proxy: RunningProxy, session: str, headers: Mapping[str, str] | None = None
) -> int | None:
    """A new session's first page: the reason code it was blocked with, None when it was captured."""
    page = {"OrgId": "o-1", "UserId": "", "SessionId": session, "PageId": f"p-{session}", "Url": "https://example.com/"}
    async with http.post(f"{proxy.url}/rec/page", data=json.dumps(page), headers=headers) as response:
        assert response.status in {200, 202}
        code: int | None = (await response.json(content_type=None)).get("reason_code")
        return code


async def ready(http: aiohttp.ClientSession, proxy: RunningProxy) -> Mapping[str, Any]:
    """The body of ``/readyz``."""
    async with http.get(f"{proxy.admin_url}/readyz") as response:
        body: Mapping[str, Any] = await response.json()
        return body


async def pids(http: aiohttp.ClientSession, proxy: RunningProxy) -> dict[str, int]:
    """Of the workers that listen, by number."""
    workers = (await ready(http, proxy))["workers"]
    return {number: each["pid"] for number, each in workers.items() if each["state"] == "listening"}


async def counted(http: aiohttp.ClientSession, proxy: RunningProxy, sample: str) -> float:
    """A sample of ``/metrics`` by its whole name, labels and all; 0 when it is not there."""
    async with http.get(f"{proxy.admin_url}/metrics") as response:
        lines = [line.rpartition(" ") for line in (await response.text()).splitlines()]
    values = [float(value) for name, _, value in lines if name == sample]
    assert len(values) < 2, sample
    return values[0] if values else 0.0


async def replaced(http: aiohttp.ClientSession, proxy: RunningProxy, old: Mapping[str, int]) -> dict[str, int]:
    """Waits until all workers listen again and at least one of them is another process."""
    async with asyncio.timeout(DEADLINE):
        while len(now := await pids(http, proxy)) < len(old) or now == old:
            await asyncio.sleep(POLL)
    return now


def lives(pid: int) -> bool:
    """Whether there is such a process, a zombie not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


async def gone(*processes: int) -> None:
    """Waits for the end of processes that are not ours to wait for."""
    async with asyncio.timeout(DEADLINE):
        while any(map(lives, processes)):
            await asyncio.sleep(POLL)


def folders(within: Path) -> list[str]:
    """What is left of the supervisor's temporary folders."""
    return [path.name for path in within.glob("fsproxy-*")]


@asynccontextmanager
async def running_workers(config: Mapping[str, Any], temporary: Path) -> AsyncIterator[RunningProxy]:
    """A supervisor with its workers, whose temporary folder is made in ``temporary``."""
    async with running_proxy(config, {"TMPDIR": str(temporary)}) as proxy:
        yield proxy
