"""The configuration as users write it: every key with its default and its meaning (config/fsproxy.yaml).

Defaults are written here as in the file; a test compares them with ``schema.py``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fsproxy.config.fields import (
    AnyText,
    Count,
    CountOrZero,
    Duration,
    SecretOrNull,
    Share,
    Text,
    choice,
    matching,
    more_than_one,
    one_of,
    trimmed,
    whole,
)
from fsproxy.config.lists import Origins
from fsproxy.config.models.client_api import ClientApiSection
from fsproxy.config.models.filters import FiltersSection
from fsproxy.config.models.network import (
    AdminSection,
    ClientIpSection,
    ListenSection,
    RoutesSection,
    ServerSection,
    UpstreamSection,
)
from fsproxy.config.models.orgs import OrgsSection
from fsproxy.config.own_listener import own_listeners, same_port
from fsproxy.config.problems import Problem
from fsproxy.config.schema import AddressPrivacy, SocketMode, StateBackend, TopMode
from fsproxy.config.sections import OR_NULL, Section, needed, section, setting
from fsproxy.config.yaml.positions import Table
from fsproxy.core.model import OnTrouble


class PersistSection(Section):
    """Where the memory form of the state is kept over a restart."""

    path: Text = setting("var/fsproxy.sqlite", "SQLite file.")
    every: Duration = setting("1s", "How often it is written: what a crash may lose.")


class RedisSection(Section):
    """A Redis or Valkey server that instances share."""

    url: Annotated[
        str, trimmed(matching("a Redis address", "redis://, rediss:// or unix://...", r"(rediss?|unix)://\S+"))
    ] = setting("redis://127.0.0.1:6379/0", "Address, with the password if there is one.")
    prefix: AnyText = setting("fsproxy:", "What all keys start with.")
    timeout: Duration = setting("250ms", "How long an answer may take before the store counts as down.")


class StateSection(Section):
    """Where the exact limits are counted."""

    backend: Annotated[StateBackend, choice(StateBackend)] = setting("memory", "memory | redis")
    persist: Annotated[PersistSection | None, OR_NULL] = section(PersistSection, "Memory only; null to forget.")
    redis: RedisSection = section(RedisSection, "Redis only.")
    on_error: Annotated[OnTrouble, choice(OnTrouble)] = setting(
        "allow", "When the store is down: allow | block new pages."
    )


class AuditShareSection(Section):
    """How many of the uneventful requests get their line."""

    page: Share = setting("100%", "Share of page requests.")
    bundle: Share = setting("100%", "Share of bundles, events and sockets.")
    direct: Share = setting("100%", "Share of direct and server API calls.")
    other: Share = setting("0%", "Share of what only passes through.")


class AuditSection(Section):
    """One line for each outcome."""

    to: Text = setting("stdout", "stdout, stderr, or the path of a file, re-opened on SIGHUP.")
    share: AuditShareSection = section(AuditShareSection, "Blocked, rejected and failed ones always get their line.")
    client_ip: Annotated[AddressPrivacy, choice(AddressPrivacy)] = setting(
        "truncated", "full | truncated (/24, /48) | hashed (HMAC with key) | none"
    )
    rejections: CountOrZero = setting(20, "At most this many are listed in one line; the count is always whole.")
    key: SecretOrNull = setting(None, "HMAC key of client_ip: hashed.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """A hash that anybody can repeat hides nothing."""
        found = table.scalar("client_ip")
        if found and found.text == AddressPrivacy.HASHED and not table.scalar("key"):
            yield found.problem("needs audit.key", "key: ${SOME_VARIABLE} beside client_ip: hashed")


class LogSection(Section):
    """The operational log, on stderr."""

    level: Annotated[str, one_of("debug", "info", "warning", "error")] = setting(
        "info", "debug | info | warning | error"
    )
    format: Annotated[str, one_of("auto", "json", "console")] = setting(
        "auto", "auto (coloured on a terminal, JSON otherwise) | json | console"
    )


class CorsSection(Section):
    """Credentialed CORS headers on answers that the proxy makes itself."""

    origins: Origins = setting("any", "any, or patterns as in filters.domain.")


class Root(Section):
    """The configuration of fsproxy."""

    version: Annotated[int, whole(1, 1)] = setting(1, "Of this format.")
    mode: Annotated[TopMode, choice(TopMode)] = setting(
        "enforce", "enforce | shadow (judge and audit, block nothing) | bypass (judge nothing, forward)"
    )
    listen: ListenSection = section(ListenSection, "Where recorders are answered.")
    admin: AdminSection = section(AdminSection, "Health, metrics, the admin API and its page.")
    workers: Count = setting(1, "Processes; more than 1 needs state.backend: redis.")
    server: ServerSection = section(ServerSection, "What one client may cost.")
    upstream: UpstreamSection = needed("The capture backend that everything is forwarded to.")
    client_ip: ClientIpSection = section(ClientIpSection, "Whose word is taken for the client's address.")
    routes: RoutesSection = section(RoutesSection, "Which paths carry what.")
    socket: Annotated[SocketMode, choice(SocketMode)] = setting("judge", "WebSockets: judge | tunnel | refuse")
    orgs: OrgsSection = section(OrgsSection, "The orgs, and what differs for one of them.")
    filters: FiltersSection = section(FiltersSection, "Which sessions are blocked, and with which reason.")
    client_api: ClientApiSection = section(ClientApiSection, "What client API calls must keep to.")
    state: StateSection = section(StateSection, "Where the exact limits are counted.")
    audit: AuditSection = section(AuditSection, "One line for each outcome.")
    log: LogSection = section(LogSection, "The operational log.")
    cors: CorsSection = section(CorsSection, "Credentialed CORS headers on the proxy's own answers.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """Workers share a store and a port; the two ports differ; and no upstream is this proxy itself."""
        yield from own_listeners(table)
        yield from same_port(table)
        workers, state = table.scalar("workers"), table.members.get("state")
        backend = state.scalar("backend") if isinstance(state, Table) else None
        if workers and more_than_one(workers.text) and (backend is None or backend.text == StateBackend.MEMORY):
            yield workers.problem(
                "needs state.backend: redis, as in memory each worker would count sessions, names and rates alone", "1"
            )
        listen = table.members.get("listen")
        unix = listen.scalar("unix") if isinstance(listen, Table) else None
        if workers and more_than_one(workers.text) and unix is not None:
            yield workers.problem("needs a TCP port, as one process alone can listen on a unix socket's path", "1")
