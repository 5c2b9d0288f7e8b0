"""Sending a request upstream, whole or as it comes, and answering in place of an upstream that fails (rules.md 4)."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from fsproxy.clock import monotonic_ns, now
from fsproxy.core.failures import CLIENT_FAILURES, NOT_REACHED, Failure
from fsproxy.core.model import OTHER, PAGE, RETRIED_ON_502_ALONE
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wire.answers import block_body
from fsproxy.core.wire.header_values import index
from fsproxy.core.wire.headers import Framing
from fsproxy.core.wire.redacted_head import redacted_head
from fsproxy.http.client_request import CLOSE, KEEP
from fsproxy.http.response_writer import ResponseWriter
from fsproxy.http.upstream.pool import Pool, Share
from fsproxy.proxy.bodies import BodyError, declared_length, pump, refuse_too_large, take_body
from fsproxy.telemetry.upstream_health import ERRORS

if TYPE_CHECKING:
    from fsproxy.http.sweeper import Sweeper
    from fsproxy.http.upstream.hosts import Upstream
    from fsproxy.proxy.flow import Flow
    from fsproxy.telemetry.metrics import Metrics
    from fsproxy.telemetry.upstream_health import UpstreamHealth

_OTHERS, _CAPTURE = Share.OTHER, Share.CAPTURE
_RAMPING = ReasonCode.TRAFFIC_RAMPING
PAGE_ANSWER_COPY = 64 * 1024
"""Bytes of a page's answer that are read for what it teaches; a larger one passes unread."""


