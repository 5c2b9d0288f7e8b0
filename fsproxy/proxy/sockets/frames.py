"""Judges the frames of one socket, each by the rules of its time, and answers those that do not go up (wire.md 7)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from fsproxy.clock import monotonic_ns, now
from fsproxy.config.schema import SocketMode, TopMode
from fsproxy.core.failures import Failure
from fsproxy.core.model import Route
from fsproxy.core.wire.answers import problem
from fsproxy.core.wire.facts import BundleQuery
from fsproxy.core.wire.one_reading import UnclearError
from fsproxy.core.wire.page import read_page
from fsproxy.core.wire.sockets.answers import read_answer
from fsproxy.core.wire.sockets.frames import KEPT, Command, SocketFrame, fail_text, read_ends, read_frame
from fsproxy.core.wire.sockets.uploads import SocketUpload, read_upload
from fsproxy.proxy.sockets.answers import FrameAnswers
from fsproxy.proxy.sockets.tunnel import ON_LOOP
from fsproxy.proxy.sockets.verdict import FORWARD, Ending, Verdict
from fsproxy.proxy.sockets.waiting import FramesWaiting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.sockets.handler import SocketHandler
    from fsproxy.proxy.sockets.tunnel import FrameTunnel

    Reach = Callable[[FrameTunnel, float], Awaitable[Failure | None]]

_Found = TypeVar("_Found")
_Rest = TypeVarTuple("_Rest")


class FrameHandler:
    """See the module. Each frame that is judged gets a transaction, and a record, of its own.

    ``reach``: makes sure that a tunnel has an upstream, within so many seconds; returns why it has none.
    """

    def __init__(self, sockets: SocketHandler, flow: Flow, reach: Reach) -> None:
        self._sockets = sockets
        self._tx = flow
        self._reach = reach
        self._judged = 0
        self._answers = FrameAnswers(sockets)
        self._waiting = FramesWaiting(self._answers.settle)
        self._tunnel: FrameTunnel | None = None

    def begin(self, tunnel: FrameTunnel) -> None:
        """Judge what comes through this tunnel."""
        self._tunnel = tunnel
        self._answers.has_upstream = tunnel.has_upstream

    async def end(self) -> None:
        """After the tunnel's end: pages that were never answered have failed."""
        tunnel, self._tunnel = self._tunnel, None  # which holds this judge: a cycle
        if tunnel is not None:
            await tunnel.finished()
        self._waiting.forget(Failure.CLIENT_GONE)
        await self._answers.settled()

    # -- what the tunnel asks (frame_verdict.Judge)

    @property
    def waiting(self) -> bool:
        """See Judge."""
        return bool(self._waiting)

    async def judge(self, text: bytes) -> Verdict:
        """See Judge: a page, a bundle, calls, or something that is not ours to judge."""
        generation = self._sockets.generation()
        socket = generation.config.socket
        unjudged = generation.mode is TopMode.BYPASS or socket is SocketMode.TUNNEL
        if unjudged and self._answers.has_upstream:
            return FORWARD
        clear = True
        try:
            found = await _off(read_frame, text)
        except UnclearError:
            found, clear = read_ends(text[:KEPT], text[-KEPT:]), False
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
            self.survived(error)
            found = None
        if found is None:
            # Not ours to answer: without an upstream there is nothing to do but to close.
            return FORWARD if await self._connected(0.0) is None else Verdict(ending=Ending.NOW)
        child = self._child(len(text))
        if unjudged:
            return await self._go_up(child, found)
        if socket is SocketMode.REFUSE:
            return self._answers.fail(child, found, Failure.SOCKET_REFUSED)
        if not clear:
            return self._answers.fail(child, found, Failure.UNINSPECTABLE)
        if found.command is Command.PAGE:
            return await self._page(child, found, text)
        if self._sockets.draining:
            return self._answers.fail(child, found, Failure.DRAINING)
        return await self._upload(child, found, text)

    def too_large(self, start: bytes, end: bytes) -> Verdict:
        """See Judge."""
        return self._answers.fail(self._child(0), read_ends(start, end), Failure.BODY_TOO_LARGE)

    def unlawful(self) -> None:
        """See Judge."""
        self._tx.failure = Failure.BAD_REQUEST
        self._answers.count(Failure.BAD_REQUEST.value)

    def observe(self, text: bytes) -> None:
        """See Judge: the answer to a frame, perhaps."""
        found = read_answer(text)
        if found is None:
            return
        child = self._waiting.answered(found.seq)
        if child is not None:
            child.answer = found.page
            child.status = found.page.status
            child.bytes_out = len(text)
            self._answers.settle(child)

    def given_up(self) -> list[bytes]:
        """See Judge."""
        failure = Failure.DRAINING if self._sockets.draining else Failure.UPSTREAM_CUT
        raw = self._waiting.forget(failure)
        return [fail_text(seq, 502, problem(failure, 502)) for seq in raw]

    def survived(self, error: Exception) -> None:
        """See Judge."""
        self._sockets.survived(error)

    def broken(self, error: Exception) -> None:
        """See Judge."""
        self._tx.failure = Failure.INTERNAL
        self._answers.count(Failure.INTERNAL.value)
        self.survived(error)

    # -- within

    async def _connected(self, seconds: float) -> Failure | None:
        if self._answers.has_upstream or self._tunnel is None:
            return None
        failure = await self._reach(self._tunnel, seconds)
        self._answers.has_upstream = failure is None
        return failure

    def _child(self, size: int) -> Flow:
        self._judged += 1
        child = self._tx.child(self._sockets.generation(), self._judged, now(), monotonic_ns())
        child.bytes_in = size
        return child

    async def _page(self, child: Flow, found: SocketFrame, text: bytes) -> Verdict:
        if len(text) > child.generation.config.server.max_page:
            return self._answers.fail(child, found, Failure.BODY_TOO_LARGE)
        content = text[found.place[0] : found.place[1]]
        try:
            page = await _off(read_page, content)
            if page is None:
                return self._answers.fail(child, found, Failure.UNINSPECTABLE)
            await self._sockets.pages.judge(child, page)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
            self.survived(error)
        if child.decision.block is not None:
            return self._answers.block(child, found)
        return await self._go_up(child, found)

    async def _upload(self, child: Flow, found: SocketFrame, text: bytes) -> Verdict:
        verdict = FORWARD
        try:
            upload = await _off(read_upload, text, found.place)
            verdict = await self._judge_upload(child, found, text, upload)
        except UnclearError:
            return self._answers.fail(child, found, Failure.UNINSPECTABLE)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
            child.calls = None  # nothing is cut after all
            self.survived(error)
        if verdict.answer is not None:
            return verdict
        return await self._go_up(child, found, verdict)

    async def _judge_upload(self, child: Flow, found: SocketFrame, text: bytes, upload: SocketUpload | None) -> Verdict:
        capture = self._sockets.capture
        policy = capture.place(child, upload.ids if upload is not None else BundleQuery())
        if await capture.blocks(child, policy):
            return self._answers.block(child, found)
        verdict = FORWARD
        if policy.reads_calls:
            start, end = upload.place if upload is not None else (0, 0)
            child.form = Route.EVENT if found.command is Command.EVENT else Route.BUNDLE
            cleaned = await capture.clean(child, policy, text[start:end])
            if cleaned.blocked:
                return self._answers.block(child, found)
            if cleaned.refused:
                return self._answers.fail(child, found, Failure.UNINSPECTABLE)
            if cleaned.none_left is not None:
                child.rejected = True
                return self._answers.answer(child, found, cleaned.none_left.outcome.status or 400, cleaned.document)
            if cleaned.body is not None:
                verdict = Verdict(instead=text[:start] + cleaned.body + text[end:])
        await capture.mark(child)
        return verdict

    async def _go_up(self, child: Flow, found: SocketFrame, verdict: Verdict = FORWARD) -> Verdict:
        """Return the verdict once there is an upstream, or the answer that there is none."""
        is_page = found.command is Command.PAGE
        child.sent_ns = monotonic_ns()
        failure = await self._connected(child.generation.config.upstream.page_retry if is_page else 0.0)
        if failure is not None:
            return self._answers.fail(child, found, failure)
        if is_page:
            self._waiting.page(found, child)
        else:
            self._waiting.upload(found)
            self._sockets.recorder.record(child)
        return verdict


async def _off(read: Callable[[bytes, *_Rest], _Found], text: bytes, *rest: *_Rest) -> _Found:
    """Read, off the event loop where the text is large."""
    return read(text, *rest) if len(text) <= ON_LOOP else await asyncio.to_thread(read, text, *rest)
