"""One request from its head to its audit line: what is known of it so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsproxy.config.schema import TopMode
from fsproxy.core.failures import Failure
from fsproxy.core.model import Instant, Location, Route, SessionFacts
from fsproxy.core.pipeline import CAPTURE, Decision, PageAnswer
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wire.answers import cookie_domain
from fsproxy.core.wire.facts import NO_QUERY, BundleQuery, bundle_query

if TYPE_CHECKING:
    from fsproxy.core.client_api.outcome import CallsOutcome
    from fsproxy.core.client_api.reading.server_api import ServerCall
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.core.wire.client_address import ClientAddress
    from fsproxy.core.wire.header_values import Headers
    from fsproxy.http.client_request import ClientRequest
    from fsproxy.http.response_writer import ResponseWriter
    from fsproxy.proxy.generation import Generation


class Flow:
    """Filled in on the way; read once, at the end."""

    __slots__ = (
        "answer",
        "arrived",
        "bytes_in",
        "bytes_out",
        "calls",
        "client",
        "close",
        "decision",
        "endpoint",
        "facts",
        "failure",
        "form",
        "generation",
        "headers",
        "path",
        "query",
        "rejected",
        "rejected_count",
        "request",
        "request_id",
        "retried",
        "route",
        "sent_ns",
        "started_ns",
        "status",
        "target",
        "token",
        "uid",
        "uninspectable",
        "upload",
        "writer",
    )

    def __init__(
        self,
        request: ClientRequest,
        generation: Generation,
        headers: Headers,
        client: ClientAddress,
        token: str,
        arrived: Instant,
        started_ns: int,
    ) -> None:
        self.request = request
        self.generation = generation
        self.headers = headers
        """Lower-case names, repeated lines joined."""
        self.client = client
        self.token = token
        """Unique to this request in all the world; names a reservation in the ledger."""
        self.request_id = client.request_id or token
        """A trusted proxy's, else ours."""
        self.arrived = arrived
        self.started_ns = started_ns
        self.target = ""
        """As it goes upstream: raw, in origin form."""
        self.path = ""
        self.query = ""
        self.route = Route.OTHER
        self.form: Route | None = None
        """In a socket's frame: the route on which HTTP carries such a body."""
        self.endpoint: ServerCall | None = None
        """On the server API."""
        self.upload: BundleQuery | None = None
        """What the query says; of a socket's frame, what the frame says in its place."""
        self.facts: SessionFacts | None = None
        self.decision: Decision = CAPTURE
        self.rejected = False
        """Nothing was forwarded, as no call in it was valid."""
        self.rejected_count = 0
        """What of a direct or server call was cut while the rest goes on."""
        self.uid = 0
        """Digest of the uid that the body's calls give to its session; 0: none."""
        self.uninspectable = False
        """A capture body that could not be read."""
        self.calls: CallsOutcome | None = None
        self.answer: PageAnswer | None = None
        self.writer: ResponseWriter | None = None
        self.status = 0
        self.failure: Failure | None = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.sent_ns = 0
        """When the request went upstream; 0 when it did not."""
        self.retried = False
        self.close = request.close
        """The client's connection ends with this answer."""

    def locate(self, policy: OrgPolicy) -> Location | None:
        """The visitor's location, if any rule of the org asks for one."""
        if policy.geo_source is None:
            return None
        return self.generation.locator.locate(policy.geo_source, self.client, self.headers)

    def read_query(self) -> BundleQuery:
        """The query of a capture route, read once."""
        if self.upload is None:
            self.upload = bundle_query(self.query) if self.query else NO_QUERY
        return self.upload

    def child(self, generation: Generation, number: int, arrived: Instant, started_ns: int) -> Flow:
        """One frame of the socket that this request opened: judged, counted and recorded by itself.

        ``generation``: the present one, as a socket may outlive many.
        """
        child = Flow(self.request, generation, self.headers, self.client, f"{self.token}.{number}", arrived, started_ns)
        child.request_id = f"{self.request_id}.{number}"
        child.route, child.path, child.query, child.target = self.route, self.path, self.query, self.target
        return child

    @property
    def most_body(self) -> int:
        """Bytes that the body may have as it was sent: ``server.max_body``, of a page ``server.max_page``."""
        server = self.generation.config.server
        if self.route is Route.PAGE and self.generation.mode is not TopMode.BYPASS:
            return min(server.max_page, server.max_body)
        return server.max_body

    @property
    def block_terms(self) -> tuple[ReasonCode, str, str]:
        """What a block tells the client: the code, the cookie's domain, the user id that a ramped-out visitor keeps."""
        facts, hit = self.facts, self.decision.block
        code = hit.code if hit is not None else ReasonCode.UNSPECIFIED
        url = facts.url if facts is not None else None
        if url is None and self.origin is not None:
            url = self.origin.decode("latin-1")
        fresh = facts.fresh_user_id if facts is not None and code is ReasonCode.TRAFFIC_RAMPING else ""
        return code, cookie_domain(url, self.generation.registrable), fresh

    @property
    def is_page(self) -> bool:
        """A page request, or a socket's frame that stands for one."""
        return self.route is Route.PAGE or (self.facts is not None and self.facts.route is Route.PAGE)

    @property
    def failed(self) -> bool:
        """Nothing came of it. An upload whose client left has not failed: it went up, and the upstream answered."""
        if self.failure is Failure.CLIENT_GONE:
            return self.is_page or not self.status
        return self.failure is not None

    @property
    def rejected_header(self) -> tuple[tuple[bytes, bytes], ...]:
        """Told beside the upstream's answer to a direct or server call of which something was cut (rules.md 3)."""
        return ((b"FSProxy-Rejected", b"%d" % self.rejected_count),) if self.rejected_count else ()

    @property
    def origin(self) -> bytes | None:
        """The Origin header, where answers of ours carry CORS."""
        return self.headers.get(b"origin") if self.is_capture else None

    @property
    def is_capture(self) -> bool:
        """A route that is read and judged; its proxy-made answers carry CORS."""
        return self.route is not Route.OTHER
