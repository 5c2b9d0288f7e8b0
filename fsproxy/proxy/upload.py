"""Bundles, events and direct calls: checked by what their queries and headers say, and cut where a call is invalid."""

from __future__ import annotations

from asyncio import to_thread
from hashlib import blake2b
from typing import TYPE_CHECKING

import structlog

from fsproxy.core.client_api.inspected import Inspection
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.problems import problem_document
from fsproxy.core.client_api.redacting import NOT_REDACTED
from fsproxy.core.failures import Failure
from fsproxy.core.limits.rate import rate_headers, retry_after
from fsproxy.core.model import DIRECT, SERVER_API, Route
from fsproxy.core.wire.answers import PROBLEM
from fsproxy.core.wire.facts import bundle_facts
from fsproxy.proxy.call_limits import CallLimits
from fsproxy.proxy.decoding import Decoded, UndecodableError, decode, encoding_of
from fsproxy.proxy.flow import NOTHING
from fsproxy.proxy.inspecting import (
    AS_IT_CAME,
    ON_LOOP,
    CutBody,
    changed,
    fails_closed,
    inspect_first,
    inspect_large,
    redact,
    rewritten,
)
from fsproxy.proxy.limit_queries import LimitedCalls
from fsproxy.proxy.off_loop import run
from fsproxy.proxy.redacting import redact_path
from fsproxy.proxy.upload_blocks import UploadBlocks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fsproxy.core.limits.operations import Ledger
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.core.wire.facts import BundleQuery
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.forward import Forwarder
    from fsproxy.state.memory.blocked_pages import BlockedPages
    from fsproxy.telemetry.metrics import Metrics

log = structlog.get_logger("fsproxy")


