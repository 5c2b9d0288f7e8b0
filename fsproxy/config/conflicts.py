"""What is wrong between keys that may each be right. It is looked for whatever else is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec

from fsproxy.config.own_listener import own_listeners, same_port
from fsproxy.config.problems import Problem
from fsproxy.config.redact_rules import key_faults, rule_faults, section_faults
from fsproxy.config.redis_keys import redis_faults
from fsproxy.config.schema import (
    AddressPrivacy,
    AdminConfig,
    AuditConfig,
    ListenConfig,
    RedisConfig,
    RedisTls,
    RewriteConfig,
    RoutesConfig,
    StateBackend,
    StateConfig,
    UpstreamConfig,
    UpstreamTls,
)
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Sequence, Table
from fsproxy.core.matching.crawlers import crawlers_problem
from fsproxy.core.plan import PATH, PATH_FORM, PlanFile, PlannedEvent
from fsproxy.core.settings import (
    Cycle,
    GeoSettings,
    GeoSource,
    QuotaSettings,
    RampingSettings,
    RedactRule,
    RedactSettings,
    UserAgentSettings,
)
from fsproxy.core.wire.rewrites import groups_beyond

_DATABASES = "maxminddb"


def root_conflicts(root: Table) -> Iterator[Problem]:
    """Yield the faults between sections: workers share a store, and no upstream is this proxy itself."""
    yield from own_listeners(root)
    yield from same_port(root)
    yield from key_faults(root)
    yield from _no_client_may_connect(root)
    workers, state = root.scalar("workers"), root.members.get("state")
    if workers is None or not _more_than_one(workers.text):
        return
    backend = state.scalar("backend") if isinstance(state, Table) else None
    if backend is None or backend.text == StateBackend.MEMORY:
        yield workers.problem(
            "needs state.backend: redis, as in memory each worker would count sessions, names and rates alone", "1"
        )


def _no_client_may_connect(root: Table) -> Iterator[Problem]:
    listen, client_ip = root.members.get("listen"), root.members.get("client_ip")
    announced = listen.scalar("proxy_protocol") if isinstance(listen, Table) else None
    if not isinstance(listen, Table) or announced is None or announced.text.lower() != "true" or listen.scalar("unix"):
        return
    trusted = client_ip.members.get("trusted_proxies") if isinstance(client_ip, Table) else None
    if isinstance(trusted, Sequence) and not trusted.items:
        yield announced.problem("lets no client connect, as client_ip.trusted_proxies is empty", "the balancers there")


def _more_than_one(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:19]) > 1


def _admin(table: Table) -> Iterator[Problem]:
    token, read = table.scalar("token"), table.scalar("read_token")
    if token and read and token.text.strip() == read.text.strip():
        yield read.key_problem("is the same as token, so who may read could change everything", "a secret of its own")


def _listen(table: Table) -> Iterator[Problem]:
    host = table.members.get("host")
    other = host if isinstance(host, Sequence) else table.scalar("host") or table.scalar("port")
    if table.scalar("unix") and other:
        yield other.problem("is set beside unix", "host and port, or unix alone")


def _upstream(table: Table) -> Iterator[Problem]:
    prefixes = table.members.get("prefixes")
    for prefix, node in prefixes.members.items() if isinstance(prefixes, Table) else ():
        if not prefix.startswith("/"):
            yield node.key_problem("is not a path prefix", "a path that starts with /")


def _rewrite(table: Table) -> Iterator[Problem]:
    """Yield the fault of one rule whose replacement refers to a group that its pattern does not have."""
    path, to = table.scalar("path"), table.scalar("to")
    if path is None or to is None:
        return
    with suppress(ValueError):  # The key's own reader reports it.
        beyond = groups_beyond(path.text, to.text)
        if beyond is not None:
            yield to.problem(f"refers to group {beyond}, which path does not have", "the groups of path, from \\1")


def _client_tls(table: Table) -> Iterator[Problem]:
    for one, other in (("cert", "key"), ("key", "cert")):
        if (found := table.scalar(one)) and not table.scalar(other):
            yield found.problem(f"is set without {other}", "cert and key, or neither")


def _routes(table: Table) -> Iterator[Problem]:
    seen: dict[str, Node] = {}
    direct = table.members.get("direct")
    nodes = [node for name in ("page", "bundle", "event", "socket") for node in table.sequence(name)]
    nodes += direct.members.values() if isinstance(direct, Table) else ()
    for node in nodes:
        if isinstance(node, Scalar) and node.kind is not Kind.NULL:
            first = seen.setdefault(node.text, node)
            if first is not node:
                yield node.problem(f"is {first.path} already", "each path once")


def _state(table: Table) -> Iterator[Problem]:
    redis = table.members.get("redis")
    # With backend: memory beside it the address is kept on purpose, perhaps for a day.
    if not isinstance(redis, Table) or table.scalar("backend"):
        return
    if redis.scalar("url") or redis.sequence("nodes") or isinstance(redis.members.get("sentinel"), Table):
        fault = "has an address, and no backend is named, so this process would count alone, in memory"
        yield redis.key_problem(fault, "backend: redis (or memory) beside it")


def _audit(table: Table) -> Iterator[Problem]:
    found = table.scalar("client_ip")
    if found and found.text == AddressPrivacy.HASHED and not table.scalar("key"):
        # Without a key, anybody could hash every address and compare.
        yield found.problem("needs audit.key", "key: ${SOME_VARIABLE} beside client_ip: hashed")


def _user_agent(table: Table) -> Iterator[Problem]:
    crawlers = table.scalar("crawlers")
    if crawlers and crawlers.text.lower() == "true" and (allowed := crawlers_problem()):
        yield crawlers.problem("cannot be obeyed", allowed, of_host=True)


def _geo(table: Table) -> Iterator[Problem]:
    if table.sequence("only") and table.sequence("never"):
        yield table.members["never"].key_problem("is set beside only", "only or never, not both")


def _geo_source(table: Table) -> Iterator[Problem]:
    database, header = table.scalar("database"), table.scalar("header") or table.scalar("region_header")
    if header and database:
        yield header.problem("is set beside database", "header or database, not both")
    if database and find_spec(_DATABASES) is None:
        fault = f"cannot be read, as {_DATABASES} is not installed"
        yield database.problem(fault, "pip install fsproxy[geo], or a header", of_host=True)


def _ramping(table: Table) -> Iterator[Problem]:
    steps = table.sequence("schedule")
    if steps and (share := table.scalar("share")):
        yield share.key_problem("is set beside schedule", "share or schedule, not both")
    latest = ""
    for step in steps:
        start = step.scalar("from") if isinstance(step, Table) else None
        if start is not None and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", start.text):
            if start.text <= latest:
                yield start.problem("is not after the step before", "dates that rise")
            latest = max(latest, start.text)


def _quota(table: Table) -> Iterator[Problem]:
    day, cycle = table.scalar("anchor_day"), table.scalar("cycle")
    yearly = cycle is not None and cycle.text == Cycle.YEARLY
    if day is None or ("-" in day.text.lstrip("-")) is yearly:
        return
    form = "MM-DD, such as 07-01, in a yearly cycle" if yearly else "1 to 31 in a monthly cycle"
    # When an org's cycle does not fit the base's day, the fault is the org's.
    if cycle is not None and cycle.path.startswith("orgs.") and not day.path.startswith("orgs."):
        fault = f"does not fit the base's anchor_day, {day.shown()}"
        yield cycle.problem(fault, f"with an anchor_day of {form}")
    else:
        yield day.problem("does not fit the cycle", form)


def _planned_names(found: Node | None) -> Iterator[Problem]:
    for name, node in found.members.items() if isinstance(found, Table) else ():
        if not PATH.fullmatch(name):
            yield node.key_problem("is not a property's name", PATH_FORM)


def _planned_event(table: Table) -> Iterator[Problem]:
    properties = table.members.get("properties")
    yield from _planned_names(properties)
    known = properties.members if isinstance(properties, Table) else {}
    for each in table.sequence("required"):
        if isinstance(each, Scalar) and each.text not in known:
            yield each.problem("is not among the properties of this event", ", ".join(sorted(known)[:20]) or "none")


def _plan(table: Table) -> Iterator[Problem]:
    yield from _planned_names(table.members.get("user_properties"))


CONFLICTS: Mapping[type, Callable[[Table], Iterator[Problem]]] = {
    AdminConfig: _admin,
    ListenConfig: _listen,
    UpstreamConfig: _upstream,
    RewriteConfig: _rewrite,
    UpstreamTls: _client_tls,
    RedisTls: _client_tls,
    RedisConfig: redis_faults,
    RoutesConfig: _routes,
    StateConfig: _state,
    AuditConfig: _audit,
    UserAgentSettings: _user_agent,
    GeoSettings: _geo,
    GeoSource: _geo_source,
    RampingSettings: _ramping,
    QuotaSettings: _quota,
    PlanFile: _plan,
    PlannedEvent: _planned_event,
    RedactSettings: section_faults,
    RedactRule: rule_faults,
}
"""By the class of the section that they look at."""
