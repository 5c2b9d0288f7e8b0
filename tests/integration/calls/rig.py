"""One running proxy and its upstream, shared by many cases: each takes an org or a session of its own."""

from __future__ import annotations

import asyncio
import gzip
import io
import itertools
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from support.proxy import RunningProxy
from support.upstream import Received, RecordingUpstream

EVENT, VARIABLES, COMPANION, END = 8197, 8193, 98, 99
ORIGIN = "https://app.example.com"

_fresh = itertools.count(1)


def fresh(prefix: str) -> str:
    """An id that no other case uses."""
    return f"{prefix}-{next(_fresh)}-{uuid.uuid4().hex[:8]}"


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def first(name: str, properties: Mapping[str, Any] | str, when: float = 1000) -> dict[str, Any]:
    """A call of the first generation; ``name`` may be a scope."""
    text = properties if isinstance(properties, str) else compact(properties)
    return {"Kind": _kind(name), "Args": [name, text], "When": when}


def second(
    name: str, properties: Mapping[str, Any] | str, schema: Mapping[str, Any], version: int = 1, when: float = 1000
) -> dict[str, Any]:
    """A call of the second generation."""
    text = properties if isinstance(properties, str) else compact(properties)
    return {"Kind": _kind(name), "Args": [name, text, None, version, compact(schema)], "When": when}


def _kind(name: str) -> int:
    return VARIABLES if name in ("user", "page", "document") else EVENT


OPAQUE = b'{"Kind":25,"Args":["\\ud800",1e400,' + b"[" * 500 + b"]" * 500 + b',{"a":1,"a":2}],"When":0}'
"""An event that no strict reader takes: a lone surrogate, a number beyond a double, deep lists, a name twice."""


def companion(when: float = 1000) -> dict[str, Any]:
    return {"When": when, "Kind": COMPANION, "Args": ["api", "event", "dom", None, False]}


def bundle_of(*calls: Mapping[str, Any] | bytes, companions: bool = True, seq: int = 1) -> bytes:
    """A bundle as recorders write it: each call after its companion, something opaque before and after all."""
    events = [OPAQUE]
    for call in calls:
        if isinstance(call, bytes):
            events.append(call)
            continue
        if companions:
            events.append(compact(companion(call["When"])).encode())
        events.append(compact(call).encode())
    events += [OPAQUE, b'{"Kind":99,"Args":[],"When":500}']
    return b'{"Seq":%d,"When":0,"Evts":[%b]}' % (seq, b",".join(events))


def events_of(body: bytes) -> list[dict[str, Any]]:
    """The events of a bundle without what is opaque (which strict readers do not take)."""
    return [each for each in json.loads(body)["Evts"] if each["Kind"] != 25]


def calls_of(body: bytes) -> list[dict[str, Any]]:
    return [each for each in events_of(body) if each["Kind"] in {EVENT, VARIABLES}]


@dataclass(frozen=True)
class Exchange:
    """What came back, and what the upstream got, if anything."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    forwarded: Received | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[tuple[str, str | None]]:
        """Of a problem document: code and property of each error, in order."""
        return [(each["code"], each["property"]) for each in self.json["errors"]]

    @property
    def sent(self) -> bytes:
        """The body that the upstream got."""
        assert self.forwarded is not None, (self.status, self.body[:500])
        return self.forwarded.body


@dataclass
class Rig:
    """Talks to the proxy and looks at what arrives behind it."""

    proxy: RunningProxy
    upstream: RecordingUpstream
    client: aiohttp.ClientSession
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def post(self, target: str, body: bytes, headers: Mapping[str, str] | None = None) -> Exchange:
        seen = len(self.upstream.received)
        url = URL(f"{self.proxy.url}{target}", encoded=True)
        whole = {"Origin": ORIGIN, "Content-Type": "text/plain", **(headers or {})}
        async with self.client.post(url, data=io.BytesIO(body), headers=whole) as response:
            answer = await response.read()
        new = self.upstream.received[seen:]
        assert len(new) <= 1
        return Exchange(response.status, response.headers, answer, new[0] if new else None)

    async def upload(
        self,
        body: bytes,
        *,
        path: str = "/rec/bundle/v2",
        zipped: str = "",
        headers: Mapping[str, str] | None = None,
        **query: object,
    ) -> Exchange:
        """A bundle of a page, session and org that no other case uses, unless ``query`` names them.

        ``zipped`` "query" or "header" compresses it and says so there; what arrives is decompressed.
        """
        whole: dict[str, object] = {"OrgId": fresh("o"), "UserId": "u", "SessionId": fresh("s"), "PageId": fresh("p")}
        whole |= query
        sent, more = body, dict(headers or {})
        if zipped:
            sent = gzip.compress(body)
        if zipped == "query":
            whole["ContentEncoding"] = "gzip"
        elif zipped == "header":
            more["Content-Encoding"] = "gzip"
        text = "&".join(f"{name}={quote(str(value))}" for name, value in whole.items())
        got = await self.post(f"{path}?{text}", sent, more)
        if zipped and got.forwarded is not None:
            # What is not changed goes on still compressed as it came.
            plain = gzip.decompress(got.forwarded.body)
            assert plain != body or got.forwarded.body == sent
            forwarded = Received(got.forwarded.method, got.forwarded.target, got.forwarded.headers, plain)
            return Exchange(got.status, got.headers, got.body, forwarded)
        return got

    async def direct(self, call: str, body: object, **query: object) -> Exchange:
        """``/client/event`` and its like. ``body`` is made JSON unless it is bytes."""
        whole: dict[str, object] = {"OrgId": fresh("o"), "SessionId": fresh("s")} | query
        text = "&".join(f"{name}={quote(str(value))}" for name, value in whole.items())
        sent = body if isinstance(body, bytes) else compact(body).encode()
        return await self.post(f"/client/{call}?{text}", sent)

    async def server(self, path: str, body: object, credentials: str | None = None) -> Exchange:
        """The server-side API, with credentials that no other case uses unless given."""
        sent = body if isinstance(body, bytes) else compact(body).encode()
        return await self.post(path, sent, {"Authorization": credentials or f"Basic {fresh('k')}"})

    async def metrics(self) -> dict[str, float]:
        async with self.client.get(f"{self.proxy.admin_url}/metrics") as response:
            text = await response.text()
        pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    async def line_of(self, exchange: Exchange) -> dict[str, Any]:
        """The audit line of an exchange."""
        wanted = exchange.headers["X-Request-Id"]
        async with asyncio.timeout(120):
            while True:
                found = [line for line in self.proxy.audit_lines() if line["http.request.id"] == wanted]
                if found:
                    assert len(found) == 1
                    return found[0]
                await asyncio.sleep(0.02)


def members(call: Mapping[str, Any], place: int = 1) -> list[str]:
    """The names in a call's properties (1) or schema (4)."""
    return list(json.loads(call["Args"][place]))


def names(values: Sequence[str]) -> str:
    return ",".join(values)