class UploadHandler:
    """Answers every capture route but the page's."""

    def __init__(
        self, ledger: Ledger, blocked: BlockedPages, limits: CallLimits, forwarder: Forwarder, metrics: Metrics
    ) -> None:
        self._blocks = UploadBlocks(ledger, blocked)
        self.is_blocked = self._blocks.is_blocked
        self.mark_session = self._blocks.mark_session
        self._limits = limits
        self._forwarder = forwarder
        self._metrics = metrics
        self.answer: Callable[[Flow, bytes], Awaitable[bool]] = self.decide_and_answer
        """Answers an upload; a trial puts itself before it."""

    async def decide_and_answer(self, flow: Flow, body: bytes) -> bool:
        """Forward the body, without what was rejected; or answer that it is blocked, or that no call is left."""
        policy = self.read_facts(flow)
        if flow.route is not SERVER_API and await self.is_blocked(flow, policy):
            return self._forwarder.block(flow)
        rules = flow.generation.redaction
        if policy.reads_calls or rules is not None:
            outcome = await self._cut_or_answer(flow, policy, body)
            if isinstance(outcome, bytes):
                body = outcome
            elif outcome is not None:
                return outcome
        if rules is not None and not redact_path(flow, rules):
            return self._forwarder.refuse(flow, Failure.UNINSPECTABLE)
        await self.mark_session(flow)
        return await self._forwarder.send(flow, body)

    def read_facts(self, flow: Flow) -> OrgPolicy:
        """Read the facts of a request from its query and headers; return the policy of its org."""
        query = flow.upload
        if flow.route is SERVER_API:
            query = type(query)(org_id=_org_of(flow))
        return self.set_facts(flow, query)

    def set_facts(self, flow: Flow, query: BundleQuery) -> OrgPolicy:
        """Do the same with the query's values at hand: a socket's frame carries them itself."""
        flow.upload = query
        policy = flow.policy = flow.generation.snapshot.policy(query.org_id or None)
        location = flow.locate(policy.geo_source) if policy.geo_source is not None else None
        flow.facts = bundle_facts(flow.route, query, flow.headers, flow.client, location)
        return policy

    async def _cut_or_answer(self, flow: Flow, policy: OrgPolicy, body: bytes) -> bytes | bool | None:
        """Return the body to forward instead, or the result of an answer of ours; None: forward the body as it came."""
        try:
            decoded = await decode(body, encoding_of(flow), flow.generation.config.server.max_decompressed)
        except UndecodableError:
            decoded = None
        if decoded is None or (not decoded.is_sound and (policy.blocks_uninspectable or fails_closed(flow))):
            return self._forwarder.refuse(flow, Failure.UNINSPECTABLE) if self._refuses(flow, policy) else None
        try:
            cut = await self.cut_invalid(flow, policy, decoded.text, decoded)
            if cut.blocked:
                return self._forwarder.block(flow)
            if cut.refused:
                return self._forwarder.refuse(flow, Failure.UNINSPECTABLE)
            if cut.none_left is not None:
                return self._answer_none_left(flow, policy, cut.none_left, cut.document)
            return cut.body  # noqa: TRY300 - what follows the cut may fail as well
        except Exception as error:
            # Nothing is cut after all, so nothing may say so.
            flow.calls, flow.rejected, flow.rejected_count, flow.redacted = None, False, 0, NOTHING
            self._metrics.own_failures[("inspect",)] += 1
            if fails_closed(flow):
                log.error("a body was refused by a fault of ours, as it may not go on unredacted", exc_info=error)  # noqa: TRY400
                return self._forwarder.refuse(flow, Failure.INTERNAL)
            log.error("calls went on uninspected by a fault of ours", route=flow.route.value, exc_info=error)  # noqa: TRY400
            return None

    async def cut_invalid(self, flow: Flow, policy: OrgPolicy, text: bytes, decoded: Decoded | None = None) -> CutBody:
        """Cut the calls and properties that are not valid, and redact, in a text that was ``decoded`` from a body.

        A fault of ours is raised, whatever it is.
        """
        api, form, rules = policy.client_api, flow.form or flow.route, flow.generation.redaction
        if len(text) <= ON_LOOP:
            inspection = inspect(api, form, text, flow.endpoint)
        else:
            inspection = await inspect_large(api, form, text, flow.endpoint)
        if inspection.uninspectable is not None and decoded is not None and decoded.first is not None:
            inspection = await inspect_first(inspection, decoded.first, api, rules)
        inspection = inspection if rules is None else await redact(inspection, api, flow.endpoint, rules)
        redacted, layers = inspection.redacted, decoded.layers if decoded is not None else 0
        if inspection.uninspectable is not None:
            return CutBody(refused=self._refuses(flow, policy))
        flow.redacted = redacted.found
        if not inspection.calls:
            if policy.counts_rates and flow.facts is not None:
                await self._limits.observe_clock(flow.facts, flow.upload, inspection, flow.arrived)
        elif self._blocks.names_deleted_user(flow, policy, inspection):
            await self.mark_session(flow)
            return CutBody(blocked=True)
        elif policy.validates_calls and flow.facts is not None:
            limited = await self._limits.decide(policy, flow.facts, flow.upload, inspection, flow.arrived)
            flow.calls = limited.outcome
            if limited.ledger_down:
                flow.note_ledger_down()
            if not limited.outcome.is_clean:
                return await self._cut(flow, inspection, limited, layers)
        return AS_IT_CAME if redacted is NOT_REDACTED else await changed(inspection, None, layers)

    async def _cut(self, flow: Flow, inspection: Inspection, limited: LimitedCalls, layers: int) -> CutBody:
        """Count the rejections, and return what they leave of the body."""
        outcome, large = limited.outcome, len(inspection.body) > ON_LOOP
        counts = await to_thread(outcome.counts) if large else outcome.counts()
        for each, counter in zip(counts, (self._metrics.rejections, self._metrics.shadow_rejections), strict=True):
            for (code, kind), count in each.items():
                counter[(code.value, kind.value, flow.route.value)] += count
        if outcome.status is not None:
            return CutBody(none_left=limited, document=await run(large, problem_document, outcome))
        if flow.route in DIRECT or flow.route is SERVER_API:
            flow.rejected_count = outcome.rejected
        if large:
            return await changed(inspection, outcome, layers)
        return rewritten(inspection, outcome, layers)

    def _refuses(self, flow: Flow, policy: OrgPolicy) -> bool:
        """Count a body that cannot be read; return whether it is refused."""
        closed = fails_closed(flow)
        if not policy.validates_calls and not closed:
            return False
        self._metrics.uninspectable[(flow.route.value,)] += 1
        return policy.blocks_uninspectable or closed

    def _answer_none_left(self, flow: Flow, policy: OrgPolicy, limited: LimitedCalls, document: bytes) -> bool:
        """Answer that no call is left, with every rejection."""
        outcome = limited.outcome
        status = outcome.status or 400
        extra: tuple[tuple[str, str], ...] = ()
        wait: int | None = None
        if status == 429 and limited.longest is not None:
            windows = policy.client_api.rate.windows(outcome.rejections[0].kind)
            extra = tuple(pair for pair in rate_headers(windows, limited.longest) if pair[0] != "Retry-After")
            wait = int(retry_after(limited.longest))
        flow.rejected = True
        answer = flow.generation.answers.answer(
            status,
            document,
            flow.origin,
            flow.wire_id,
            content_type=PROBLEM,
            rejected=outcome.rejected if flow.route is not Route.EVENT else None,
            retry_after=wait,
            extra=extra,
            close=flow.close,
        )
        return self._forwarder.answer(flow, status, answer)


def _org_of(flow: Flow) -> str:
    """Return a digest of a server-side caller's credentials, which stands for its org (rules.md 3)."""
    credentials = flow.headers.get(b"authorization")
    return f"auth:{blake2b(credentials, digest_size=8).hexdigest()}" if credentials else ""
