"""The keys of ``state.redis`` that cannot stand together, and what an address of Redis may look like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from fsproxy.config.problems import Problem
from fsproxy.config.yaml.positions import Node, Scalar, Table
from fsproxy.core.keys import COUNT_OR_ZERO

_FORM = re.compile(
    r"(?P<scheme>rediss?|unix)://(?:(?P<user>[^:/?#\s]*)(?::(?P<password>[^/?#\s]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:/?#\s\[\]@]*)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#\s@]*)?(?:\?(?P<query>[^#\s]*))?"
)


@dataclass(frozen=True, slots=True, repr=False)
class RedisAddress:
    """What ``state.redis.url`` says."""

    scheme: str
    host: str
    port: int
    path: str
    """Of a unix socket; "" for a host."""
    database: int
    username: str | None
    password: str | None
    options: Mapping[str, str]
    """The parameters of its query that concern TLS, by redis-py's names."""


_TLS_OPTIONS = frozenset({"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_UNUSED = frozenset({
    "client_name", "health_check_interval", "max_connections", "protocol", "retry_on_timeout", "socket_connect_timeout",
    "socket_keepalive", "socket_timeout", "timeout",
})  # fmt: skip
"""Parameters that redis-py knows, and that change nothing here."""


def redis_address(text: str) -> RedisAddress:
    """Return the parts of an address, with percent signs decoded. Raises ValueError."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError
    is_socket, path = found["scheme"] == "unix", unquote(found["path"] or "")
    options = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    if not options.keys() <= _TLS_OPTIONS | _UNUSED | {"db", "username", "password"}:
        raise ValueError
    number = options.pop("db", "") or ("" if is_socket else path.strip("/"))
    if is_socket and (not path or found["host"] or found["port"]):
        raise ValueError
    user, password = (unquote(each) if each else None for each in (found["user"], found["password"]))
    host, port = (found["host"] or "localhost").strip("[]"), int(found["port"] or 6379)
    if not 0 < port < 65_536:
        raise ValueError
    return RedisAddress(
        found["scheme"],
        "" if is_socket else unquote(host),
        port,
        path if is_socket else "",
        COUNT_OR_ZERO.read(number or "0"),
        user or options.get("username"),
        password or options.get("password"),
        {name: value for name, value in options.items() if name in _TLS_OPTIONS},
    )


def redis_url(text: str) -> str:
    """Return the address of a server as it is written. Raises ValueError."""
    redis_address(text)
    return text


def redis_faults(table: Table) -> Iterator[Problem]:
    """Yield what is wrong between the keys of ``state.redis``."""
    url, cluster = table.scalar("url"), _is_true(table.scalar("cluster"))
    if isinstance(table.members.get("sentinel"), Table):
        yield from _beside_sentinel(table, url, cluster=cluster)
    elif nodes := _nodes(table):
        if not cluster:
            yield nodes.key_problem("is set without cluster: true", "cluster: true beside it; or url, for one server")
        elif url:
            yield nodes.key_problem("is set beside url", "nodes or url, not both")
    with suppress(ValueError):  # The key's own reader reports it.
        yield from _address_faults(table, url, cluster=cluster)


def _beside_sentinel(table: Table, url: Scalar | None, *, cluster: bool) -> Iterator[Problem]:
    if cluster:
        yield table.members["cluster"].key_problem(
            "is set beside sentinel, but the nodes of a Cluster have no Sentinels", "sentinel or cluster: true"
        )
    if url:
        yield url.key_problem(
            "is set beside sentinel, which knows the address",
            "sentinel alone; a database, a user, a password and tls have keys of their own",
        )
    if nodes := _nodes(table):
        yield nodes.key_problem("is set beside sentinel", "nodes in sentinel: the addresses of the Sentinels")


def _address_faults(table: Table, url: Scalar | None, *, cluster: bool) -> Iterator[Problem]:
    number, tls = table.scalar("database"), table.members.get("tls")
    prefix = table.scalar("prefix")
    if cluster and prefix is not None and "{" in prefix.text:
        yield prefix.problem("holds {, which may put all orgs into one slot of the Cluster", "a prefix without {")
    if cluster and number is not None and number.text != "0":
        yield number.problem("is not there in a Cluster, which has database 0 alone", "0")
    if url is None:
        return
    found = redis_address(url.text)
    if cluster and found.database:
        yield url.key_problem("names a database, but a Cluster has database 0 alone", "an address without /DATABASE")
    elif number is not None and found.database and number.text != str(found.database):
        yield number.problem("is not the database that url names", "the number in url or in database")
    for key, given in (("username", found.username), ("password", found.password)):
        if given and (own := table.scalar(key)):
            yield own.key_problem(f"is set beside a {key} in url", f"the {key} in url or in {key}, not both")
    if found.path and cluster:
        yield url.key_problem("is a unix socket, but the nodes of a Cluster have ports", "redis:// or rediss://")
    if found.scheme != "rediss" and isinstance(tls, Table):
        yield tls.key_problem("is set beside an address without TLS", "rediss:// in url, or no tls")


def _nodes(table: Table) -> Node | None:
    return table.members["nodes"] if table.sequence("nodes") else None


def _is_true(found: Scalar | None) -> bool:
    return found is not None and found.text.lower() == "true"
