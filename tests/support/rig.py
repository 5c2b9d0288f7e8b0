"""A running proxy, a recording upstream and a recorder that sends to it, with every request known by its id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp

from support.proxy import POLL, SERVE, RunningProxy, running_proxy
from support.upstream import Received, RecordingUpstream

ORIGIN = "https://app.example.com"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
VISITOR = "198.51.100.77"
"""An address of nobody's, said to the proxy as a load balancer would."""
_ids = count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request_id: str

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


def page(**fields: Any) -> dict[str, Any]:
    """A page request's body as a recorder of 2026 sends it; a field that is None is left out."""
    body = {
        "OrgId": "o-TEST-na1",
        "UserId": "",
        "SessionId": str(uuid4()),
        "PageId": str(uuid4()),
        "Url": f"{ORIGIN}/cart?coupon=1",
        "Base": f"{ORIGIN}/",
        "Width": 1280,
        "Height": 720,
        "ScreenWidth": 1280,
        "ScreenHeight": 720,
        "SnippetVersion": "2.0.0",
        "Referrer": "",
        "Preroll": 100,
        "Doctype": "<!DOCTYPE html>",
        "CompiledVersion": "b2b925afffab724d5307264a49f4b4edb03f7cb1",
        "CompiledTimestamp": 1_770_727_426,
        "TabId": "45dfb642510db8",
        "SessionKeyHash": "",
        "PageKeyHash": "",
    }
    return {name: value for name, value in {**body, **fields}.items() if value is not None}


BUNDLE = b'{"Seq":1,"When":0,"Evts":[{"Kind":25,"Args":["a"],"When":0}]}'


@dataclass
class Rig:
    """A recorder's view of a proxy, and a look behind it."""

    proxy: RunningProxy
    upstream: RecordingUpstream
    http: aiohttp.ClientSession
    sent: list[str] = field(default_factory=list)
    """The ids of all requests that were sent with ``send``, in order."""

    async def page(self, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
        """Sends a page request with these fields in its body."""
        return await self.send("/rec/page", json.dumps(page(**fields)).encode(), headers)

    async def bundle(
        self, headers: Mapping[str, str] | None = None, path: str = "/rec/bundle/v2", body: bytes = BUNDLE, **query: str
    ) -> Answer:
        """Sends a bundle with these parameters in its query."""
        return await self.send(self.target(path, **query), body, headers)

    def target(self, path: str, **query: str) -> str:
        """A path with the query that recorders send."""
        whole = {"OrgId": "o-TEST-na1", "UserId": "u-1", "SessionId": "s-1", "PageId": "p-1", "Seq": "1", **query}
        return f"{path}?{urlencode(whole)}"

    async def send(
        self, target: str, body: bytes, headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> Answer:
        """Sends a request as a browser does, through a trusted load balancer that gives it an id."""
        whole = self.headers(headers)
        async with self.http.request(method, self.proxy.url + target, data=body, headers=whole) as response:
            return Answer(response.status, response.headers, await response.read(), whole["X-Request-Id"])

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """A browser's and a load balancer's headers; a value "" leaves one out. The id is remembered as sent."""
        whole = {
            "Origin": ORIGIN,
            "Content-Type": "text/plain",
            "User-Agent": AGENT,
            "X-Forwarded-For": VISITOR,
            "X-Request-Id": f"request-{next(_ids)}",
            **(more or {}),
        }
        self.sent.append(whole["X-Request-Id"])
        return {name: value for name, value in whole.items() if value}

    async def line(self, answer: Answer | str) -> dict[str, Any]:
        """The one audit line of a request; fails the test when there is none in time, or more than one."""
        wanted = answer if isinstance(answer, str) else answer.request_id
        try:
            async with asyncio.timeout(120):
                while not (lines := self.lines(wanted)):
                    await asyncio.sleep(POLL)
        except TimeoutError:
            raise AssertionError(f"no audit line: {self.proxy.log_text()}") from None
        assert len(lines) == 1, lines
        return lines[0]

    def lines(self, request_id: str) -> list[dict[str, Any]]:
        """The audit lines of a request so far."""
        return [each for each in self.proxy.audit_lines() if each["http.request.id"] == request_id]

    def forwarded(self, answer: Answer | str) -> list[Received]:
        """What reached the upstream of a request."""
        wanted = answer if isinstance(answer, str) else answer.request_id
        return [each for each in self.upstream.received if each.value("X-Request-Id") == wanted]

    async def admin(self, path: str, method: str = "GET", data: bytes | None = None, **headers: str) -> tuple[int, str]:
        """Status and body of a request to the admin port; ``_`` in a header's name stands for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, self.proxy.admin_url + path, data=data, headers=named) as response:
            return response.status, await response.text()

    async def set_mode(self, mode: str, **more: str) -> None:
        """The kill switch, and that it is in force."""
        wanted = {"mode": mode, **more}
        status, text = await self.admin("/mode", "POST", json.dumps(wanted).encode(), **JSON)
        assert (status, json.loads(text)) == (200, wanted)
        async with asyncio.timeout(120):
            while json.loads((await self.admin("/mode"))[1]) != wanted:
                await asyncio.sleep(POLL)

    async def counted(self, name: str, **labels: str) -> float:
        """A counter's or gauge's value on /metrics; 0.0 when it is not there."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for text in (await self.admin("/metrics"))[1].splitlines():
            series, _, value = text.rpartition(" ")
            family, _, rest = series.partition("{")
            if family == name and set(filter(None, rest.rstrip("}").split(","))) == wanted:
                return float(value)
        return 0.0


JSON = {"Content_Type": "application/json"}


@asynccontextmanager
async def running_rig(
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    *,
    files: Mapping[str, str] | None = None,
    command: Sequence[str] = SERVE,
) -> AsyncIterator[Rig]:
    """A proxy with this configuration in front of a recording upstream of its own."""
    async with (
        RecordingUpstream() as upstream,
        aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        given = dict(config or {})
        whole = {**given, "upstream": {"page_retry": "1ms", **given.get("upstream", {}), "url": upstream.url}}
        async with running_proxy(whole, env, files=files, command=command) as proxy:
            yield Rig(proxy, upstream, http)
