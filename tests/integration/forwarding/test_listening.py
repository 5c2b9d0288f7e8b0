"""At which addresses the data port and the admin port answer, depending on the configured host."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.proxy import ProxyDiedError, RunningProxy, running_proxy
from support.upstream import RecordingUpstream

FAMILIES = ("127.0.0.1", "::1")
HAS_IPV6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists()


async def answered(host: str, port: int, path: str) -> bool:
    """Return whether a request to this address gets an HTTP answer."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    with closing(writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return (await reader.readline()).startswith(b"HTTP/1.1 ")


async def reached(proxy: RunningProxy) -> tuple[list[str], list[str]]:
    """Return the addresses at which the data port answers, and those of the admin port."""
    data = [host for host in FAMILIES if await answered(host, proxy.port, "/")]
    admin = [host for host in FAMILIES if await answered(host, proxy.admin_port, "/mode")]
    return data, admin


@pytest.mark.skipif(not HAS_IPV6, reason="both families are needed")
@pytest.mark.parametrize(
    ("host", "families"),
    [
        ("::", FAMILIES),
        ("[::]", FAMILIES),
        ("localhost", FAMILIES),
        (["127.0.0.1", "::1"], FAMILIES),
        (["0.0.0.0", "[::]"], FAMILIES),
        ("0.0.0.0", FAMILIES[:1]),
    ],
)
async def test_both_ports_answer_on_every_family_that_the_host_means(
    upstream: RecordingUpstream, host: str | list[str], families: tuple[str, ...]
) -> None:
    upstream.allow_unexpected = True
    config: dict[str, Any] = {"upstream": {"url": upstream.url}, "listen": {"host": host}, "admin": {"host": host}}
    async with running_proxy(config) as proxy:
        assert await reached(proxy) == (list(families), list(families))


async def test_a_host_that_is_none_of_this_machine_ends_the_start_and_is_named(upstream: RecordingUpstream) -> None:
    config = {"upstream": {"url": upstream.url}, "listen": {"host": ["127.0.0.1", "192.0.2.1"]}}
    with pytest.raises(ProxyDiedError, match=r"listen\.host: a list cannot be listened on: .*\(192\.0\.2\.1\)"):
        async with running_proxy(config):
            pytest.fail("it started")
