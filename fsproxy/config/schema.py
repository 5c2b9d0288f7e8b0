"""The configuration: one table of its keys (hence its length). The core's sections are in ``core/settings.py``.

Durations are in seconds, sizes in bytes, shares from 0 to 1. Attributes are named as the keys, except where a field
names its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import urlsplit

from fsproxy.config.hosts import HOST, Node, node
from fsproxy.config.redis_keys import redis_url
from fsproxy.core.audit.privacy import MaskAddress, address_mask
from fsproxy.core.keys import (
    ANY_TEXT,
    COUNT,
    COUNT_OR_ZERO,
    HEADER,
    STRING,
    TEXT,
    TRUTH,
    Leaf,
    ListOf,
    MapOf,
    SectionOf,
    checked,
    choice,
    matching,
    needed,
    or_null,
    section,
    setting,
    trimmed,
    whole,
    words,
)
from fsproxy.core.model import Mode, OnTrouble
from fsproxy.core.settings import CoreSettings, Entry, rules
from fsproxy.core.units import DURATION, DURATION_OR_ZERO, SHARE, SIZE
from fsproxy.core.wire import rewrites

Network = IPv4Network | IPv6Network


@unique
class TopMode(StrEnum):
    """The whole program's mode: the cap on every filter's, or no decisions at all."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    BYPASS = "bypass"

    @property
    def cap(self) -> Mode:
        """The mode that the core obeys: no filter's or limit's is stronger. ``bypass`` is ``off`` there."""
        return Mode.OFF if self is TopMode.BYPASS else Mode(self.value)


@dataclass(frozen=True, slots=True)
class ModeSwitch:
    """What ``POST /mode`` asks for. It goes before the configuration's mode, until a restart."""

    mode: TopMode
    privacy: bool = True
    """False: under ``bypass`` not even the privacy rules are judged."""


@unique
class SocketMode(StrEnum):
    """What happens to WebSockets."""

    JUDGE = "judge"
    TUNNEL = "tunnel"
    REFUSE = "refuse"


@unique
class StateBackend(StrEnum):
    """Where the state is kept."""

    MEMORY = "memory"
    REDIS = "redis"


@unique
class AddressPrivacy(StrEnum):
    """How much of the client's address an audit line carries."""

    FULL = "full"
    TRUNCATED = "truncated"
    HASHED = "hashed"
    NONE = "none"


