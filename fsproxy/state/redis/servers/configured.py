"""The server that the configuration names."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from fsproxy.config.hosts import Node
from fsproxy.config.problems import HostError
from fsproxy.config.redis_keys import RedisAddress, redis_address
from fsproxy.config.schema import RedisConfig, RedisTls
from fsproxy.config.tls import client_context
from fsproxy.state.redis.servers.login import Login
from fsproxy.state.redis.servers.nodes import Nodes
from fsproxy.state.redis.servers.reasons import reason_of
from fsproxy.state.redis.servers.refusals import MISFITS
from fsproxy.state.redis.servers.sentinel import SentinelServer
from fsproxy.state.redis.servers.server import Server

_TLS = "state.redis.tls"
_SECONDS = 2.0
"""The start waits so long for a server, to find out of what kind it is."""


def store_of(config: RedisConfig) -> Server | Nodes:
    """Return the server or the Cluster that the configuration names. Raises HostError for a file of ``tls``."""
    return cluster_of(config) if config.cluster else server_of(config)


def cluster_of(config: RedisConfig) -> Nodes:
    """Return the nodes of the Cluster that the configuration names. Raises HostError for a file of ``tls``."""
    address = redis_address(config.url)
    login = Login(config.username or address.username, config.password or address.password, mode="cluster")
    is_tls = config.tls is not None if config.nodes else address.scheme == "rediss"
    context = client_context(config.tls or _tls_of(address), "state.redis.tls") if is_tls else None
    return Nodes(config.nodes or (Node(address.host, address.port),), login, context)


def server_of(config: RedisConfig) -> Server:
    """Return the server, or the primary of the Sentinels. Raises HostError for a file of ``tls``."""
    if config.sentinel is not None:
        login = Login(config.username, config.password, config.database or 0)
        context = client_context(config.tls, _TLS) if config.tls is not None else None
        sentinel = config.sentinel
        of_sentinels = context
        if sentinel.tls is not None:
            of_sentinels = client_context(config.tls or RedisTls(), _TLS) if sentinel.tls else None
        return SentinelServer(sentinel, of_sentinels, login, context)
    address = redis_address(config.url)
    login = Login(
        config.username or address.username,
        config.password or address.password,
        address.database if config.database is None else config.database,
    )
    context = client_context(config.tls or _tls_of(address), _TLS) if address.scheme == "rediss" else None
    return Server(Node(address.host, address.port), login, context, address.path)


async def refuse_misfit(config: RedisConfig) -> None:
    """Raise HostError if what the configuration names is there and is of another kind. What is down is not at fault."""
    store = store_of(config)
    servers = [store] if isinstance(store, Server) else [store.server(node) for node in store.seeds]
    reason = ""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            for server in servers:
                reason = await _try(server, config.timeout)
                if not reason or reason in MISFITS:
                    break
    if reason in MISFITS:
        key, remedy = MISFITS[reason]
        raise HostError(f"state.redis.{key}", f"cannot be used: {reason}", remedy)


async def _try(server: Server, limit: float) -> str:
    """Return why the server cannot be connected to; "": it can."""
    connection = server.connection(limit)
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except (RedisError, OSError) as error:
        return reason_of(error)
    finally:
        await connection.disconnect(nowait=True)
    return ""


def _tls_of(address: RedisAddress) -> RedisTls:
    """Return what an address says in redis-py's way, which is older than the keys."""
    options = address.options
    return RedisTls(
        verify=options.get("ssl_cert_reqs") != "none",
        ca=options.get("ssl_ca_certs"),
        cert=options.get("ssl_certfile"),
        key=options.get("ssl_keyfile"),
    )
