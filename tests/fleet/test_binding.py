"""Which addresses a host stands for, and what is bound to them."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fsproxy.fleet.binding import bind
from support.ports import free_ports

HAS_IPV6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists()
pytestmark = pytest.mark.skipif(not HAS_IPV6, reason="both families are needed")


async def bound(stack: ExitStack, *hosts: str, port: int = 0, shared: bool = False) -> list[tuple[str, int]]:
    made = await bind(hosts, port, shared=shared)
    for each in made:
        stack.callback(each.close)
        assert not each.getblocking()
    return [each.getsockname()[:2] for each in made]


@pytest.mark.parametrize(
    ("hosts", "addresses"),
    [
        (("127.0.0.1",), ["127.0.0.1"]),
        (("::1",), ["::1"]),
        (("::",), ["0.0.0.0", "::"]),
        (("localhost",), ["127.0.0.1", "::1"]),
        (("0.0.0.0", "::"), ["0.0.0.0", "::"]),
        (("::", "0.0.0.0", "::"), ["0.0.0.0", "::"]),
        (("127.0.0.2", "localhost", "127.0.0.1"), ["127.0.0.2", "127.0.0.1", "::1"]),
    ],
)
async def test_a_host_stands_for_these_addresses_all_on_one_free_port(
    hosts: tuple[str, ...], addresses: list[str]
) -> None:
    with ExitStack() as stack:
        made = await bound(stack, *hosts)
    assert [address for address, _ in made] == addresses
    assert len({port for _, port in made}) == 1
    assert made[0][1] > 0


async def test_a_port_in_use_on_one_of_the_addresses_is_an_error_that_names_it_and_leaves_nothing_open() -> None:
    (port,) = free_ports(1)
    with ExitStack() as stack:
        other = stack.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6))
        with pytest.raises(OSError, match=r"\(::1\)") as caught:
            await bind(["localhost"], port, shared=False)
        assert caught.value.errno == errno.EADDRINUSE
        other.close()
        assert len(await bound(stack, "localhost", port=port)) == 2


async def test_ports_are_shared_by_those_who_ask_for_it_alone() -> None:
    (port,) = free_ports(1)
    with ExitStack() as stack:
        for _ in range(2):
            for each in await bind(["::"], port, shared=True):
                stack.enter_context(each)
                each.listen()
        with pytest.raises(OSError, match="in use"):
            await bind(["::"], port, shared=False)


async def test_a_family_that_the_machine_lacks_is_left_out_of_both_but_not_of_what_was_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = socket.socket

    def no_ipv6(family: int = -1, *more: int, **options: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return usual(family, *more, **options)

    monkeypatch.setattr("fsproxy.fleet.binding.socket.socket", no_ipv6)
    with ExitStack() as stack, capture_logs() as logs:
        assert [address for address, _ in await bound(stack, "localhost")] == ["127.0.0.1"]
        assert [line["address"] for line in logs] == ["::1"]
        with pytest.raises(OSError, match="not supported"):
            await bind(["127.0.0.1", "::1"], 0, shared=False)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
async def test_an_address_that_is_none_of_this_machine_is_an_error(host: str) -> None:
    with pytest.raises(OSError, match=host):
        await bind(["127.0.0.1", host], 0, shared=False)
