"""What we answer to the frames of a socket, and what is learned and recorded of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fsproxy.core.failures import Failure
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wire.answers import block_body, problem
from fsproxy.core.wire.facts import page_facts
from fsproxy.core.wire.page import EMPTY_PAGE
from fsproxy.core.wire.sockets.frames import Command, SocketFrame, fail_text
from fsproxy.proxy.sockets.verdict import Ending, Verdict

if TYPE_CHECKING:
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.sockets.handler import SocketHandler


class FrameAnswers:
    """Makes the answers of one socket, each a Fail frame. Each ends its frame's transaction, with a record."""

    def __init__(self, sockets: SocketHandler) -> None:
        self._sockets = sockets
        self.has_upstream = False
        """Frames can go up; without that the socket is closed after an answer."""
        self._settling: set[asyncio.Task[None]] = set()

    async def settled(self) -> None:
        """Wait until everything is learned and recorded."""
        while self._settling:
            await asyncio.gather(*self._settling)

    def block(self, child: Flow, found: SocketFrame) -> Verdict:
        """Say what the 202 says over HTTP; nobody reads a user id over a socket."""
        if found.command is Command.BUNDLE:
            self.count("blocked")
        code, domain, _ = child.block_terms
        return self.answer(child, found, 202, block_body(code, domain))

    def fail(self, child: Flow, found: SocketFrame, failure: Failure) -> Verdict:
        """Answer a failure, as over HTTP on the route of the frame."""
        child.failure = failure
        status = 502 if failure.is_temporary else failure.status
        if found.command is Command.PAGE and child.facts is None:
            child.facts = page_facts(EMPTY_PAGE, child.headers, child.client)
        if found.command is Command.BUNDLE and status != 502:
            self.count(failure.value)
        if failure is Failure.SOCKET_REFUSED:
            _, domain, _ = child.block_terms
            return self.answer(child, found, status, block_body(ReasonCode.UNSPECIFIED, domain))
        return self.answer(child, found, status, problem(failure, status))

    def answer(self, child: Flow, found: SocketFrame, status: int, error: bytes) -> Verdict:
        """Answer a frame. Without an upstream, or while we stop, the socket is closed after it."""
        text = fail_text(found.raw_seq, status, error)
        child.status, child.bytes_out = status, len(text)
        is_page = found.command is Command.PAGE
        if is_page:
            self.settle(child)
        else:
            self._sockets.recorder.record(child)
        if self.has_upstream and not self._sockets.draining:
            return Verdict(answer=text)
        return Verdict(answer=text, ending=Ending.NOW if is_page and not self.has_upstream else Ending.SOON)

    def settle(self, child: Flow) -> None:
        """Learn from a page's answer, or from that it has none, and record it."""
        if child.failure not in {None, Failure.CLIENT_GONE}:
            self.count(child.failure.value)
        task = asyncio.get_running_loop().create_task(self._settle(child))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self, child: Flow) -> None:
        try:
            await self._sockets.pages.learn(child)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost the socket
            self._sockets.survived(error)
        finally:
            self._sockets.recorder.record(child)

    def count(self, cause: str) -> None:
        """Count an answer that ends a recording."""
        self._sockets.metrics.recordings_ended[(cause,)] += 1
