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

from fsproxy.core.client_api.inspection import Inspection, inspect
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
from fsproxy.proxy.decoding import Decoded, Undecodable, decode, encode, encoding_of
from fsproxy.proxy.upload_blocks import UploadJudge

if TYPE_CHECKING:
    from collections.abc import Callable

    from fsproxy.core.client_api.settling import CallsOutcome
    from fsproxy.core.limits.operations import Ledger
    from fsproxy.core.model import CallKind
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.core.reasons import RejectionCode
    from fsproxy.core.wire.facts import BundleQuery
    from fsproxy.proxy.flow import Transaction
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


class Capture:
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

    async def answer(self, tx: Transaction, body: bytes) -> bool:
        """Judge; forward as it came, or without what was rejected, or answer that nothing was left."""
        policy = self.open(tx)
        if tx.route is not Route.SERVER_API and await self.blocks(tx, policy):
            return self._forwarding.block(tx)
        if policy.reads_calls:
            answered = await self._cleaned(tx, policy, body)
            if isinstance(answered, bytes):
                body = answered
            elif answered is not None:
                return answered
        await self.mark(tx)
        return await self._forwarding.send(tx, body, tx.rejected_header)

    def open(self, tx: Transaction) -> OrgPolicy:
        """The facts of the request, and the policy of its org."""
        query = tx.read_query()
        if tx.route is Route.SERVER_API:
            query = type(query)(org_id=_org_of(tx))
        return self.place(tx, query)

    def place(self, tx: Transaction, query: BundleQuery) -> OrgPolicy:
        """The same, where the query's values are known: a socket's frame carries them itself."""
        tx.upload = query
        policy = tx.generation.snapshot.policy(query.org_id or None)
        tx.facts = bundle_facts(tx.route, query, tx.headers, tx.client, tx.locate(policy))
        return policy

    async def _cleaned(self, tx: Transaction, policy: OrgPolicy, body: bytes) -> bytes | bool | None:
        """The body to forward instead, an answer instead of forwarding, or None: as it came."""
        try:
            decoded = await decode(body, encoding_of(tx), tx.generation.config.server.max_decompressed)
        except Undecodable:
            decoded = None
        if decoded is None or (not decoded.is_sound and policy.blocks_uninspectable):
            refused = policy.validates_calls and self._refuses_uninspectable(tx, policy)
            return self._forwarding.refuse(tx, Failure.UNINSPECTABLE) if refused else None
        try:
            cleaned = await self.clean(tx, policy, decoded.text, decoded)
            if cleaned.blocked:
                return self._forwarding.block(tx)
            if cleaned.refused:
                return self._forwarding.refuse(tx, Failure.UNINSPECTABLE)
            if cleaned.none_left is not None:
                return self._refuse(tx, policy, cleaned.none_left, cleaned.document)
            return cleaned.body  # noqa: TRY300 - what follows the cleaning may fail as well
        except Exception as error:
            # Nothing is cut after all, so nothing may say so.
            tx.calls, tx.rejected, tx.rejected_count = None, False, 0
            self._metrics.own_failures[("inspect",)] += 1
            log.error("calls went on uninspected by a fault of ours", route=tx.route.value, exc_info=error)  # noqa: TRY400
            return None

    async def clean(self, tx: Transaction, policy: OrgPolicy, text: bytes, decoded: Decoded | None = None) -> Cleaned:
        """Cut what is not valid from a text, which was ``decoded`` from a body. A fault of ours is raised."""
        inspection = await self._inspect(tx, policy, text)
        if inspection.uninspectable is not None and decoded is not None and decoded.first is not None:
            inspection = await self._inspect(tx, policy, decoded.first)
        if inspection.uninspectable is not None:
            return Cleaned(refused=policy.validates_calls and self._refuses_uninspectable(tx, policy))
        if inspection.calls and await self._uploads.is_of_deleted_user(tx, policy, inspection):
            return Cleaned(blocked=True)
        if not policy.validates_calls:
            return AS_IT_CAME
        large = len(text) > ON_LOOP
        settled = await self._settle(tx, policy, inspection)
        if settled is None:
            return AS_IT_CAME
        if settled.outcome.status is not None:
            document = await _off(large, problem_document, settled.outcome)
            return Cleaned(none_left=settled, document=document)
        if tx.route.is_direct or tx.route is Route.SERVER_API:
            tx.rejected_count = settled.outcome.rejected
        if not settled.outcome.changed:
            return AS_IT_CAME
        return Cleaned(
            body=await _off(large, _rewritten, inspection, settled.outcome, decoded.layers if decoded else 0)
        )

    async def _inspect(self, tx: Transaction, policy: OrgPolicy, text: bytes) -> Inspection:
        form, large = tx.form or tx.route, len(text) > ON_LOOP
        return await _off(large, inspect, policy.client_api, form, text, endpoint=tx.endpoint)

    async def _settle(self, tx: Transaction, policy: OrgPolicy, inspection: Inspection) -> Settled | None:
        facts, upload = tx.facts, tx.upload
        if facts is None or upload is None:
            return None
        if not inspection.calls:
            self._limits.see(facts, upload, inspection, tx.arrived)
            return None
        settled = await self._limits.settle(policy, facts, upload, inspection, tx.arrived)
        tx.calls = settled.outcome
        if settled.ledger_down:
            tx.decision = Decision(shadow=tx.decision.shadow, failed=tx.decision.failed, ledger_down=True)
        for (code, kind), count in (await _off(inspection.is_large, _by_code, settled.outcome)).items():
            self._metrics.rejections[(code.value, kind.value, tx.route.value)] += count
        return settled

    def _refuses_uninspectable(self, tx: Transaction, policy: OrgPolicy) -> bool:
        self._metrics.uninspectable[(tx.route.value,)] += 1
        tx.uninspectable = True
        return policy.blocks_uninspectable

    def _refuse(self, tx: Transaction, policy: OrgPolicy, settled: Settled, document: bytes) -> bool:
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
        tx.rejected = True
        answer = tx.generation.answers.answer(
            status,
            document,
            tx.origin,
            tx.request_id.encode("ascii", "replace"),
            content_type=PROBLEM,
            rejected=outcome.rejected if tx.route is not Route.EVENT else None,
            retry_after=wait,
            extra=extra,
            close=tx.close,
        )
        return self._forwarding.answer(tx, status, answer)


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


def _org_of(tx: Transaction) -> str:
    """Server-side callers have no org id: a digest of their credentials stands for it (rules.md 3)."""
    credentials = tx.headers.get(b"authorization")
    return f"auth:{blake2b(credentials, digest_size=8).hexdigest()}" if credentials else ""
