"""The server that the configuration names."""

from __future__ import annotations

from fsproxy.config.hosts import Node
from fsproxy.config.problems import HostError
from fsproxy.config.redis_keys import RedisAddress, redis_address
from fsproxy.config.schema import RedisConfig, RedisTls
from fsproxy.config.tls import client_context
from fsproxy.state.redis.server import Login, Server


def server_of(config: RedisConfig) -> Server:
    """Return the server that the configuration names. Raises HostError for a file of ``tls``."""
    for key, given in (("sentinel", config.sentinel is not None), ("cluster", config.cluster)):
        if given:
            raise HostError(f"state.redis.{key}", "is not supported by this version yet", "url, for one server")
    address = redis_address(config.url)
    login = Login(
        config.username or address.username,
        config.password or address.password,
        address.database if config.database is None else config.database,
    )
    tls = config.tls or _tls_of(address)
    context = client_context(tls, "state.redis.tls") if address.scheme == "rediss" else None
    return Server(Node(address.host, address.port), login, context, address.path)


def _tls_of(address: RedisAddress) -> RedisTls:
    """Return what an address says in redis-py's way, which is older than the keys."""
    options = address.options
    return RedisTls(
        verify=options.get("ssl_cert_reqs") != "none",
        ca=options.get("ssl_ca_certs"),
        cert=options.get("ssl_certfile"),
        key=options.get("ssl_keyfile"),
    )
