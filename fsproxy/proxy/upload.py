"""Bundles, events, sockets and calls: judged by what their queries and headers tell, their calls cut precisely."""

from __future__ import annotations

import asyncio
from collections import Counter
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import msgspec
import structlog

from fsproxy.core.client_api.inspected import Inspection
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.problems import problem_document
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.failures import Failure
from fsproxy.core.limits.operations import RateKind
from fsproxy.core.limits.rate import rate_headers, retry_after
from fsproxy.core.model import Route
from fsproxy.core.pipeline import Decision
from fsproxy.core.wire.answers import PROBLEM
from fsproxy.core.wire.facts import bundle_facts
from fsproxy.proxy.call_limits import CallLimits, Settled
from fsproxy.proxy.decoding import Decoded, UndecodableError, decode, encode, encoding_of
from fsproxy.proxy.upload_blocks import UploadJudge

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsproxy.core.client_api.outcome import CallsOutcome
    from fsproxy.core.limits.operations import Ledger
    from fsproxy.core.model import CallKind
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.core.reasons import RejectionCode
    from fsproxy.core.wire.facts import BundleQuery
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.forward import Forwarding
    from fsproxy.state.cache import BlockedPages
    from fsproxy.telemetry.metrics import Metrics

ON_LOOP = 32 * 1024
"""Bytes of a body that are inspected on the event loop, under 10 ms whatever they are; more go to a thread."""
_P = ParamSpec("_P")
_T = TypeVar("_T")
log = structlog.get_logger("fsproxy")


class Cleaned(msgspec.Struct, frozen=True, gc=False):
    """What is to become of a body with calls."""

    body: bytes | None = None
    """To be forwarded instead, compressed as it came; None: as it came."""
    refused: bool = False
    """It cannot be read, and ``on_uninspectable`` says block."""
    none_left: Settled | None = None
    """No call in it was valid: nothing is forwarded."""
    document: bytes = b""
    """What says so."""
    blocked: bool = False
    """It names a user who is being deleted; the transaction's decision says so (rules.md 10)."""


AS_IT_CAME = Cleaned()


