"""The recorder's socket: its upgrade and its page frames are judged, calls in bundle frames cut (wire.md 6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from fsproxy.config.schema import TopMode
from fsproxy.core.answers import block_body, problem
from fsproxy.core.facts import page_facts
from fsproxy.core.failures import Failure
from fsproxy.core.page import EMPTY_PAGE, read_page
from fsproxy.core.socket_frames import (
    FORWARD,
    Command,
    Seq,
    SocketFrame,
    Verdict,
    bundle_ids,
    fail_text,
    page_answer,
    read_frame,
)
from fsproxy.shell.clock import monotonic_ns, now
from fsproxy.shell.forwarding import EXTENSIONS
from fsproxy.shell.frame_tunnel import ON_LOOP, FrameTunnel
from fsproxy.shell.tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsproxy.admin.metrics import Metrics
    from fsproxy.shell.capture import Capture
    from fsproxy.shell.connection import ClientConnection
    from fsproxy.shell.forwarding import Forwarding
    from fsproxy.shell.generation import Generation
    from fsproxy.shell.pages import Pages
    from fsproxy.shell.recorder import Recorder
    from fsproxy.shell.transaction import Transaction
    from fsproxy.shell.upstream_connection import UpstreamConnection

MOST_PENDING = 16
"""Page frames of one socket whose answers are waited for; of more, the first is taken for failed."""
log = structlog.get_logger("fsproxy")


class Sockets:
    """Answers upgrades on socket routes under ``socket: judge``."""

    def __init__(
        self,
        capture: Capture,
        pages: Pages,
        forwarding: Forwarding,
        recorder: Recorder,
        metrics: Metrics,
        generation: Callable[[], Generation],
    ) -> None:
        self.capture = capture
        self.pages = pages
        self.forwarding = forwarding
        self.recorder = recorder
        self.metrics = metrics
        self.generation = generation
        """The present one: each frame is judged by the rules of its time."""

    async def open(self, tx: Transaction) -> bool:
        """Judge the upgrade with the facts that are there, then every frame."""
        policy = self.capture.open(tx)
        if await self.capture.blocks(tx, policy):
            return self.forwarding.block(tx)
        frames = JudgedFrames(self, tx)
        try:
            return await self.forwarding.tunnel(tx, frames.tunnel)
        finally:
            await frames.end()


class JudgedFrames:
    """The frames of one socket. Each that is judged gets a transaction, and a record, of its own."""

    def __init__(self, sockets: Sockets, tx: Transaction) -> None:
        self._sockets = sockets
        self._tx = tx
        self._tunnel: FrameTunnel | None = None
        self._judged = 0
        self._pending: dict[Seq, Transaction] = {}
        self._learning: set[asyncio.Task[None]] = set()

    def tunnel(self, client: ClientConnection, upstream: UpstreamConnection, closed: asyncio.Future[None]) -> Tunnel:
        """Make the tunnel: one that passes bytes blindly, where the upstream has changed what frames look like."""
        if not self._readable():
            self._sockets.metrics.uninspectable[(self._tx.route.value,)] += 1
            self._tx.uninspectable = True
            return Tunnel(client, upstream, closed)
        self._tunnel = FrameTunnel(client, upstream, closed, self, self._tx.generation.config.server.max_body)
        return self._tunnel

    def _readable(self) -> bool:
        relay = self._tx.relay
        head = relay.head.headers if relay is not None and relay.head is not None else []
        said = {name.lower(): value.strip().lower() for name, value in head}
        return said.get(b"upgrade") == b"websocket" and not said.get(EXTENSIONS)

    async def end(self) -> None:
        """After the tunnel's end: pages that were never answered have failed."""
        tunnel, self._tunnel = self._tunnel, None  # which holds this judge: a cycle
        if tunnel is not None:
            await tunnel.finished()
        for child in self._pending.values():
            self._learn(child)
        self._pending.clear()
        while self._learning:
            await asyncio.gather(*self._learning)

    # -- what the tunnel asks (frame_tunnel.Judge)

    @property
    def listening(self) -> bool:
        """A page's answer is waited for."""
        return bool(self._pending)

    async def judge(self, text: bytes) -> Verdict:
        """A message of the client: a page, a bundle, or something that is not ours to judge."""
        generation = self._sockets.generation()
        if generation.mode is TopMode.BYPASS:
            return FORWARD
        found = read_frame(text) if len(text) <= ON_LOOP else await asyncio.to_thread(read_frame, text)
        if found is None or found.command not in {Command.PAGE, Command.BUNDLE}:
            return FORWARD
        self._judged += 1
        child = self._tx.child(generation, self._judged, now(), monotonic_ns())
        child.bytes_in = len(text)
        if found.command is Command.PAGE:
            return await self._page(child, found)
        return await self._bundle(child, found, text)

    def hear(self, text: bytes) -> None:
        """A message of the upstream: the answer to a page, perhaps."""
        found = read_frame(text)
        if found is None or found.command not in {Command.PAGE_ANSWER, Command.FAIL}:
            return
        child = self._pending.pop(found.seq, None)
        if child is not None:
            child.answer = page_answer(found)
            child.status = child.answer.status
            child.bytes_out = len(text)
            self._learn(child)

    def too_large(self) -> None:
        """The socket is closed with 1009."""
        self._tx.failure = Failure.BODY_TOO_LARGE
        self._sockets.metrics.recordings_ended[(Failure.BODY_TOO_LARGE.value,)] += 1

    def survived(self, error: Exception) -> None:
        """A fault of ours: the message goes on as it came, the session as if it were allowed."""
        self._sockets.metrics.own_failures[("socket",)] += 1
        log.error("a fault of ours on a socket was survived", exc_info=error)

    def broken(self, error: Exception) -> None:
        """The socket is closed by a fault of ours."""
        self._tx.failure = Failure.INTERNAL
        self._sockets.metrics.recordings_ended[(Failure.INTERNAL.value,)] += 1
        self.survived(error)

    # -- within

    async def _page(self, child: Transaction, found: SocketFrame) -> Verdict:
        error = None
        try:
            error = await self._judge_page(child, found)
        except Exception as fault:  # noqa: BLE001 - a fault of ours must not cost data
            self.survived(fault)
        if error is not None:
            self._sockets.recorder.record(child)
            return Verdict(answer=error)
        child.sent_ns = monotonic_ns()
        self._expect(found.seq, child)
        return FORWARD

    async def _judge_page(self, child: Transaction, found: SocketFrame) -> bytes | None:
        """The Fail frame that the client gets; None: the page goes on."""
        page = read_page(found.content)
        if page is None:
            child.facts = page_facts(EMPTY_PAGE, child.headers, child.client)
            return self._refused(child, found)
        await self._sockets.pages.judge(child, page)
        return _blocked(child, found) if child.decision.block is not None else None

    def _expect(self, seq: Seq, child: Transaction) -> None:
        """Wait for the page's answer. One that is never answered is let go at the socket's end."""
        replaced = self._pending.pop(seq, None)
        if replaced is None and len(self._pending) >= MOST_PENDING:
            replaced = self._pending.pop(next(iter(self._pending)))
        if replaced is not None:
            self._learn(replaced)
        self._pending[seq] = child

    def _learn(self, child: Transaction) -> None:
        task = asyncio.get_running_loop().create_task(self._learned(child))
        self._learning.add(task)
        task.add_done_callback(self._learning.discard)

    async def _learned(self, child: Transaction) -> None:
        try:
            await self._sockets.pages.learn(child)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost the socket
            self.survived(error)
        finally:
            self._sockets.recorder.record(child)

    async def _bundle(self, child: Transaction, found: SocketFrame, text: bytes) -> Verdict:
        try:
            return await self._judge_bundle(child, found, text)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
            self.survived(error)
            return FORWARD
        finally:
            self._sockets.recorder.record(child)

    async def _judge_bundle(self, child: Transaction, found: SocketFrame, text: bytes) -> Verdict:
        capture = self._sockets.capture
        policy = capture.place(child, bundle_ids(found.content))
        if await capture.blocks(child, policy):
            self._sockets.metrics.recordings_ended[("blocked",)] += 1
            return Verdict(answer=_blocked(child, found))
        verdict = FORWARD
        if policy.reads_calls:
            cleaned = await capture.clean(child, policy, text)
            if cleaned.blocked:
                self._sockets.metrics.recordings_ended[("blocked",)] += 1
                return Verdict(answer=_blocked(child, found))
            if cleaned.refused:
                return Verdict(answer=self._refused(child, found))
            verdict = Verdict(instead=cleaned.body)
        await capture.mark(child)
        return verdict

    def _refused(self, child: Transaction, found: SocketFrame) -> bytes:
        """The Fail frame for what cannot be read, as over HTTP."""
        failure = child.failure = Failure.UNINSPECTABLE
        status = child.status = failure.status_on(child.route)
        self._sockets.metrics.recordings_ended[(failure.value,)] += 1
        return fail_text(found.raw_seq, status, problem(failure, status))


def _blocked(child: Transaction, found: SocketFrame) -> bytes:
    """The Fail frame that says what the 202 says over HTTP."""
    child.status = 202
    code, domain, fresh = child.block_terms
    return fail_text(found.raw_seq, 202, block_body(code, domain, user_id=fresh))
