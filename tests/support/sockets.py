"""A recorder's socket: aiohttp's client, the data plane, and an upstream that answers frames and keeps them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from fsproxy.clock import now
from fsproxy.config.loader import load_text
from fsproxy.core.limits.operations import Admit, Admitted, QuotaTerms
from fsproxy.demo.answers import Sessions
from fsproxy.demo.socket import frame_answer
from fsproxy.proxy.generation import Generation
from support.ledgers import at_once
from support.socket_proxy import InnerProxy, inner_proxy
from support.upstream import NOW_MS, Received, RecordingUpstream

ORG = "o-TEST-na1"


def page_frame(seq: int = 1, **fields: object) -> str:
    page = {"OrgId": ORG, "UserId": "", "Url": "https://www.example.com/a", "PageId": "page-1", **fields}
    return json.dumps({"Cmd": 1, "Page": page, "Seq": seq}, separators=(",", ":"))


def bundle_frame(*events: Mapping[str, Any], seq: int = 2, cmd: int = 2, **ids: object) -> str:
    inner = {"Seq": 1, "When": 1, "Evts": list(events)}
    outer = {"Bundle": inner, "OrgId": ORG, "UserId": "u", "SessionId": "s", "PageId": "page-1", "Seq": 1, **ids}
    return json.dumps({"Cmd": cmd, "Bundle": outer, "Seq": seq}, separators=(",", ":"))


def event(name: str, properties: Mapping[str, Any], *, when: int = 5, schema: Mapping[str, str] | None = None) -> Any:
    """A custom event of the first generation, or with a schema of the second."""
    args: list[object] = [name, json.dumps(properties, separators=(",", ":"))]
    if schema is not None:
        args += [None, 1, json.dumps(schema, separators=(",", ":"))]
    return {"Kind": 8197, "Args": args, "When": when}


MOVE = {"Kind": 12, "Args": [1, 2], "When": 3}


@dataclass
class Backend:
    """Answers frames as a capture backend does, unless ``silent``; keeps what came."""

    silent: bool = False
    texts: list[str] = field(default_factory=list)
    binaries: list[bytes] = field(default_factory=list)
    sessions: Sessions = field(default_factory=Sessions)
    fail: Mapping[str, Any] | None = None
    protocols: list[str | None] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest, received: Received) -> web.StreamResponse:
        self.protocols.append(received.value("Sec-WebSocket-Extensions"))
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.binaries.append(message.data)
                await socket.send_bytes(message.data)
                continue
            self.texts.append(message.data)
            if self.silent:
                continue
            answer = frame_answer(message.data, self.sessions, NOW_MS)
            if self.fail is not None:
                answer = {"Cmd": 3, "Seq": answer["Seq"], "Fail": self.fail}
            await socket.send_str(json.dumps(answer))
        return socket


@dataclass
class Setting:
    proxy: InnerProxy
    backend: Backend
    upstream: RecordingUpstream
    client: aiohttp.ClientSession

    def connect(self, **options: Any) -> Any:
        return self.client.ws_connect(f"{self.proxy.url}/rec/sock?OrgId={ORG}", max_msg_size=0, **options)

    def reload(self, config: Mapping[str, Any]) -> None:
        """Go on with another configuration, as a reload does; the upstream stays unless it names another."""
        folder = self.proxy.audit_file.parent
        whole = {"upstream": {"url": self.upstream.url}, **config}
        loaded = load_text(json.dumps(whole), "test", {}, folder)
        self.proxy.data_plane.apply(Generation.compile(loaded, self.proxy.data_plane.generation.number + 1))

    def known(self, session: str) -> bool:
        """Whether the ledger takes the session for one under way (and if not, counts nothing)."""
        admit = Admit(ORG, "probe", session, "", ramped_out=True, quota=None)
        answers = at_once(self.proxy.data_plane.ledger, (admit,), now())
        assert isinstance(answers[0], Admitted)
        return answers[0].under_way

    def used(self) -> int:
        """Units of the quota that are taken."""
        policy = self.proxy.data_plane.generation.snapshot.policy(ORG)
        assert policy.quota is not None
        terms = policy.quota.terms(now())
        full = QuotaTerms(terms.cycle, 0, terms.ends, enforced=True)
        answers = at_once(self.proxy.data_plane.ledger, (Admit(ORG, "probe", "", "", False, full),), now())
        assert isinstance(answers[0], Admitted)
        return answers[0].used


@asynccontextmanager
async def setting(folder: Path, config: Mapping[str, Any] | None = None) -> AsyncIterator[Setting]:
    backend = Backend()
    async with RecordingUpstream() as upstream:
        upstream.on("GET", "/rec/sock", backend.answer)
        async with inner_proxy(config or {}, upstream.url, folder) as proxy, aiohttp.ClientSession() as client:
            yield Setting(proxy, backend, upstream, client)


async def say(socket: aiohttp.ClientWebSocketResponse, text: str) -> dict[str, Any]:
    await socket.send_str(text)
    return await hear(socket)


async def hear(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await socket.receive_str(timeout=120))
    return found