class Forwarder:
    """Sends requests to the upstream, and writes our own answers to clients."""

    def __init__(
        self,
        upstream: Upstream,
        metrics: Metrics,
        sweeper: Sweeper,
        loop: asyncio.AbstractEventLoop,
        passage: bytes,
        health: UpstreamHealth,
    ) -> None:
        """``passage``: this instance's name in ``CDN-Loop``."""
        self._upstream = upstream
        self._passage = passage
        self._metrics = metrics
        self._sweeper = sweeper
        self._loop = loop
        self._health = health

    def use(self, upstream: Upstream) -> None:
        """Send what comes from now on to this upstream. What is under way goes on where it is."""
        self._upstream = upstream

    async def send(self, flow: Flow, body: bytes) -> bool:
        """Send a body that was read, and pass the answer on."""
        had_body = body or flow.length is not None or b"transfer-encoding" in flow.headers
        framing = len(body) if had_body else Framing.NONE
        upstream = self._upstream
        if flow.route is PAGE:
            retry_for = flow.generation.config.upstream.page_retry
            writer = self._writer(flow, framing, _CAPTURE, body, copy_limit=PAGE_ANSWER_COPY, retry_for=retry_for)
        else:
            writer = self._writer(flow, framing, _OTHERS if flow.route is OTHER else _CAPTURE, body)
        flow.sent_ns = monotonic_ns()
        writer.start()
        await writer.done
        if writer.failure is not None and writer.failure in NOT_REACHED and upstream is not self._upstream:
            # A reload has named another upstream meanwhile.
            return await self.send(flow, body)
        return self._finish(flow, writer)

    async def stream(self, flow: Flow) -> bool:
        """Pass a body on as it comes; one that has come already is sent with its head.

        A body that is still coming uses the part of the pool that is not kept for capture, on whatever route.
        """
        if flow.payload.is_eof():
            return await self.send(flow, take_body(flow))
        length = declared_length(flow)
        refuse_too_large(flow, length)
        writer = self._writer(flow, Framing.CHUNKED if length is None else length, _OTHERS, streamed=True)
        pumping = self._loop.create_task(pump(flow, writer, self._sweeper, chunked=length is None))
        try:
            await writer.done
        finally:
            if not pumping.done():
                pumping.cancel()
                # It must have stopped reading the body before the connection reads what is left of it.
                await asyncio.wait((pumping,))
        return self._finish(flow, writer)

    # -- answers of ours

    def refuse(self, flow: Flow, failure: Failure) -> bool:
        """Answer a failure: a problem document, with CORS on capture routes.

        If an answer has gone out already, only close: the client would take a second one for the next request's.
        """
        if flow.status:
            return CLOSE
        flow.failure = failure
        status = failure.status_on(flow.route)
        if flow.is_capture and not (flow.route in RETRIED_ON_502_ALONE and status == 502):
            self._metrics.recordings_ended[(failure.value,)] += 1
        if not flow.payload.is_eof():
            flow.close = True
        answer = flow.generation.answers.failure(failure, flow.route, flow.origin, flow.wire_id, close=flow.close)
        return self.answer(flow, status, answer)

    def block(self, flow: Flow) -> bool:
        """Answer a block: 202 with the reason code of ``flow.decision``. A bundle's recording ends with it."""
        if flow.route is not PAGE:
            self._metrics.recordings_ended[("blocked",)] += 1
        hit, facts = flow.decision.block, flow.facts
        code = hit.code if hit is not None else ReasonCode.UNSPECIFIED
        # A visitor outside of a share keeps the user id by which he was drawn.
        fresh = facts.fresh_user_id if facts is not None and code is _RAMPING else ""
        body = block_body(code, flow.cookie_domain, user_id=fresh)
        origin = flow.headers.get(b"origin")
        answer = flow.generation.answers.answer(202, body, origin, flow.wire_id, close=flow.close)
        return self.answer(flow, 202, answer)

    def answer(self, flow: Flow, status: int, answer: bytes) -> bool:
        """Write a prepared answer."""
        flow.status = status
        end = answer.find(b"\r\n\r\n") + 4
        if flow.method == "HEAD":
            answer = answer[:end]
        flow.bytes_out = len(answer) - end
        flow.connection.write(answer)
        return CLOSE if flow.close else KEEP

    def cut(self, flow: Flow) -> None:
        """Break a request off: the time to drain is over."""
        flow.close = True
        if flow.writer is not None:
            flow.writer.abort(Failure.DRAINING)
        else:
            flow.payload.set_exception(BodyError(Failure.DRAINING))

    # -- within

    def _writer(
        self,
        flow: Flow,
        framing: int | Framing,
        share: Share,
        body: bytes = b"",
        *,
        copy_limit: int = 0,
        retry_for: float = 0.0,
        streamed: bool = False,
    ) -> ResponseWriter:
        """Prepare the exchange whose answer goes to the client."""
        pool, target = self._upstream.way(flow.path, flow.target)
        writer = flow.writer = ResponseWriter(
            pool,
            self._head(flow, pool, target, framing) + body,
            share,
            flow.method == "HEAD",
            streamed,
            framing is Framing.UPGRADE,
            retry_for,
            request=flow,
            done=self._loop.create_future(),
            with_cors=flow.route is not OTHER,
            bundle=flow.route in RETRIED_ON_502_ALONE,
            copy_limit=copy_limit,
            rejected=flow.rejected_count,
        )
        headers = flow.generation.upstream_headers
        if headers.origin and (origin := flow.headers.get(b"origin")) is not None:
            # The upstream allows the origin that it was sent, but the browser compares with its own.
            writer.restore = partial(headers.restored, origin=origin)
        flow.on_gone = writer.on_gone
        flow.connection.on_writable = writer.resume
        if flow.client_left:
            writer.on_gone()
        return writer

    def _head(self, flow: Flow, pool: Pool, target: str, framing: int | Framing, without: bytes | None = None) -> bytes:
        """Return the request's head for the upstream. ``without``: a header that is not forwarded."""
        headers = flow.headers
        if without is not None:
            headers = index(tuple(pair for pair in headers.lines if pair[0].lower() != without))
        origin = pool.origin
        generation = flow.generation
        head = generation.upstream_headers.head(
            f"{flow.method} {origin.prefix}{target}",
            origin.authority,
            headers,
            flow.client,
            flow.wire_id,
            framing,
            passage=self._passage,
            page=flow.route is PAGE,
        )
        rules = generation.header_redaction
        if rules is None:
            return head
        found = Counter(flow.redacted)
        head = redacted_head(rules, head, found)
        if not flow.sent_ns:  # what is sent again is not counted again
            flow.redacted = found
        return head

    def _finish(self, flow: Flow, writer: ResponseWriter) -> bool:
        failure, head = writer.failure, writer.head
        if writer.retried:
            self._metrics.upstream_retries[()] += 1
        if failure is None:
            self._metrics.forwarded[(flow.route._value_,)] += 1
            if head is not None and (self._health.troubles or head.status >= ERRORS):
                self._health.answered(writer.pool.origin.address, head.status, now())
            if writer.unattended:
                failure = Failure.CLIENT_GONE
        elif failure is Failure.CLIENT_GONE and flow.outlives_client:
            self._metrics.unattended_dropped[()] += 1
        elif failure in CLIENT_FAILURES:
            flow.failure = failure
            return CLOSE
        else:
            self._note(writer.pool, failure)
            if flow.connection.writable:
                if writer.untouched:
                    return self.refuse(flow, failure)
                if flow.is_capture:
                    self._metrics.recordings_ended[(failure.value,)] += 1
        flow.failure, flow.bytes_out = failure, writer.bytes_out
        flow.status = head.status if head is not None else 0
        return CLOSE if failure is not None or flow.close else KEEP

    def _note(self, pool: Pool, failure: Failure) -> None:
        if failure.value.startswith("upstream_"):
            self._metrics.upstream_failures[(failure.value,)] += 1
            detail = pool.detail if failure in NOT_REACHED else ""
            self._health.failed(pool.origin.address, failure.value, detail, now())
