"""Decides on the frames of one socket, each by the rules of its time, and answers those that do not go up (wire.md 7).

An example, a bundle of which one call is rejected: ``FrameTunnel`` has put the message together and asks ``decide``.
The frame is read (``core.wire.sockets``), and gets a flow of its own, a child of the upgrade's, so that it is counted
and recorded like a request. ``UploadHandler`` cuts the call out of the bundle inside the frame; the frame's other
bytes stay. The tunnel sends what is left up, and shows us each text that comes down: the answer with the frame's
``Seq`` ends the wait for it.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from fsproxy.clock import monotonic_ns, now
from fsproxy.config.schema import SocketMode
from fsproxy.core.failures import Failure
from fsproxy.core.model import Route
from fsproxy.core.wire.answers import problem
from fsproxy.core.wire.facts import NO_QUERY, BundleQuery
from fsproxy.core.wire.one_reading import UnclearError
from fsproxy.core.wire.page import EMPTY_PAGE, read_page
from fsproxy.core.wire.sockets.answers import read_answer
from fsproxy.core.wire.sockets.frames import Command, SocketFrame, fail_text, read_ends
from fsproxy.core.wire.sockets.uploads import read_upload
from fsproxy.proxy.flow import NOTHING
from fsproxy.proxy.inspecting import fails_closed
from fsproxy.proxy.off_loop import run
from fsproxy.proxy.sockets.answers import FORWARD, Ending, FrameAnswers, FrameVerdict
from fsproxy.proxy.sockets.reading import ON_LOOP, read_message, redacted_frame
from fsproxy.proxy.sockets.unanswered import UnansweredFrames

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fsproxy.core.model import SessionFacts
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.generation import Generation
    from fsproxy.proxy.sockets.services import SocketServices

    Reach = Callable[[float], Awaitable[Failure | None]]

_PAGE, _CALLS, _BUNDLE, _EVENT = Command.PAGE, Command.EVENT, Route.BUNDLE, Route.EVENT


class FrameHandler:
    """Decides on each message of one socket, and follows the answers of the upstream. Its tunnel asks it."""

    def __init__(self, services: SocketServices, flow: Flow) -> None:
        """``flow``: the upgrade's."""
        self._services = services
        self._flow = flow
        self._blank = flow.child()
        self._known: tuple[Generation, BundleQuery, SessionFacts | None, OrgPolicy] | None = None
        """The last upload's generation, ids, facts and policy."""
        self._reach: Reach | None = None
        self._count = 0
        self._answers = FrameAnswers(services)
        self.unanswered = UnansweredFrames(self._answers.finish_page)
        """While there are any, the texts that begin on their way down must be observed."""

    def begin(self, reach: Reach, *, has_upstream: bool) -> None:
        """Begin with a new tunnel.

        ``reach`` connects its upstream side, within so many seconds, and returns why it could not.
        """
        self._reach = reach
        self._answers.has_upstream = has_upstream

    async def end(self, last_work: Awaitable[None]) -> None:
        """Finish after the tunnel's end and its ``last_work``: pages without an answer have failed."""
        self._reach = None  # it holds the tunnel, which holds this handler: a cycle
        await last_work
        self.unanswered.fail_all(Failure.CLIENT_GONE)
        await self._answers.finished()

    # -- what the tunnel asks

    async def decide(self, text: bytes) -> FrameVerdict:
        """Decide on a whole message of the client: a page, a bundle, calls, or something else. Never raise.

        What is to be forwarded has an upstream when this returns.
        """
        generation = self._services.generation()
        socket, rules = generation.socket, generation.redaction
        passes = socket is SocketMode.TUNNEL
        if passes and rules is None and self._answers.has_upstream:
            return FORWARD
        found, clear = await read_message(text, rules, self.note_fault)
        if found is None:
            # No frame of a recorder, so no answer could be made: without an upstream the socket can only be closed.
            reached = self._answers.has_upstream or await self._connect(0.0) is None
            return FORWARD if reached else FrameVerdict(ending=Ending.NOW)
        child = self._child(generation, len(text))
        if (passes and rules is None) or (not clear and generation.forwards_unreadable):
            return await self._go_up(child, found)
        if socket is SocketMode.REFUSE:
            return self._answers.fail(child, found, Failure.SOCKET_REFUSED)
        if not clear:
            return self._answers.fail(child, found, Failure.UNINSPECTABLE)
        if passes:
            return await self._go_up_redacted(child, found, text)
        if found.command is not _PAGE and self._services.draining:
            return self._answers.fail(child, found, Failure.DRAINING)
        judged = self._page if found.command is _PAGE else self._upload
        if self._services.trial is not None:
            verdict: FrameVerdict = await self._services.trial(child, found, text, judged)
            return verdict
        return await judged(child, found, text)

    def refuse_too_large(self, start: bytes, end: bytes) -> FrameVerdict:
        """Answer a message that was too large to be kept, by its first and last bytes."""
        child = self._child(self._services.generation(), 0)
        return self._answers.fail(child, read_ends(start, end), Failure.BODY_TOO_LARGE)

    def note_breach(self) -> None:
        """Note that the client broke the protocol: its socket is closed."""
        self._note_end(Failure.BAD_REQUEST)

    def observe(self, text: bytes) -> None:
        """Look at a whole text of the upstream, which passes in any case: it may answer a frame."""
        found = read_answer(text)
        if found is None:
            return
        child = self.unanswered.take(found.seq)
        if child is not None:
            child.answer = found.page
            child.status = found.page.status
            child.bytes_out = len(text)
            self._answers.finish_page(child)

    def fail_unanswered(self) -> list[bytes]:
        """Return our answers to all frames that still wait for the upstream's; they wait no longer."""
        failure = Failure.DRAINING if self._services.draining else Failure.UPSTREAM_CUT
        return [fail_text(seq, 502, problem(failure, 502)) for seq in self.unanswered.fail_all(failure)]

    def note_fault(self, error: BaseException) -> None:
        """Count a fault of ours that costs nothing."""
        self._services.note_fault(error)

    def note_fatal(self, error: BaseException) -> None:
        """Count a fault of ours after which the socket must be closed."""
        self._note_end(Failure.INTERNAL)
        self.note_fault(error)

    # -- within

    def _note_end(self, failure: Failure) -> None:
        self._flow.failure = failure
        self._services.count_end(failure.value)

    async def _connect(self, seconds: float) -> Failure | None:
        if self._reach is None:
            return None
        failure = await self._reach(seconds)
        self._answers.has_upstream = failure is None
        return failure

    def _child(self, generation: Generation, size: int) -> Flow:
        self._count += 1
        child = copy(self._blank)
        child.generation, child.arrived, child.started_ns, child.bytes_in = generation, now(), monotonic_ns(), size
        child.token, child.request_id = f"{child.token}.{self._count}", f"{child.request_id}.{self._count}"
        return child

    async def _page(self, child: Flow, found: SocketFrame, text: bytes) -> FrameVerdict:
        generation = child.generation
        if len(text) > generation.most_page:
            return self._answers.fail(child, found, Failure.BODY_TOO_LARGE)
        content = text[found.place[0] : found.place[1]]
        try:
            page = await run(len(content) > ON_LOOP, read_page, content)
            if page is None and not generation.forwards_unreadable:
                return self._answers.fail(child, found, Failure.UNINSPECTABLE)
            await self._services.pages.decide(child, page or EMPTY_PAGE)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
            self.note_fault(error)
        if child.decision.block is not None:
            return self._answers.block(child, found)
        return await self._go_up_redacted(child, found, text)

    async def _go_up_redacted(self, child: Flow, found: SocketFrame, text: bytes) -> FrameVerdict:
        """Let a frame go up without what rules of redaction find in it, if there are any."""
        rules, verdict = child.generation.redaction, FORWARD
        if rules is not None:
            instead, failure = await redacted_frame(child, rules, found, text, self.note_fault)
            if failure is not None:
                return self._answers.fail(child, found, failure)
            verdict = FORWARD if instead is text else FrameVerdict(instead=instead)
        return await self._go_up(child, found, verdict)

    async def _upload(self, child: Flow, found: SocketFrame, text: bytes) -> FrameVerdict:
        uploads, answers, verdict = self._services.uploads, self._answers, FORWARD
        try:
            upload = found.upload or await run(len(text) > ON_LOOP, read_upload, text, found.place)
            policy = self._set_facts(child, upload.ids if upload is not None else NO_QUERY)
            if await uploads.is_blocked(child, policy):
                return answers.block(child, found)
            if policy.reads_calls or child.generation.redaction is not None:
                start, end = upload.place if upload is not None else (0, 0)
                child.form = _EVENT if found.command is _CALLS else _BUNDLE
                cut = await uploads.cut_invalid(child, policy, text[start:end])
                if cut.blocked:
                    return answers.block(child, found)
                if cut.refused:
                    return answers.fail(child, found, Failure.UNINSPECTABLE)
                if cut.none_left is not None:
                    child.rejected = True
                    return answers.answer(child, found, cut.none_left.outcome.status or 400, cut.document)
                if cut.body is not None:
                    verdict = FrameVerdict(instead=text[:start] + cut.body + text[end:])
            await uploads.mark_session(child)
        except UnclearError:
            return await self._unreadable(child, found)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost data
            child.calls, child.redacted, verdict = None, NOTHING, FORWARD  # nothing is cut after all
            self.note_fault(error)
            if fails_closed(child):
                return answers.fail(child, found, Failure.INTERNAL)
        return await self._go_up(child, found, verdict)

    async def _unreadable(self, child: Flow, found: SocketFrame) -> FrameVerdict:
        forwards = child.generation.forwards_unreadable
        return await self._go_up(child, found) if forwards else self._answers.fail(child, found, Failure.UNINSPECTABLE)

    def _set_facts(self, child: Flow, ids: BundleQuery) -> OrgPolicy:
        """Set the facts. Nearly all frames of a socket have the same, as they differ in no more than their ids."""
        generation, known = child.generation, self._known
        if known is None or known[0] is not generation or known[1] != ids:
            policy = self._services.uploads.set_facts(child, ids)
            self._known = generation, ids, child.facts, policy
            return policy
        _, child.upload, child.facts, child.policy = known
        return known[3]

    async def _go_up(self, child: Flow, found: SocketFrame, verdict: FrameVerdict = FORWARD) -> FrameVerdict:
        """Return the verdict once there is an upstream, or the answer that there is none."""
        is_page = found.command is _PAGE
        child.sent_ns = monotonic_ns()
        if not self._answers.has_upstream:
            failure = await self._connect(child.generation.config.upstream.page_retry if is_page else 0.0)
            if failure is not None:
                return self._answers.fail(child, found, failure)
        if is_page:
            self.unanswered.add_page(found, child)
        else:
            self.unanswered.add_upload(found)
            self._services.recorder.record(child)
        return verdict
