"""A trial: a share of live requests is judged by a candidate as well, and the differences are counted.

While one runs it is called before the handlers of pages and uploads. Without one no request pays for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import zip_longest
from random import random
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from fsproxy.core.audit.privacy import safe
from fsproxy.core.client_api.inspected import MANY
from fsproxy.core.client_api.outcome import CallOutcome
from fsproxy.core.failures import Failure
from fsproxy.core.model import PAGE
from fsproxy.core.trial.tally import CAPTURED, Side, Tally
from fsproxy.proxy.off_loop import run
from fsproxy.proxy.trial.seen import seen, side

if TYPE_CHECKING:
    from fsproxy.core.audit.privacy import MaskAddress
    from fsproxy.core.client_api.outcome import CallsOutcome
    from fsproxy.core.model import SessionFacts
    from fsproxy.core.wire.sockets.frames import SocketFrame
    from fsproxy.proxy.call_limits import CallLimits
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.generation import Generation
    from fsproxy.proxy.page import PageHandler
    from fsproxy.proxy.sockets.answers import FrameVerdict
    from fsproxy.proxy.sockets.services import SocketServices
    from fsproxy.proxy.trial.candidate import Candidate
    from fsproxy.proxy.upload import UploadHandler
    from fsproxy.state.stores import Stores

    _Answer = Callable[[Flow, bytes], Awaitable[bool]]
    _Judged = Callable[[Flow, SocketFrame, bytes], Awaitable[FrameVerdict]]

STORE_DOWN = "the store did not answer"
FAULT = "a fault of ours"
_UNTOUCHED = CallOutcome()
log = structlog.get_logger("fsproxy")


@dataclass(frozen=True, slots=True)
class Judges:
    """What decides live, and what it remembers."""

    stores: Stores
    pages: PageHandler
    uploads: UploadHandler
    limits: CallLimits
    sockets: SocketServices


class Trial:
    """Judges ``share`` of the requests with the candidate, from ``start`` to ``stop``.

    The candidate judges first, since the live decision counts, claims and spends. What was really decided is compared
    with it once the request is answered. A fault of the candidate's costs no request.
    """

    def __init__(
        self, judges: Judges, candidate: Candidate, share: float, mask: MaskAddress, draw: Callable[[], float] = random
    ) -> None:
        """``mask`` writes visitors' addresses; ``draw`` returns a number from 0 to 1 for each request."""
        self.tally = Tally()
        self._candidate = candidate
        self._judges = judges
        self._share = share
        self._mask = mask
        self._draw = draw
        self._live: tuple[_Answer, _Answer] = (judges.pages.answer, judges.uploads.answer)
        self._complained = False

    def start(self) -> None:
        """Judge requests from the next one on."""
        judges, (page, upload) = self._judges, self._live
        judges.pages.answer, judges.uploads.answer = self._before(page), self._before(upload)
        judges.sockets.trial = self.frame

    def stop(self) -> None:
        """Judge no more request, but compare those that are under way."""
        judges = self._judges
        judges.pages.answer, judges.uploads.answer = self._live
        judges.sockets.trial = None

    def release(self) -> Generation:
        """Let go of the candidate's generation, and return it. Requests under way hold what they need."""
        generation = self._candidate.generation
        del self._candidate
        return generation

    # -- requests

    def _before(self, live: _Answer) -> _Answer:
        draw, share = self._draw, self._share

        async def both(flow: Flow, body: bytes) -> bool:
            flow.fresh_user_id = str(uuid4())
            beside = await self._judged(self._candidate.request(flow, body))
            try:
                return await live(flow, body)
            finally:
                await self._compare(flow, beside)

        return lambda flow, body: both(flow, body) if draw() < share else live(flow, body)

    async def frame(self, child: Flow, found: SocketFrame, text: bytes, judged: _Judged) -> FrameVerdict:
        """Have a socket's frame decided by ``judged``, and judge it beside if it is drawn."""
        if self._draw() >= self._share:
            return await judged(child, found, text)
        child.fresh_user_id = str(uuid4())
        beside = await self._judged(self._candidate.frame(child, found, text))
        verdict = await judged(child, found, text)
        await self._compare(child, beside)
        return verdict

    async def _judged(self, judging: Awaitable[Flow]) -> Flow | None:
        """Return the flow that the candidate has decided; None after a fault of ours."""
        try:
            return await judging
        except Exception as error:  # noqa: BLE001 - it must cost no request
            self._note_fault(error)
            return None

    async def _compare(self, flow: Flow, beside: Flow | None) -> None:
        try:
            if flow.policy is None or flow.facts is None or flow.failure is Failure.INTERNAL:
                return  # it was not judged at all
            if beside is None:
                self.tally.note_undecidable(FAULT)
            elif beside.decision.ledger_down and not flow.decision.ledger_down:
                self.tally.note_undecidable(STORE_DOWN)
            else:
                await self._note(flow, flow.facts, beside)
        except Exception as error:  # noqa: BLE001 - the request has been answered
            self._note_fault(error)

    async def _note(self, flow: Flow, facts: SessionFacts, beside: Flow) -> None:
        old, new, name = side(flow), side(beside), flow.request_id
        counted = seen(flow, facts, beside, self._mask)
        if facts.route is PAGE:
            self.tally.note_page(old, new, name, counted)
            return
        self.tally.note_upload(old, new, name, counted)
        if old.code is None and new.code is None:
            before, after = _outcomes(flow.calls), _outcomes(beside.calls)
            large = sum(len(each.rejections) for each in (*before, *after)) > MANY
            changed = await run(large, _changed, before, after)
            self.tally.note_calls(max(len(before), len(after)), changed, name)

    def _note_fault(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            log.error("a request could not be judged by the configuration that is tried", exc_info=error)


def _outcomes(calls: CallsOutcome | None) -> list[CallOutcome]:
    """Return what becomes of each call, those beyond ``max_calls`` last."""
    if calls is None:
        return []
    beyond = calls.surplus if calls.surplus_is_cut else ()
    return [*calls.calls, *(CallOutcome(rejections=(each,)) for each in beyond)]


def _changed(before: list[CallOutcome], after: list[CallOutcome]) -> list[tuple[Side, Side]]:
    """Return both sides of each call that is not rejected alike: the first rejection that the other side lacks."""
    found = []
    for old, new in zip_longest(before, after, fillvalue=_UNTOUCHED):
        if old.rejections or new.rejections:
            rejected, rejects = _rejected(old), _rejected(new)
            if rejected.keys() != rejects.keys():
                first = next((each for each in rejected if each not in rejects), CAPTURED)
                found.append((first, next((each for each in rejects if each not in rejected), CAPTURED)))
    return found


def _rejected(outcome: CallOutcome) -> dict[Side, None]:
    """Return the rejections of a call as sides, in their order."""
    return dict.fromkeys(
        Side(each.code.value, safe(" ".join(filter(None, (each.kind.value, each.call, each.property)))))
        for each in outcome.rejections
    )