def _secret(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if (
        not text.isprintable()
        or any(c in text for c in ' \\?#<>"')
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or "@" in parts.netloc
        or parts.port == 0
    ):
        raise ValueError
    return text


def _by_length(prefixes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(prefixes.items(), key=lambda item: (-len(item[0]), item[0])))


_SECRET = trimmed(
    Leaf(
        "a secret",
        "a text on one line, not empty, without control characters; blanks and line ends around it do not count",
        _secret,
        TEXT.schema,
    )
)
_URL = Leaf(
    "an http or https address",
    "http://HOST or https://HOST, with :PORT and a path if need be, without user, query and fragment",
    _url,
    STRING,
)
_REDIS_URL = trimmed(
    Leaf(
        "a Redis address",
        "redis://HOST:PORT/DATABASE, rediss:// (TLS) or unix:///PATH; a user and a password with special characters "
        "have keys of their own, username and password",
        redis_url,
        {"type": "string", "pattern": r"^(?:(rediss?|unix)://\S+)$"},
    )
)
_NODE = Leaf("a server's address", "HOST:PORT, such as 10.0.0.1:26379 or [2001:db8::1]:26379", node, STRING)
_NODES = ListOf[tuple[Node, ...]](_NODE, lambda found: tuple(dict.fromkeys(found)), STRING)
_PATH = matching("a path", "a path that starts with /, without ? and #", r"/[^\s?#]*")
_PATHS = ListOf[tuple[str, ...]](_PATH, tuple, _PATH.schema)
_PATTERN = checked("a pattern of paths", rewrites.PATTERN, rewrites.pattern_problem)
_REPLACEMENT = checked("what a path can become", rewrites.REPLACEMENT, rewrites.target_problem)
_ORIGIN = matching(
    "an origin",
    "a scheme and a host, such as https://www.example.com, with :PORT if need be",
    r"https?://[A-Za-z0-9._~\[\]:-]+",
)
_PORT = whole(0, 65_535)
_HOSTS = ListOf[tuple[str, ...]](HOST, lambda found: tuple(dict.fromkeys(found)), HOST.schema, lone=True)
_NETWORKS = ListOf[tuple[Network, ...]](
    Leaf("a network", "an address, or a network with no bits after its prefix, such as 10.0.0.0/8", ip_network, STRING),
    tuple,
    STRING,
)
_COOKIE = matching("a cookie's name", "a cookie's name, without its value", r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """TLS towards recorders."""

    cert: str = needed(TEXT, "PEM file of the certificate chain.")
    key: str = needed(TEXT, "PEM file of the private key.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenConfig:
    """Where recorders are answered."""

    host: tuple[str, ...] = setting("0.0.0.0", _HOSTS, "Address to listen on, or a list; :: serves both families.")
    port: int = setting(8080, _PORT, "Port to listen on; 0 takes a free one.")
    unix: str | None = setting(None, or_null(TEXT), "Path of a unix socket, in place of host and port.")
    tls: ServerTls | None = setting(
        None, SectionOf(ServerTls, nullable=True), "Certificate and key; without them plain HTTP."
    )
    proxy_protocol: bool = setting(
        False, TRUTH, "Connections come from trusted_proxies alone, and begin with a PROXY header, version 1 or 2."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminConfig:
    """Health, metrics, the admin API and its page."""

    host: tuple[str, ...] = setting("127.0.0.1", _HOSTS, "Address to listen on, or a list, as in listen.")
    port: int = setting(8081, _PORT, "Port to listen on; 0 takes a free one.")
    token: str | None = setting(
        None,
        or_null(_SECRET),
        "Bearer token of the API and the page; off loopback they answer with one only.",
        secret=True,
    )
    read_token: str | None = setting(
        None,
        or_null(_SECRET),
        "Bearer token that may read everything and change nothing; not the same as token.",
        secret=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What one client may cost."""

    max_body: int = setting("64MB", SIZE, "Largest body as sent; above it 413.")
    max_page: int = setting("1MB", SIZE, "Largest body of a page request, decompressed; above it 413. Page frames too.")
    max_decompressed: int = setting("64MB", SIZE, "Largest body once decompressed; above it 413.")
    max_header: int = setting("16KB", SIZE, "Largest request head.")
    header_timeout: float = setting("10s", DURATION, "Time for the request head.")
    body_rate: int = setting("256B", SIZE, "Bytes a second that a body must come at on average after 30 s.")
    body_timeout: float = setting(
        "30s", DURATION, "Longest gap in a body; also head to end of one that is read, unless it comes at body_rate."
    )
    keepalive: float = setting("75s", DURATION, "How long an idle client connection is kept.")
    max_connections: int = setting(10_000, COUNT, "Client connections at a time.")
    drain: float = setting("15s", DURATION_OR_ZERO, "How long requests under way may take at shutdown.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """TLS towards a server."""

    verify: bool = setting(True, TRUTH, "Whether the server's certificate must be valid.")
    ca: str | None = setting(None, or_null(TEXT), "PEM file of the authorities to trust in place of the system's.")
    cert: str | None = setting(None, or_null(TEXT), "PEM file of our client certificate.")
    key: str | None = setting(None, or_null(TEXT), "PEM file of its private key.")


class UpstreamTls(ClientTls):
    """TLS towards the upstream."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTimeouts:
    """How long the upstream may take."""

    connect: float = setting("3s", DURATION, "To connect, TLS included.")
    response: float = setting(
        "30s", DURATION, "From the request's end to the answer's first byte, and between two bytes of it."
    )
    idle: float = setting("60s", DURATION, "How long an unused connection is kept.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteConfig:
    """A path that the upstream knows by another name."""

    path: str = needed(_PATTERN, "The beginning of a path, or regex: and a pattern (RE2); what it matches is replaced.")
    to: str = needed(_REPLACEMENT, r"A path or a whole URL; \1 is what a group of the pattern matched.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConfig:
    """The capture backend that everything is forwarded to."""

    url: str = needed(_URL, "Where the existing capture backend is.")
    prefixes: tuple[tuple[str, str], ...] = setting(
        {}, MapOf(_URL, _by_length), "Other backends by path prefix; the longest one wins."
    )
    timeouts: UpstreamTimeouts = section(UpstreamTimeouts)
    max_connections: int = setting(512, COUNT, "Upstream connections at a time.")
    cookies: frozenset[str] | None = setting(
        ["fs_uid"],
        ListOf[frozenset[str] | None](_COOKIE, frozenset, _COOKIE.schema, "all"),
        "Names of the cookies that go up, or all.",
    )
    page_retry: float = setting(
        "3s", DURATION_OR_ZERO, "How long a page request waits for an upstream that refuses connections."
    )
    forwarded: bool = setting(False, TRUTH, "Also send RFC 7239 Forwarded.")
    origin: str | None = setting(
        None, or_null(_ORIGIN), "Goes up in place of the Origin header; answers get the client's own back."
    )
    rewrite: tuple[RewriteConfig, ...] = setting(
        [], SectionOf(RewriteConfig, many=True), "Paths that go up as others; the first that matches, before prefixes."
    )
    tls: UpstreamTls = section(UpstreamTls)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIpConfig:
    """Whose word is taken for the client's address."""

    trusted_proxies: tuple[Network, ...] = setting(
        ["127.0.0.0/8", "::1/128"], _NETWORKS, "Networks and addresses of the proxies in front."
    )
    header: str = setting("x-forwarded-for", HEADER, "x-forwarded-for, forwarded, or a single-value header.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesConfig:
    """Which paths carry what."""

    GROUPS: ClassVar[Mapping[str, str]] = {"direct": "Calls without a recorder."}

    page: tuple[str, ...] = setting(["/rec/page"], _PATHS, "Page requests.")
    bundle: tuple[str, ...] = setting(["/rec/bundle", "/rec/bundle/v2"], _PATHS, "Uploads of recorded events.")
    event: tuple[str, ...] = setting(["/rec/event"], _PATHS, "Uploads of single events.")
    socket: tuple[str, ...] = setting(["/rec/sock"], _PATHS, "WebSockets.")
    direct_event: str | None = setting(
        "/client/event", or_null(_PATH), "Path of custom events; null to have none.", at="direct.event"
    )
    direct_identify: str | None = setting(
        "/client/identify", or_null(_PATH), "Path of identify; null to have none.", at="direct.identify"
    )
    direct_set_user_vars: str | None = setting(
        "/client/setUserVars", or_null(_PATH), "Path of user variables; null to have none.", at="direct.set_user_vars"
    )
    server_api: bool = setting(True, TRUTH, "Whether the vendor's server API is inspected.")


class RedisTls(ClientTls):
    """TLS towards Redis, and towards the Sentinels."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelConfig:
    """The Sentinels that know which server is the primary."""

    master: str = needed(TEXT, "The name that they know the primary by.")
    nodes: tuple[Node, ...] = needed(
        replace(_NODES, lone=True), "Their addresses, HOST:PORT; one that is down is skipped."
    )
    username: str | None = setting(None, or_null(TEXT), "User of the Sentinels, if they want one.")
    password: str | None = setting(
        None, or_null(_SECRET), "Password of the Sentinels; never the server's.", secret=True
    )
    tls: bool | None = setting(
        None, or_null(TRUTH), "Whether they speak TLS; null: as the servers, by state.redis.tls."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    """The Redis or Valkey that instances share: a server, a primary or a Cluster. Not used in memory."""

    url: str = setting(
        "redis://127.0.0.1:6379/0",
        _REDIS_URL,
        "Address of one server, or of any node of a Cluster: redis://, rediss:// (TLS) or unix://.",
        secret=True,
    )
    sentinel: SentinelConfig | None = setting(
        None, SectionOf(SentinelConfig, nullable=True), "In place of url: the Sentinels that know the primary."
    )
    cluster: bool = setting(False, TRUTH, "Whether it is a Cluster, of which url or nodes name any nodes.")
    nodes: tuple[Node, ...] = setting([], _NODES, "In place of url, with cluster: HOST:PORT of some of its nodes.")
    database: int | None = setting(None, or_null(COUNT_OR_ZERO), "Its number; null: the one in url, or 0.")
    username: str | None = setting(None, or_null(TEXT), "User (ACL), if it is not in url.")
    password: str | None = setting(
        None, or_null(_SECRET), "Password as it is, with any characters, if it is not in url.", secret=True
    )
    tls: RedisTls | None = setting(
        None, SectionOf(RedisTls, nullable=True), "Certificates; with sentinel or nodes, {} turns TLS on."
    )
    prefix: str = setting("fsproxy:", ANY_TEXT, "What all keys start with.")
    timeout: float = setting("250ms", DURATION, "How long an answer may take before the store counts as down.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistConfig:
    """Where the memory form of the state is kept over a restart."""

    path: str = setting("var/fsproxy.sqlite", TEXT, "SQLite file.")
    every: float = setting("1s", DURATION, "How often it is written: what a crash may lose.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateConfig:
    """Where the exact limits are counted."""

    backend: StateBackend = setting("memory", choice(StateBackend), "memory | redis")
    persist: PersistConfig | None = setting({}, SectionOf(PersistConfig, nullable=True), "Memory only; null to forget.")
    redis: RedisConfig = section(RedisConfig)
    on_error: OnTrouble = setting(
        "allow", choice(OnTrouble), "When the store is down: allow | block new pages.", compare=False
    )
    """The core obeys it. It is not compared, as it is no part of the store, which only a restart changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    """One line for each outcome."""

    GROUPS: ClassVar[Mapping[str, str]] = {"share": "Rejected, shadow-hit and failed ones always get their line."}

    to: str = setting(
        "stdout",
        TEXT,
        "stdout, stderr, or a file's path, opened again when moved, and on SIGHUP.",
    )
    share_page: float = setting("100%", SHARE, "Share of page requests.", at="share.page")
    share_bundle: float = setting("100%", SHARE, "Share of bundles, events and sockets.", at="share.bundle")
    share_direct: float = setting("100%", SHARE, "Share of direct and server API calls.", at="share.direct")
    share_other: float = setting("0%", SHARE, "Share of what only passes through.", at="share.other")
    share_blocked: float = setting(
        "100%",
        SHARE,
        "Share of what is blocked, in place of its route's; the first hit of each rule a minute is always written.",
        at="share.blocked",
    )
    client_ip: AddressPrivacy = setting(
        "truncated", choice(AddressPrivacy), "full | truncated (/24, /48) | hashed (HMAC with key) | none"
    )
    client_ip_key: str | None = setting(None, or_null(_SECRET), "HMAC key of client_ip: hashed.", at="key", secret=True)
    rejections: int = setting(20, COUNT_OR_ZERO, "At most this many are listed in one line; the count is always whole.")

    @property
    def mask(self) -> MaskAddress:
        """What writes visitors' addresses."""
        return address_mask(self.client_ip.value, self.client_ip_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """The operational log, on stderr."""

    level: str = setting(
        "info",
        words({each: each for each in ("debug", "info", "warning", "error")}),
        "debug | info | warning | error",
    )
    format: str = setting(
        "auto",
        words({each: each for each in ("auto", "json", "console")}),
        "auto (coloured on a terminal, JSON otherwise) | json | console",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadConfig:
    """Loading a changed configuration while the program runs."""

    max_change: float | None = setting(
        None,
        or_null(SHARE),
        "Hold back a configuration that would change more of the last ten minutes' pages; null: load any.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsConfig:
    """Credentialed CORS headers on answers that the proxy makes itself."""

    origins: tuple[Entry, ...] | None = setting(
        "any", rules("origin", "any"), "any, or hosts as in filters.domain, SCHEME://HOST, null, file://."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of fsproxy."""

    mode: TopMode = setting(
        "enforce",
        choice(TopMode),
        "enforce | shadow (judge and audit, block nothing) | bypass (judge nothing, forward)",
    )
    listen: ListenConfig = section(ListenConfig)
    admin: AdminConfig = section(AdminConfig)
    workers: int = setting(1, COUNT, "Processes; more than 1 needs state.backend: redis.")
    server: ServerConfig = section(ServerConfig)
    upstream: UpstreamConfig = needed(SectionOf(UpstreamConfig), "The capture backend that everything is forwarded to.")
    client_ip: ClientIpConfig = section(ClientIpConfig)
    routes: RoutesConfig = section(RoutesConfig)
    socket: SocketMode = setting("judge", choice(SocketMode), "WebSockets: judge | tunnel | refuse")
    core: CoreSettings = field(default_factory=CoreSettings)
    state: StateConfig = section(StateConfig)
    audit: AuditConfig = section(AuditConfig)
    log: LogConfig = section(LogConfig)
    reload: ReloadConfig = section(ReloadConfig)
    cors: CorsConfig = section(CorsConfig)
    files: tuple[str, ...] = ()
    """Every file that was read: the configuration itself, then the ``file:`` lists, as absolute paths."""
    hashes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """sha256 of each of ``files``."""
    warnings: tuple[str, ...] = ()
    """Of keys that are read, and will not be for ever: each with its place, and without a value."""
