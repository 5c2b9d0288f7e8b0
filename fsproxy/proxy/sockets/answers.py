"""Our own answers to the frames of a socket, and what is learned and recorded with them."""

from __future__ import annotations

import asyncio
from enum import Enum, auto, unique
from typing import TYPE_CHECKING

import msgspec

from fsproxy.core.failures import Failure
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wire.answers import block_body, problem
from fsproxy.core.wire.facts import page_facts
from fsproxy.core.wire.page import EMPTY_PAGE
from fsproxy.core.wire.sockets.frames import Command, SocketFrame, fail_text

if TYPE_CHECKING:
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.sockets.services import SocketServices


@unique
class Ending(Enum):
    """Whether the socket is closed after an answer of ours."""

    NOT = auto()
    SOON = auto()
    """Unless another message comes within the tunnel's grace."""
    NOW = auto()


class FrameVerdict(msgspec.Struct, frozen=True, gc=False):
    """What is to become of a client's message."""

    instead: bytes | None = None
    """The text to forward in its place."""
    answer: bytes | None = None
    """The text that the client gets. Nothing is forwarded then."""
    ending: Ending = Ending.NOT


FORWARD = FrameVerdict()
"""The message goes up as it came."""


class FrameAnswers:
    """Makes the answers of one socket, each a Fail frame. An answer ends its frame's flow, with a record."""

    def __init__(self, services: SocketServices) -> None:
        self._services = services
        self.has_upstream = False
        """Frames can go up. Without an upstream the socket is closed after an answer."""
        self._learning: set[asyncio.Task[None]] = set()

    async def finished(self) -> None:
        """Wait until everything is learned and recorded."""
        while self._learning:
            await asyncio.gather(*self._learning)

    def block(self, child: Flow, found: SocketFrame) -> FrameVerdict:
        """Answer a block as the 202 does over HTTP, without a user id: no recorder reads one from a socket."""
        if found.command is Command.BUNDLE:
            self._services.count_end("blocked")
        hit = child.decision.block
        code = hit.code if hit is not None else ReasonCode.UNSPECIFIED
        return self.answer(child, found, 202, block_body(code, child.cookie_domain))

    def fail(self, child: Flow, found: SocketFrame, failure: Failure) -> FrameVerdict:
        """Answer a failure, with the status that it has over HTTP on the route of the frame."""
        child.failure = failure
        status = 502 if failure.is_temporary else failure.status
        if found.command is Command.PAGE and child.facts is None:
            child.facts = page_facts(EMPTY_PAGE, child.headers, child.client)
        if found.command is Command.BUNDLE and status != 502:
            self._services.count_end(failure.value)
        if failure is Failure.SOCKET_REFUSED:
            return self.answer(child, found, status, block_body(ReasonCode.UNSPECIFIED, child.cookie_domain))
        return self.answer(child, found, status, problem(failure, status))

    def answer(self, child: Flow, found: SocketFrame, status: int, error: bytes) -> FrameVerdict:
        """Answer a frame. Without an upstream, or while the program stops, the socket is closed after it."""
        text = fail_text(found.raw_seq, status, error)
        child.status, child.bytes_out = status, len(text)
        is_page = found.command is Command.PAGE
        if is_page:
            self.finish_page(child)
        else:
            self._services.recorder.record(child)
        if self.has_upstream and not self._services.draining:
            return FrameVerdict(answer=text)
        return FrameVerdict(answer=text, ending=Ending.NOW if is_page and not self.has_upstream else Ending.SOON)

    def finish_page(self, child: Flow) -> None:
        """Learn from a page's answer, or from the lack of one, and record the page.

        The ledger may have to be waited for, and other frames must not wait with it: so this is a task of its own.
        """
        if child.failure not in {None, Failure.CLIENT_GONE}:
            self._services.count_end(child.failure.value)
        task = asyncio.get_running_loop().create_task(self._learn(child))
        self._learning.add(task)
        task.add_done_callback(self._learning.discard)

    async def _learn(self, child: Flow) -> None:
        try:
            await self._services.pages.learn(child)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost the socket
            self._services.note_fault(error)
        finally:
            self._services.recorder.record(child)
