"""Sending a request upstream, whole or as it comes, and answering for the upstream when it fails (rules.md 4)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fsproxy.clock import monotonic_ns
from fsproxy.core.failures import Failure
from fsproxy.core.model import Route
from fsproxy.core.wire.header_values import index
from fsproxy.core.wire.headers import Framing
from fsproxy.http.client_request import CLOSE, KEEP
from fsproxy.http.pool import Share
from fsproxy.http.response_writer import Relay
from fsproxy.http.upstream_exchange import Exchange
from fsproxy.proxy.bodies import BodyError, declared_length, pump, refuse_too_large, take_body

if TYPE_CHECKING:
    from fsproxy.http.sweeper import Sweeper
    from fsproxy.http.upstream import Upstream
    from fsproxy.proxy.flow import Transaction
    from fsproxy.telemetry.metrics import Metrics

CLIENT_FAILURES = frozenset({Failure.CLIENT_GONE, Failure.CLIENT_STALLED})
NOT_REACHED = frozenset(
    {
        Failure.UPSTREAM_REFUSED,
        Failure.UPSTREAM_DNS,
        Failure.UPSTREAM_TLS,
        Failure.UPSTREAM_CONNECT_TIMEOUT,
        Failure.UPSTREAM_BUSY,
    }
)
"""Failures before a byte of the request was sent."""
PAGE_ANSWER_COPY = 64 * 1024
"""Bytes of a page's answer that are looked at; a larger one teaches nothing and still passes."""


