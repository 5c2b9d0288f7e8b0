"""The flow: one request from its head to its audit line, with all that is known of it so far."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fsproxy.clock import monotonic_ns, now
from fsproxy.config.schema import TopMode
from fsproxy.core.failures import Failure
from fsproxy.core.model import OTHER, PAGE, Instant, Location, Route, SessionFacts
from fsproxy.core.pipeline import CAPTURE, Decision, PageAnswer
from fsproxy.core.wire.answers import cookie_domain
from fsproxy.core.wire.facts import NO_QUERY, BundleQuery
from fsproxy.core.wire.routes import origin_form
from fsproxy.http.client_request import ClientRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fsproxy.core.client_api.outcome import CallsOutcome
    from fsproxy.core.client_api.reading.server_api import ServerCall
    from fsproxy.core.policy import OrgPolicy
    from fsproxy.core.settings import GeoSource
    from fsproxy.core.wire.client_address import ClientAddress
    from fsproxy.http.response_writer import ResponseWriter
    from fsproxy.proxy.generation import Generation


NOTHING: Mapping[int, int] = MappingProxyType({})
_LATER: Any = None
"""The value of what ``Flow.open`` sets first of all."""
_BYPASS = TopMode.BYPASS


class Flow(ClientRequest, eq=False):
    """Everything about one request. Handlers fill it in on its way; the recorder reads it once, at the end.

    It is the request itself, with what the proxy finds out about it. ``target`` goes upstream: raw, in origin form.
    """

    generation: Generation = _LATER
    """The one that was in force when the request came: it is kept to the end."""
    client: ClientAddress = _LATER
    token: str = ""
    """Unique to this request in all the world; names a reservation in the ledger."""
    arrived: Instant = Instant(0.0)
    started_ns: int = 0
    request_id: str = ""
    """A trusted proxy's, else ours; ``wire_id`` is the same, as it is sent."""
    path: str = ""
    query: str = ""
    route: Route = OTHER
    form: Route | None = None
    """In a socket's frame: the route on which HTTP carries such a body."""
    endpoint: ServerCall | None = None
    """On the server API: which call its path takes."""
    upload: BundleQuery = NO_QUERY
    """The values of a judged request's query; of a socket's frame, those that it carries in their place."""
    facts: SessionFacts | None = None
    policy: OrgPolicy | None = None
    """The rules of the org that the facts name; set with them."""
    fresh_user_id: str = ""
    """The user id by which ramping judges a first visit, if it was made before the decision."""
    decision: Decision = CAPTURE
    rejected: bool = False
    """Nothing was forwarded, as no call in the body was valid."""
    rejected_count: int = 0
    """How much of a direct or server call was cut while the rest goes on."""
    uid: int = 0
    """Digest of the uid that the body's calls give to its session; 0: none."""
    calls: CallsOutcome | None = None
    redacted: Mapping[int, int] = NOTHING
    """How often each rule of the generation's redaction was found in the body."""
    answer: PageAnswer | None = None
    writer: ResponseWriter | None = None
    status: int = 0
    failure: Failure | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    sent_ns: int = 0
    """When the request went upstream; 0 if it did not."""

    def open(self, generation: Generation, token: str) -> None:
        """Fill in what is known of a request before it is read."""
        self.started_ns, self.arrived = monotonic_ns(), now()
        self.generation, self.token = generation, token
        connection = self.connection
        scheme = "https" if connection.secure else "http"
        client = self.client = generation.clients.resolve(connection.peer, self.headers, scheme)
        self.request_id = client.request_id or token
        self.wire_id = self.request_id.encode("ascii", "replace")
        target = self.target
        if target[:1] != "/":
            target = self.target = origin_form(target)
        path, _, self.query = target.partition("?")
        self.path, method, routes = path, self.method, generation.routes
        matched = routes.with_body.get(path) if method == "POST" else None
        if matched is None:
            has_body = bool(self.length) or b"transfer-encoding" in self.headers
            matched = routes.match(method, path, has_body=has_body)
        self.route, self.endpoint = matched.route, matched.endpoint
        if "#" in target or (matched.ambiguous and generation.mode is not _BYPASS):
            self.refusal = self.refusal or Failure.BAD_REQUEST

    def locate(self, source: GeoSource) -> Location | None:
        """Return the visitor's location. ``source``: where the org's rules that need it say that it comes from."""
        return self.generation.locator.locate(source, self.client, self.headers)

    def child(self) -> Flow:
        """Return the flow of a frame of the socket that this request opened, to be decided and recorded by itself.

        It is copied for each frame, which gets a generation, a time, and ids of its own.
        """
        return Flow(
            self.connection,
            self.method,
            self.target,
            self.headers,
            self.length,
            self.payload,
            close=self.close,
            client=self.client,
            token=self.token,
            request_id=self.request_id,
            path=self.path,
            query=self.query,
            route=self.route,
        )

    def note_ledger_down(self) -> None:
        """Note in the decision that limits could not be enforced."""
        self.decision = Decision(shadow=self.decision.shadow, failed=self.decision.failed, ledger_down=True)

    @property
    def most_body(self) -> int:
        """The limit of the body as it was sent, in bytes: ``server.max_body``, for a page ``server.max_page``."""
        generation = self.generation
        return generation.most_page if self.route is PAGE else generation.config.server.max_body

    @property
    def cookie_domain(self) -> str:
        """The domain for the recorder's cookie, in answers of ours that block: the page's, else the origin's."""
        url = self.facts.url if self.facts is not None else None
        if url is None and self.origin is not None:
            url = self.origin.decode("latin-1")
        return cookie_domain(url, self.generation.registrable)

    @property
    def origin(self) -> bytes | None:
        """The Origin header, where answers of ours carry CORS."""
        return self.headers.get(b"origin") if self.is_capture else None

    @property
    def is_capture(self) -> bool:
        """A route whose requests are read; answers of ours carry CORS there."""
        return self.route is not OTHER
