"""What reached the upstream, held against what was sent: each request is known by its id."""

from __future__ import annotations

import gzip
from collections import OrderedDict
from dataclasses import dataclass, field

from aiohttp import web

from support.uploads import Upload
from support.upstream import Received, RecordingUpstream

REMEMBERED = 20_000
"""Requests that were answered: a late copy of one of them is still compared."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that is on its way."""

    method: str
    target: str
    upload: Upload


@dataclass
class Arrivals:
    """``expect`` a request before it is sent, ``settle`` it once it was answered; ``faults`` should stay empty."""

    cleaned: bool = True
    """What is invalid is to be cut; False: everything goes on as it was sent."""
    faults: list[str] = field(default_factory=list)
    """What was lost, altered, or came though it must not."""
    settled: int = 0
    """Requests that were answered, or not to be."""
    forwarded: int = 0
    """Requests that reached the upstream."""
    left: dict[str, Sent] = field(default_factory=dict)
    """Requests whose client left right after the last byte, and that have not reached the upstream (yet)."""
    _open: dict[str, Sent] = field(default_factory=dict)
    _came: dict[str, int] = field(default_factory=dict)
    _past: OrderedDict[str, Sent] = field(default_factory=OrderedDict)

    def expect(self, request_id: str, method: str, target: str, upload: Upload) -> None:
        """A request goes out."""
        self._open[request_id] = Sent(method, target, upload)

    def settle(self, request_id: str, *, forwarded: bool | None) -> None:
        """It was answered. ``forwarded``: whether the answer says that the upstream has it; None: it says nothing."""
        sent = self._past[request_id] = self._open.pop(request_id)
        if len(self._past) > REMEMBERED:
            self._past.popitem(last=False)
        count = self._came.pop(request_id, 0)
        self.settled += 1
        path = sent.target.partition("?")[0]
        if forwarded is True and count == 0:
            self.faults.append(f"{path} {request_id} was answered as delivered and is not at the upstream")
        if forwarded is False and count:
            self.faults.append(f"{path} {request_id} was refused and is at the upstream")

    def leave(self, request_id: str) -> None:
        """Its client left after the last byte: no answer will say what became of it."""
        sent = self._open.pop(request_id)
        if self._came.pop(request_id, 0):
            self._past[request_id] = sent
        else:
            self.left[request_id] = sent

    def attach(self, upstream: RecordingUpstream) -> None:
        """Look at each of its requests, keep none of them, and answer as ever."""

        async def look(request: web.BaseRequest, received: Received) -> web.StreamResponse:
            upstream.received.clear()
            self.saw(received)
            return await upstream.usual(request, received)

        upstream.answer = look

    def saw(self, received: Received) -> None:
        """A request reached the upstream, whole."""
        request_id = received.value("X-Request-Id") or ""
        if request_id in self.left:
            self._past[request_id] = self.left.pop(request_id)
        sent = self._open.get(request_id) or self._past.get(request_id)
        if sent is None:
            self.faults.append(f"{received.path} {request_id}: nobody sent it")
            return
        self.forwarded += 1
        if request_id in self._open:
            self._came[request_id] = self._came.get(request_id, 0) + 1
        difference = _difference(sent, received, cleaned=self.cleaned)
        if difference is not None:
            self.faults.append(f"{received.path} {request_id}: {difference}")


def _difference(sent: Sent, received: Received, *, cleaned: bool) -> str | None:
    if (received.method, received.target) != (sent.method, sent.target):
        return "its method or target was altered"
    upload = sent.upload
    if upload.cleaned is None or not cleaned:
        return None if received.body == upload.body else f"its body was altered: {upload.body!r} {received.body!r}"
    if received.body == upload.body:
        return "what is invalid in it was not cut"
    left = gzip.decompress(received.body) if upload.zipped else received.body
    return None if left == upload.cleaned else f"it was cleaned wrongly: {upload.cleaned!r} {left!r}"