class Forwarding:
    """Everything that goes upstream goes through here."""

    def __init__(
        self,
        upstream: Upstream,
        metrics: Metrics,
        sweeper: Sweeper,
        loop: asyncio.AbstractEventLoop,
        passage: bytes,
    ) -> None:
        """``passage``: this instance's name in ``CDN-Loop``."""
        self._upstream = upstream
        self._passage = passage
        self._metrics = metrics
        self._sweeper = sweeper
        self._loop = loop
        self.last_failure: str | None = None
        """The newest exchange's failure; None when it went well."""

    def use(self, upstream: Upstream) -> None:
        """Send what comes from now on there; what is under way goes on where it is."""
        self._upstream = upstream

    async def send(self, tx: Transaction, body: bytes, extra_headers: tuple[tuple[bytes, bytes], ...] = ()) -> bool:
        """Send a body that was read, and relay the answer."""
        page = tx.route is Route.PAGE
        had_body = bool(body) or tx.request.length is not None or b"transfer-encoding" in tx.headers
        relay = self._relay(tx, copy_limit=PAGE_ANSWER_COPY if page else 0, extra_headers=extra_headers)
        upstream = self._upstream
        head = self._head(tx, len(body) if had_body else Framing.NONE)
        retry_for = tx.generation.config.upstream.page_retry if page else 0.0
        share = Share.CAPTURE if tx.is_capture else Share.OTHER
        exchange = self._exchange(tx, relay, head + body, share, retry_for=retry_for)
        tx.sent_ns = monotonic_ns()
        exchange.start()
        await relay.done
        if self._has_moved(relay, upstream):
            return await self.send(tx, body, extra_headers)
        return self._finish(tx, relay)

    async def stream(self, tx: Transaction) -> bool:
        """Pass a body on as it comes; one that is there already is sent with its head.

        On whatever route, a body that is still coming counts to the part of the pool that is not kept for capture.
        """
        if tx.request.payload.is_eof():
            return await self.send(tx, take_body(tx))
        length = declared_length(tx)
        refuse_too_large(tx, length)
        relay = self._relay(tx)
        head = self._head(tx, Framing.CHUNKED if length is None else length)
        exchange = self._exchange(tx, relay, head, Share.OTHER, streamed=True)
        pumping = self._loop.create_task(pump(tx, exchange, self._sweeper, chunked=length is None))
        try:
            await relay.done
        finally:
            if not pumping.done():
                pumping.cancel()
                # It must have let go of the body before somebody else reads what is left of it.
                await asyncio.wait((pumping,))
        return self._finish(tx, relay)

    # -- answers of ours

    def refuse(self, tx: Transaction, failure: Failure) -> bool:
        """Answer a failure: a problem document, with CORS on capture routes.

        Where an answer has gone out already, a second one would be taken for the next request's: only close.
        """
        if tx.status:
            return CLOSE
        tx.failure = failure
        status = failure.status_on(tx.route)
        if tx.is_capture and not (tx.route.retries_only_502 and status == 502):
            self._metrics.recordings_ended[(failure.value,)] += 1
        if not tx.request.payload.is_eof():
            tx.close = True
        answer = tx.generation.answers.failure(
            failure,
            tx.route,
            tx.origin,
            tx.request_id.encode("ascii", "replace"),
            close=tx.close,
        )
        return self.answer(tx, status, answer)

    def block(self, tx: Transaction) -> bool:
        """Answer ``tx.decision``: 202 with the reason code. A bundle's recording ends with it."""
        if tx.route is not Route.PAGE:
            self._metrics.recordings_ended[("blocked",)] += 1
        code, domain, fresh = tx.block_terms
        answer = tx.generation.answers.block(
            code, tx.origin, tx.request_id.encode("ascii", "replace"), domain, user_id=fresh, close=tx.close
        )
        return self.answer(tx, 202, answer)

    def answer(self, tx: Transaction, status: int, answer: bytes) -> bool:
        """Write a prepared answer."""
        tx.status = status
        end = answer.find(b"\r\n\r\n") + 4
        if tx.request.method == "HEAD":
            answer = answer[:end]
        tx.bytes_out = len(answer) - end
        tx.request.connection.write(answer)
        return CLOSE if tx.close else KEEP

    def cut(self, tx: Transaction) -> None:
        """The time to drain is over."""
        tx.close = True
        if tx.relay is not None and tx.relay.exchange is not None:
            tx.relay.exchange.abort(Failure.DRAINING)
        else:
            tx.request.payload.set_exception(BodyError(Failure.DRAINING))

    # -- within

    def _relay(
        self, tx: Transaction, copy_limit: int = 0, extra_headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> Relay:
        request = tx.request
        relay = tx.relay = Relay(
            request,
            self._loop.create_future(),
            tx.request_id.encode("ascii", "replace"),
            close=tx.close,
            with_cors=tx.is_capture,
            bundle=tx.route.retries_only_502,
            copy_limit=copy_limit,
            extra_headers=extra_headers,
        )
        request.on_gone = relay.on_gone
        request.connection.on_writable = relay.on_writable
        return relay

    def _head(self, tx: Transaction, framing: int | Framing, without: bytes | None = None) -> bytes:
        request, headers = tx.request, tx.request.headers
        if without is not None:
            headers = index(tuple(pair for pair in headers.lines if pair[0].lower() != without))
        origin = self._upstream.pool_for(tx.path).origin
        return tx.generation.upstream_headers.head(
            request.method.encode("ascii", "replace"),
            (origin.prefix + tx.target).encode("utf-8", "surrogateescape"),
            origin.authority,
            headers,
            tx.client,
            tx.request_id.encode("ascii", "replace"),
            framing,
            passage=self._passage,
            page=tx.route is Route.PAGE,
        )

    def _exchange(
        self,
        tx: Transaction,
        relay: Relay,
        request: bytes,
        share: Share,
        *,
        streamed: bool = False,
        upgrade: bool = False,
        retry_for: float = 0.0,
    ) -> Exchange:
        relay.exchange = Exchange(
            self._upstream,
            self._upstream.pool_for(tx.path),
            request,
            relay,
            share=share,
            head_only=tx.request.method == "HEAD",
            streamed=streamed,
            upgrade=upgrade,
            retry_for=retry_for,
        )
        if tx.request.client_left:
            relay.on_gone()
        return relay.exchange

    def _has_moved(self, relay: Relay, upstream: Upstream) -> bool:
        """Whether this upstream was not reached, and a reload has named another one meanwhile."""
        return relay.failure in NOT_REACHED and upstream is not self._upstream

    def _finish(self, tx: Transaction, relay: Relay) -> bool:
        exchange = relay.exchange
        if exchange is not None and exchange.retried:
            self._metrics.upstream_retries[()] += 1
        failure = relay.failure
        if failure is None:
            self._metrics.forwarded[(tx.route.value,)] += 1
            self.last_failure = None
            if exchange is not None and exchange.unattended:
                failure = Failure.CLIENT_GONE
        elif failure is Failure.CLIENT_GONE and tx.request.outlives_client:
            self._metrics.unattended_dropped[()] += 1
        elif failure in CLIENT_FAILURES:
            tx.failure = failure
            return CLOSE
        else:
            self._note(failure)
            if tx.request.connection.writable:
                if relay.untouched:
                    return self.refuse(tx, failure)
                if tx.is_capture:
                    self._metrics.recordings_ended[(failure.value,)] += 1
        tx.failure, tx.bytes_out = failure, relay.bytes_out
        tx.status = relay.head.status if relay.head is not None else 0
        return KEEP if failure is None and relay.keep_alive else CLOSE

    def _note(self, failure: Failure) -> None:
        if failure.value.startswith("upstream_"):
            self._metrics.upstream_failures[(failure.value,)] += 1
            self.last_failure = failure.value
