"""A generation that judges requests beside the one in force.

It does so with the handlers that decide live, on a copy of the flow, over stores that only answer. So what it finds is
what the generation would decide if it were put in force at this moment; no second set of rules could differ from it.
"""

from __future__ import annotations

from asyncio import to_thread
from copy import copy
from typing import TYPE_CHECKING

from fsproxy.config.schema import SocketMode
from fsproxy.core.model import PAGE, UNREAD, Route
from fsproxy.core.wire.facts import NO_QUERY
from fsproxy.core.wire.page import read_page
from fsproxy.core.wire.sockets.frames import Command
from fsproxy.core.wire.sockets.uploads import read_upload
from fsproxy.http.client_request import KEEP
from fsproxy.proxy.call_limits import CallLimits
from fsproxy.proxy.forward import Forwarder
from fsproxy.proxy.inspecting import ON_LOOP
from fsproxy.proxy.off_loop import run
from fsproxy.proxy.page import PageHandler
from fsproxy.proxy.upload import UploadHandler
from fsproxy.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from fsproxy.core.failures import Failure
    from fsproxy.core.wire.sockets.frames import SocketFrame
    from fsproxy.proxy.flow import Flow
    from fsproxy.proxy.generation import Generation
    from fsproxy.state.stores import Stores


def begun_by(generation: Generation, flow: Flow) -> Flow:
    """Return a copy of the flow as this generation begins with it."""
    begun = copy(flow)
    begun.generation = generation
    scheme = "https" if flow.connection.secure else "http"
    begun.client = generation.clients.resolve(flow.connection.peer, flow.headers, scheme)
    if flow.route is not Route.SOCKET:
        has_body = bool(flow.length) or b"transfer-encoding" in flow.headers
        matched = generation.routes.match(flow.method, flow.path, has_body=has_body)
        begun.route, begun.endpoint = matched.route, matched.endpoint
    return begun


class Nowhere(Forwarder):
    """Takes what a handler would send or answer, and does neither."""

    def __init__(self) -> None:
        """Take no upstream: nothing is sent."""

    async def send(self, flow: Flow, body: bytes) -> bool:  # noqa: ARG002 - it goes nowhere
        """Send nothing."""
        return KEEP

    def block(self, flow: Flow) -> bool:  # noqa: ARG002 - the flow's decision says it
        """Answer nothing."""
        return KEEP

    def refuse(self, flow: Flow, failure: Failure) -> bool:
        """Note the failure alone."""
        flow.failure = failure
        return KEEP

    def answer(self, flow: Flow, status: int, answer: bytes) -> bool:  # noqa: ARG002 - the flow's calls say it
        """Answer nothing."""
        return KEEP


class Candidate:
    """Judges by one generation. Each method returns the flow that it has decided; the one that is given stays as it is.

    Exceptions are faults of ours.
    """

    def __init__(self, generation: Generation, stores: Stores, live: CallLimits, deadline: float) -> None:
        """``live`` decides the calls that really go up; ``deadline`` is as it has it, in seconds."""
        self.generation = generation
        self._looking = stores.looking()
        self._live = live
        self._deadline = deadline
        self._nowhere = Nowhere()
        self._metrics = Metrics()
        self._pages = PageHandler(self._looking.ledger, self._looking.blocked_pages, self._nowhere)

    async def request(self, flow: Flow, body: bytes) -> Flow:
        """Judge a page or an upload over HTTP. Its route may be another one here."""
        beside = begun_by(await self._with_lists_of(flow), flow)
        if beside.route in UNREAD or not self.generation.judges:
            return beside
        await (self._pages if beside.route is PAGE else self._uploads()).answer(beside, body)
        return beside

    async def frame(self, child: Flow, found: SocketFrame, text: bytes) -> Flow:
        """Judge a frame of a recorder's socket."""
        generation = await self._with_lists_of(child)
        beside = begun_by(generation, child)
        if generation.socket is not SocketMode.JUDGE:
            return beside
        if found.command is Command.PAGE:
            content = text[found.place[0] : found.place[1]]
            page = await run(len(content) > ON_LOOP, read_page, content)
            if page is not None:
                await self._pages.decide(beside, page)
            return beside
        uploads = self._uploads()
        upload = found.upload or await run(len(text) > ON_LOOP, read_upload, text, found.place)
        policy = uploads.set_facts(beside, upload.ids if upload is not None else NO_QUERY)
        if not await uploads.is_blocked(beside, policy) and policy.reads_calls:
            start, end = upload.place if upload is not None else (0, 0)
            beside.form = Route.EVENT if found.command is Command.EVENT else Route.BUNDLE
            await uploads.cut_invalid(beside, policy, text[start:end])
        return beside

    async def _with_lists_of(self, flow: Flow) -> Generation:
        """Return the generation, with the lists at run time that the flow is really decided by."""
        wanted = flow.generation.run_time
        if self.generation.run_time.keys() != wanted.keys():
            self.generation = await to_thread(self.generation.with_lists, wanted)
        return self.generation

    def _uploads(self) -> UploadHandler:
        """Return a new handler for each upload. An old one would remember claims that were never made in the ledger."""
        looking = self._looking
        limits = CallLimits(looking.ledger, looking.repeats, looking.clocks, self._deadline, self._live)
        return UploadHandler(looking.ledger, looking.blocked_pages, limits, self._nowhere, self._metrics)
