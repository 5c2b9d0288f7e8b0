"""The configuration's typed, frozen form: what the shell is told, and in ``core`` what the core is.

``models.py`` checks YAML and makes these; every default stands in both places only
because a test compares them. Durations in seconds, sizes in bytes, shares from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType

from fsproxy.core.settings import CoreSettings, Entry

KB = 1024
MB = 1024 * KB
Network = IPv4Network | IPv6Network


@unique
class TopMode(StrEnum):
    """The whole program's mode: the cap on every filter's, or no judging at all."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """Paths of PEM files."""

    cert: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenConfig:
    """Where recorders are answered: an address, or a unix socket."""

    host: tuple[str, ...] = ("0.0.0.0",)
    port: int = 8080
    unix: str | None = None
    tls: ServerTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminConfig:
    host: tuple[str, ...] = ("127.0.0.1",)
    port: int = 8081
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What one client may cost us."""

    max_body: int = 64 * MB
    max_page: int = MB
    max_decompressed: int = 64 * MB
    max_header: int = 16 * KB
    header_timeout: float = 10.0
    body_rate: int = 256
    """Bytes a second."""
    body_timeout: float = 30.0
    keepalive: float = 75.0
    max_connections: int = 10_000
    drain: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    verify: bool = True
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTimeouts:
    connect: float = 3.0
    response: float = 30.0
    """From the end of the request to the first byte of the answer, and between two bytes of it."""
    idle: float = 60.0
    """How long an unused connection is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConfig:
    url: str
    """Scheme, host, port and an optional path prefix; no query."""
    prefixes: tuple[tuple[str, str], ...] = ()
    """(path prefix, url), longest first."""
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    max_connections: int = 512
    cookies: frozenset[str] | None = frozenset({"fs_uid"})
    """Names that go up; None: all."""
    page_retry: float = 3.0
    forwarded: bool = False
    tls: UpstreamTls = UpstreamTls()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIpConfig:
    trusted_proxies: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    header: str = "x-forwarded-for"
    """Lower case: ``x-forwarded-for``, ``forwarded``, or a single-value header."""


@unique
class SocketMode(StrEnum):
    JUDGE = "judge"
    TUNNEL = "tunnel"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesConfig:
    page: tuple[str, ...] = ("/rec/page",)
    bundle: tuple[str, ...] = ("/rec/bundle", "/rec/bundle/v2")
    event: tuple[str, ...] = ("/rec/event",)
    socket: tuple[str, ...] = ("/rec/sock",)
    direct_event: str | None = "/client/event"
    direct_identify: str | None = "/client/identify"
    direct_set_user_vars: str | None = "/client/setUserVars"
    server_api: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConfig:
    url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    prefix: str = "fsproxy:"
    timeout: float = 0.25


@unique
class StateBackend(StrEnum):
    MEMORY = "memory"
    REDIS = "redis"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistConfig:
    path: str = "var/fsproxy.sqlite"
    every: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StateConfig:
    backend: StateBackend = StateBackend.MEMORY
    persist: PersistConfig | None = PersistConfig()
    redis: RedisConfig = RedisConfig()


@unique
class AddressPrivacy(StrEnum):
    """How much of the client's address an audit line carries."""

    FULL = "full"
    TRUNCATED = "truncated"
    HASHED = "hashed"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    to: str = "stdout"
    """``stdout``, ``stderr`` or a file's path."""
    share_page: float = 1.0
    share_bundle: float = 1.0
    share_direct: float = 1.0
    share_other: float = 0.0
    client_ip: AddressPrivacy = AddressPrivacy.TRUNCATED
    client_ip_key: str | None = field(default=None, repr=False)
    """HMAC key of ``hashed``."""
    rejections: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    level: str = "info"
    format: str = "auto"
    """``auto``, ``json`` or ``console``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsConfig:
    """Who gets credentialed CORS headers on answers of ours: None is any origin."""

    origins: tuple[Entry, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One configuration file, whole."""

    upstream: UpstreamConfig
    mode: TopMode = TopMode.ENFORCE
    listen: ListenConfig = ListenConfig()
    admin: AdminConfig = AdminConfig()
    workers: int = 1
    server: ServerConfig = ServerConfig()
    client_ip: ClientIpConfig = ClientIpConfig()
    routes: RoutesConfig = RoutesConfig()
    socket: SocketMode = SocketMode.JUDGE
    core: CoreSettings = field(default_factory=CoreSettings)
    state: StateConfig = StateConfig()
    audit: AuditConfig = AuditConfig()
    log: LogConfig = LogConfig()
    cors: CorsConfig = CorsConfig()
    files: tuple[str, ...] = ()
    """Every file that was read: the configuration itself, then the ``file:`` lists, as absolute paths."""
    hashes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """sha256 of each of ``files``."""
