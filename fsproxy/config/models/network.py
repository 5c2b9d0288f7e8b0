"""The sections that say who is answered, where, and whom to ask, as users write them (config/fsproxy.yaml)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fsproxy.config.fields import (
    Count,
    Duration,
    DurationOrZero,
    Header,
    PathOrNull,
    Port,
    SecretOrNull,
    Size,
    Text,
    TextOrNull,
    Truth,
    Url,
)
from fsproxy.config.lists import CookieNames, Hosts, Networks, Paths
from fsproxy.config.problems import Problem
from fsproxy.config.sections import BY_NAME, OR_NULL, Section, needed, section, setting
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Sequence, Table


class ServerTlsSection(Section):
    """TLS towards recorders."""

    cert: Text = needed("PEM file of the certificate chain.")
    key: Text = needed("PEM file of the private key.")


class ListenSection(Section):
    """Where recorders are answered."""

    host: Hosts = setting("0.0.0.0", "Address to listen on, or a list; :: serves both families.")
    port: Port = setting(8080, "Port to listen on; 0 takes a free one.")
    unix: TextOrNull = setting(None, "Path of a unix socket, in place of host and port.")
    tls: Annotated[ServerTlsSection | None, OR_NULL] = setting(None, "Certificate and key; without them plain HTTP.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """An address or a socket, not both."""
        host = table.members.get("host")
        other = host if isinstance(host, Sequence) else table.scalar("host") or table.scalar("port")
        if table.scalar("unix") and other:
            yield other.problem("stands beside unix", "host and port, or unix alone")


class AdminSection(Section):
    """Health, metrics, the admin API and its page."""

    host: Hosts = setting("127.0.0.1", "Address to listen on, or a list, as in listen.")
    port: Port = setting(8081, "Port to listen on; 0 takes a free one.")
    token: SecretOrNull = setting(None, "Bearer token of the API and the page; off loopback they answer with one only.")


class ServerSection(Section):
    """What one client may cost."""

    max_body: Size = setting("64MB", "Largest body as sent; above it 413.")
    max_page: Size = setting("1MB", "Largest body of a page request, decompressed; above it 413. Page frames too.")
    max_decompressed: Size = setting("64MB", "Largest body once decompressed; above it 413.")
    max_header: Size = setting("16KB", "Largest request head.")
    header_timeout: Duration = setting("10s", "Time for the request head.")
    body_rate: Size = setting("256B", "Bytes a second that a body must come at on average after 30 s.")
    body_timeout: Duration = setting(
        "30s", "Longest gap in a body; also head to end of one that is read, unless it comes at body_rate."
    )
    keepalive: Duration = setting("75s", "How long an idle client connection is kept.")
    max_connections: Count = setting(10_000, "Client connections at a time.")
    drain: DurationOrZero = setting("15s", "How long requests under way may take at shutdown.")


class UpstreamTlsSection(Section):
    """TLS towards the upstream."""

    verify: Truth = setting(True, "Whether the upstream's certificate must be valid.")
    ca: TextOrNull = setting(None, "PEM file of the authorities to trust in place of the system's.")
    cert: TextOrNull = setting(None, "PEM file of our client certificate.")
    key: TextOrNull = setting(None, "PEM file of its private key.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """A client certificate needs its key."""
        for one, other in (("cert", "key"), ("key", "cert")):
            if (found := table.scalar(one)) and not table.scalar(other):
                yield found.problem(f"stands without {other}", "cert and key, or neither")


class TimeoutsSection(Section):
    """How long the upstream may take."""

    connect: Duration = setting("3s", "To connect, TLS included.")
    response: Duration = setting(
        "30s", "From the request's end to the answer's first byte, and between two bytes of it."
    )
    idle: Duration = setting("60s", "How long an unused connection is kept.")


class UpstreamSection(Section):
    """The capture backend that everything is forwarded to."""

    url: Url = needed("Where the existing capture backend is.")
    prefixes: Annotated[dict[str, Url], BY_NAME] = setting({}, "Other backends by path prefix; the longest one wins.")
    timeouts: TimeoutsSection = section(TimeoutsSection, "How long the upstream may take.")
    max_connections: Count = setting(512, "Upstream connections at a time.")
    cookies: CookieNames = setting(["fs_uid"], "Names of the cookies that go up, or all.")
    page_retry: DurationOrZero = setting(
        "3s", "How long a page request waits for an upstream that refuses connections."
    )
    forwarded: Truth = setting(False, "Also send RFC 7239 Forwarded.")
    tls: UpstreamTlsSection = section(UpstreamTlsSection, "TLS towards the upstream.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """A prefix is one of a path."""
        prefixes = table.members.get("prefixes")
        for prefix, node in prefixes.members.items() if isinstance(prefixes, Table) else ():
            if not prefix.startswith("/"):
                yield node.key_problem("is not a path prefix", "a path that starts with /")


class ClientIpSection(Section):
    """Whose word is taken for the client's address."""

    trusted_proxies: Networks = setting(["127.0.0.0/8", "::1/128"], "Networks and addresses of the proxies in front.")
    header: Header = setting("x-forwarded-for", "x-forwarded-for, forwarded, or a single-value header.")


class DirectRoutesSection(Section):
    """Routes on which a page calls the proxy without a recorder."""

    event: PathOrNull = setting("/client/event", "Path of custom events; null to have none.")
    identify: PathOrNull = setting("/client/identify", "Path of identify; null to have none.")
    set_user_vars: PathOrNull = setting("/client/setUserVars", "Path of user variables; null to have none.")


class RoutesSection(Section):
    """Which paths carry what."""

    page: Paths = setting(["/rec/page"], "Page requests.")
    bundle: Paths = setting(["/rec/bundle", "/rec/bundle/v2"], "Uploads of recorded events.")
    event: Paths = setting(["/rec/event"], "Uploads of single events.")
    socket: Paths = setting(["/rec/sock"], "WebSockets.")
    direct: DirectRoutesSection = section(DirectRoutesSection, "Calls without a recorder.")
    server_api: Truth = setting(True, "Whether the vendor's server API is inspected.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """A path carries one thing."""
        seen: dict[str, Node] = {}
        direct = table.members.get("direct")
        nodes = [node for name in ("page", "bundle", "event", "socket") for node in table.sequence(name)]
        nodes += direct.members.values() if isinstance(direct, Table) else ()
        for node in nodes:
            if isinstance(node, Scalar) and node.kind is not Kind.NULL:
                first = seen.setdefault(node.text, node)
                if first is not node:
                    yield node.problem(f"is {first.path} already", "each path once")
