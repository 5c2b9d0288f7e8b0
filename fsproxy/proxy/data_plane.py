"""The data plane: every request's way from its head to its answer and its audit line.

``handle`` is the place to begin reading. It opens a ``Flow``, which finds the request's route; ``_dispatch`` refuses
it, or gives it to the handler of its route: ``PageHandler``, ``UploadHandler``, ``SocketHandler``, or, for all that is
not read, ``Upgrader``, which also sends what the handlers let pass. ``Recorder`` ends the flow.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl

import structlog

from fsproxy.clock import now
from fsproxy.config.schema import ServerConfig, TopMode
from fsproxy.core.failures import Failure
from fsproxy.core.model import PAGE, UNREAD, OnTrouble, Route
from fsproxy.core.wire.facts import bundle_query
from fsproxy.core.wire.header_values import asks_for_socket
from fsproxy.http.client_request import CLOSE
from fsproxy.http.payload import WholeBody
from fsproxy.http.server import DataServer
from fsproxy.http.sweeper import Sweeper
from fsproxy.http.upstream.hosts import Upstream, same_hosts
from fsproxy.proxy.bodies import BodyError, read_body
from fsproxy.proxy.call_limits import CallLimits
from fsproxy.proxy.flow import Flow
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.in_flight import InFlight
from fsproxy.proxy.listing import Listing
from fsproxy.proxy.page import PageHandler
from fsproxy.proxy.passages import Passages, new_passage
from fsproxy.proxy.record import Recorder
from fsproxy.proxy.redacting import pass_redacted
from fsproxy.proxy.sockets.handler import SocketHandler
from fsproxy.proxy.sockets.services import SocketServices
from fsproxy.proxy.sockets.upgrades import Upgrader
from fsproxy.proxy.trial.trial import Judges
from fsproxy.proxy.upload import UploadHandler
from fsproxy.proxy.watching import Watch
from fsproxy.state.stores import make_stores
from fsproxy.telemetry.audit_log import AuditLog
from fsproxy.telemetry.metrics import Metrics
from fsproxy.telemetry.ring import Recent

log = structlog.get_logger("fsproxy")


class DataPlane:
    """Everything that requests share, and the handler that the server calls for each of them."""

    def __init__(
        self,
        generation: Generation,
        metrics: Metrics,
        loop: asyncio.AbstractEventLoop,
        sweeper: Sweeper,
        passage: str | None = None,
    ) -> None:
        """``passage``: the name in ``CDN-Loop`` that the other processes of this instance use; None: there are none."""
        config = generation.config
        self.generation = generation
        self.metrics = metrics
        self.server: DataServer | None = None
        self.ends_connections = False
        """Each connection is closed with its next answer, as the program stops."""
        self._in_flight = InFlight(metrics)
        self._tokens = map("{}-{:x}".format, itertools.repeat(os.urandom(6).hex()), itertools.count(1))
        self.upstream = Upstream(config.upstream, loop, sweeper)
        stores = self._stores = make_stores(config.state).kept_in(
            config.state.persist, metrics.persist_failures, lambda: self.generation.names_kept
        )
        self.ledger, self.waiting_for = stores.ledger, stores.waiting_for
        self.listing = Listing(stores, self)
        metrics.labelled_gauges.append(stores.collect)
        self.audit = AuditLog(config.audit)
        self.recent = Recent(metrics.orgs, now())
        self._recorder = Recorder(metrics, self.audit, config.audit, self.recent)
        self._passages = Passages(passage or new_passage(), metrics)
        watch = self._watch = Watch(metrics, lambda: self.upstream)
        self.conditions, self.pulse = watch.conditions, watch.pulse
        watch.add_stores(stores, lambda: self.generation.config.state.on_error is OnTrouble.BLOCK)
        watch.add_files(stores.persister, self.audit, config.audit.to)
        self.conditions.sources.append(self._recorder.untrusted.conditions)
        self._forwarder = Upgrader(self.upstream, metrics, sweeper, loop, self._passages.name, watch.health)
        self._pages = PageHandler(stores.ledger, stores.blocked_pages, self._forwarder)
        limits = CallLimits(stores.ledger, stores.repeats, stores.clocks, config.state.redis.timeout)
        self._uploads = UploadHandler(stores.ledger, stores.blocked_pages, limits, self._forwarder, metrics)
        services = SocketServices(self._uploads, self._pages, self._recorder, metrics, lambda: self.generation)
        self.judges = Judges(stores, self._pages, self._uploads, limits, services)
        self._sockets = SocketHandler(
            services, self._forwarder, lambda: self.server is not None and self.server.overloaded
        )

    def make_server(self, config: ServerConfig) -> DataServer:
        """Return the server whose requests are answered here."""
        self.server = DataServer(
            self.handle,
            config,
            self.upstream.sweeper,
            on_malformed=self.metrics.count_malformed,
            on_crash=self.count_crash,
            new_request=Flow,
            trusts=lambda peer: self.generation.clients.known_peer(peer)[2],
            on_header_fault=self._watch.header_faults.note,
        )
        return self.server

    async def start(self) -> None:
        """Start what runs in the background."""
        self.audit.start()
        await self._stores.start()
        await self.listing.start()
        self.conditions.start()
        self.pulse.start()

    async def close(self) -> None:
        """Flush and close everything."""
        self.pulse.close()
        self.upstream.close()
        await self.listing.close()
        await self._stores.close()
        await asyncio.to_thread(self.audit.close)
        self.conditions.close()

    async def handle(self, flow: Flow) -> bool:
        """Answer one request, whatever happens: exactly one answer and one audit record."""
        flow.open(self.generation, next(self._tokens))
        self.metrics.in_flight += 1
        self._in_flight.add(flow)
        try:
            return await self._dispatch(flow)
        except BodyError as error:
            return self._forwarder.refuse(flow, error.failure)
        except (ConnectionError, asyncio.CancelledError):
            flow.failure = flow.failure or Failure.CLIENT_GONE
            return CLOSE
        except Exception as error:  # noqa: BLE001 - a fault of ours must end as an answer, counted and loud
            self.count_crash(error, "ingest")
            return self._forwarder.refuse(flow, Failure.INTERNAL)
        finally:
            self._in_flight.discard(flow)
            if self._in_flight.last_ended is not None:
                self._in_flight.note_end()
            self.metrics.in_flight -= 1
            flow.connection.on_writable = None
            self._recorder.record(flow)
            # With no cycle left, all of it is freed here and now, and not by the garbage collector later.
            flow.writer = flow.on_gone = flow.task = None

    async def _dispatch(self, flow: Flow) -> bool:
        opens_socket = flow.upgrade and asks_for_socket(flow.method, flow.headers)
        if self.server is not None and self.server.overloaded:
            self.metrics.refused_connections[()] += 1
            flow.close = True
            if not (opens_socket and flow.route is Route.SOCKET):
                return self._forwarder.refuse(flow, Failure.OVERLOADED)
        if self.ends_connections:
            flow.close = True
        judges = flow.generation.judges if flow.route is PAGE else flow.generation.judges_uploads
        is_judged = judges and flow.route not in UNREAD
        if flow.query or flow.refusal is not None or b"cdn-loop" in flow.headers or flow.method == "CONNECT":
            refusal = self._refusal(flow, is_judged=is_judged)
            if refusal is not None:
                return self._forwarder.refuse(flow, refusal)
        if opens_socket:
            return await (self._sockets.open(flow) if flow.route is Route.SOCKET else self._forwarder.tunnel(flow))
        if not is_judged:
            rules, forwarder = flow.generation.redaction, self._forwarder
            passing = pass_redacted(flow, rules, forwarder, self.upstream.sweeper) if rules else forwarder.stream(flow)
            return await passing
        payload = flow.payload
        if isinstance(payload, WholeBody) and flow.length is not None and flow.length <= flow.generation.most_page:
            body, flow.bytes_in = payload.data, flow.length
        else:
            body = await read_body(flow, self.upstream.sweeper)
        if flow.route is PAGE:
            return await self._pages.answer(flow, body)
        return await self._uploads.answer(flow, body)

    def _refusal(self, flow: Flow, *, is_judged: bool) -> Failure | None:
        """Return why a request is refused, whatever its body and the rules say; None: it is not."""
        if flow.method == "CONNECT":
            flow.close = True
            return Failure.METHOD
        if b"cdn-loop" in flow.headers and self._passages.is_loop(flow.headers):
            return Failure.LOOP
        if flow.query and is_judged:
            flow.upload = bundle_query(flow.query)
            if flow.upload.contradictory and flow.generation.mode is not TopMode.BYPASS:
                return Failure.BAD_REQUEST
        return flow.refusal

    # -- stopping

    async def drain(self, seconds: float) -> bool:
        """Let what is in flight finish, and close each connection after its answer. Return False if time ran out."""
        self.ends_connections = True
        self._sockets.drain()
        return await self._in_flight.finish(seconds)

    def cut(self) -> None:
        """End what is still in flight: answer that the program stops, where no answer has begun."""
        for flow in self._in_flight:
            self._forwarder.cut(flow)
        self._sockets.cut()

    # -- switches and reports

    def apply(self, generation: Generation, context: ssl.SSLContext | None = None) -> None:
        """Use this generation from the next request on; those under way keep theirs.

        ``context``: for the upstream's TLS, made off the event loop. It is needed when ``upstream`` changed.
        """
        before, upstream = self.generation.config.upstream, generation.config.upstream
        self.listing.put_in_force(generation)
        self._recorder.configure(generation.config.audit)
        if upstream.timeouts != before.timeouts:
            self.upstream.retime(upstream.timeouts)
        if not same_hosts(before, upstream):
            old = self.upstream
            self.upstream = Upstream(upstream, old.loop, old.sweeper, context)
            self._forwarder.use(self.upstream)
            self._watch.upstream_changed()
            old.close()

    def bypass(self, *, privacy: bool) -> None:
        """Judge nothing from the next request on; with ``privacy``, nothing but by the privacy rules."""
        self.generation = self.generation.bypassed(privacy=privacy)

    def count_crash(self, error: BaseException | None, place: str = "connection") -> None:
        """Count an exception that left the handler, or the connection's own code. None should."""
        self.metrics.own_failures[(place,)] += 1
        log.error("a fault of ours was survived", place=place, exc_info=error)

    def state(self) -> dict[str, object]:
        """Return what ``/readyz`` shows: never a reason to be taken out of service, sometimes one to look."""
        generation = self.generation
        return {
            "mode": generation.mode.value,
            "privacy": list(generation.privacy),
            "generation": generation.number,
            "upstream": {"connections": self.upstream.connections, "last_failure": self._watch.health.last_failure},
            "store": self._stores.state(),
            "warnings": self.conditions.warnings(),
        }