class UploadHandler:
    """Answers every capture route but the page's."""

    def __init__(
        self, ledger: Ledger, blocked: BlockedPages, limits: CallLimits, forwarding: Forwarding, metrics: Metrics
    ) -> None:
        self._uploads = UploadJudge(ledger, blocked)
        self.blocks = self._uploads.blocks
        self.mark = self._uploads.mark
        self._limits = limits
        self._forwarding = forwarding
        self._metrics = metrics

    async def answer(self, flow: Flow, body: bytes) -> bool:
        """Judge; forward as it came, or without what was rejected, or answer that nothing was left."""
        policy = self.open(flow)
        if flow.route is not Route.SERVER_API and await self.blocks(flow, policy):
            return self._forwarding.block(flow)
        if policy.reads_calls:
            answered = await self._cleaned(flow, policy, body)
            if isinstance(answered, bytes):
                body = answered
            elif answered is not None:
                return answered
        await self.mark(flow)
        return await self._forwarding.send(flow, body, flow.rejected_header)

    def open(self, flow: Flow) -> OrgPolicy:
        """The facts of the request, and the policy of its org."""
        query = flow.read_query()
        if flow.route is Route.SERVER_API:
            query = type(query)(org_id=_org_of(flow))
        return self.place(flow, query)

    def place(self, flow: Flow, query: BundleQuery) -> OrgPolicy:
        """The same, where the query's values are known: a socket's frame carries them itself."""
        flow.upload = query
        policy = flow.generation.snapshot.policy(query.org_id or None)
        flow.facts = bundle_facts(flow.route, query, flow.headers, flow.client, flow.locate(policy))
        return policy

    async def _cleaned(self, flow: Flow, policy: OrgPolicy, body: bytes) -> bytes | bool | None:
        """The body to forward instead, an answer instead of forwarding, or None: as it came."""
        try:
            decoded = await decode(body, encoding_of(flow), flow.generation.config.server.max_decompressed)
        except UndecodableError:
            decoded = None
        if decoded is None or (not decoded.is_sound and policy.blocks_uninspectable):
            refused = policy.validates_calls and self._refuses_uninspectable(flow, policy)
            return self._forwarding.refuse(flow, Failure.UNINSPECTABLE) if refused else None
        try:
            cleaned = await self.clean(flow, policy, decoded.text, decoded)
            if cleaned.blocked:
                return self._forwarding.block(flow)
            if cleaned.refused:
                return self._forwarding.refuse(flow, Failure.UNINSPECTABLE)
            if cleaned.none_left is not None:
                return self._refuse(flow, policy, cleaned.none_left, cleaned.document)
            return cleaned.body  # noqa: TRY300 - what follows the cleaning may fail as well
        except Exception as error:
            # Nothing is cut after all, so nothing may say so.
            flow.calls, flow.rejected, flow.rejected_count = None, False, 0
            self._metrics.own_failures[("inspect",)] += 1
            log.error("calls went on uninspected by a fault of ours", route=flow.route.value, exc_info=error)  # noqa: TRY400
            return None

    async def clean(self, flow: Flow, policy: OrgPolicy, text: bytes, decoded: Decoded | None = None) -> Cleaned:
        """Cut what is not valid from a text, which was ``decoded`` from a body. A fault of ours is raised."""
        inspection = await self._inspect(flow, policy, text)
        if inspection.uninspectable is not None and decoded is not None and decoded.first is not None:
            inspection = await self._inspect(flow, policy, decoded.first)
        if inspection.uninspectable is not None:
            return Cleaned(refused=policy.validates_calls and self._refuses_uninspectable(flow, policy))
        if inspection.calls and await self._uploads.is_of_deleted_user(flow, policy, inspection):
            return Cleaned(blocked=True)
        if not policy.validates_calls:
            return AS_IT_CAME
        large = len(text) > ON_LOOP
        settled = await self._settle(flow, policy, inspection)
        if settled is None:
            return AS_IT_CAME
        if settled.outcome.status is not None:
            document = await _off(large, problem_document, settled.outcome)
            return Cleaned(none_left=settled, document=document)
        if flow.route.is_direct or flow.route is Route.SERVER_API:
            flow.rejected_count = settled.outcome.rejected
        if not settled.outcome.changed:
            return AS_IT_CAME
        return Cleaned(
            body=await _off(large, _rewritten, inspection, settled.outcome, decoded.layers if decoded else 0)
        )

    async def _inspect(self, flow: Flow, policy: OrgPolicy, text: bytes) -> Inspection:
        form, large = flow.form or flow.route, len(text) > ON_LOOP
        return await _off(large, inspect, policy.client_api, form, text, endpoint=flow.endpoint)

    async def _settle(self, flow: Flow, policy: OrgPolicy, inspection: Inspection) -> Settled | None:
        facts, upload = flow.facts, flow.upload
        if facts is None or upload is None:
            return None
        if not inspection.calls:
            self._limits.see(facts, upload, inspection, flow.arrived)
            return None
        settled = await self._limits.settle(policy, facts, upload, inspection, flow.arrived)
        flow.calls = settled.outcome
        if settled.ledger_down:
            flow.decision = Decision(shadow=flow.decision.shadow, failed=flow.decision.failed, ledger_down=True)
        for (code, kind), count in (await _off(inspection.is_large, _by_code, settled.outcome)).items():
            self._metrics.rejections[(code.value, kind.value, flow.route.value)] += count
        return settled

    def _refuses_uninspectable(self, flow: Flow, policy: OrgPolicy) -> bool:
        self._metrics.uninspectable[(flow.route.value,)] += 1
        flow.uninspectable = True
        return policy.blocks_uninspectable

    def _refuse(self, flow: Flow, policy: OrgPolicy, settled: Settled, document: bytes) -> bool:
        """No call is left: say why, with every rejection."""
        outcome = settled.outcome
        status = outcome.status or 400
        extra: tuple[tuple[str, str], ...] = ()
        wait: int | None = None
        if status == 429 and settled.limited is not None:
            kind = RateKind.EVENT if outcome.rejections[0].kind.value == "event" else RateKind.USER
            windows = policy.client_api.rate.event if kind is RateKind.EVENT else policy.client_api.rate.user
            extra = tuple(pair for pair in rate_headers(windows, settled.limited) if pair[0] != "Retry-After")
            wait = int(retry_after(settled.limited))
        flow.rejected = True
        answer = flow.generation.answers.answer(
            status,
            document,
            flow.origin,
            flow.request_id.encode("ascii", "replace"),
            content_type=PROBLEM,
            rejected=outcome.rejected if flow.route is not Route.EVENT else None,
            retry_after=wait,
            extra=extra,
            close=flow.close,
        )
        return self._forwarding.answer(flow, status, answer)


async def _off(large: bool, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:  # noqa: FBT001 - decided once a body
    """Do pure work, off the event loop when the body is large."""
    if large:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def _by_code(outcome: CallsOutcome) -> Counter[tuple[RejectionCode, CallKind]]:
    counts: Counter[tuple[RejectionCode, CallKind]] = Counter()
    for alike, group in groupby(outcome.rejections, attrgetter("code", "kind")):
        counts[alike] += len(tuple(group))
    return counts


def _rewritten(inspection: Inspection, outcome: CallsOutcome, layers: int) -> bytes | None:
    changed = rewrite(inspection, outcome)
    return None if changed is None else encode(changed, layers)


def _org_of(flow: Flow) -> str:
    """Server-side callers have no org id: a digest of their credentials stands for it (rules.md 3)."""
    credentials = flow.headers.get(b"authorization")
    return f"auth:{blake2b(credentials, digest_size=8).hexdigest()}" if credentials else ""
