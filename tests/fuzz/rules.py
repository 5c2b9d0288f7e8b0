"""Address and domain rules, beside ``ipaddress`` and a plain reading of the rules (rules.md 1, orders 5 and 6)."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from fsproxy.core.matching import addresses, domains
from fsproxy.core.matching.hosts import Url, normalise_host, parse_url
from fsproxy.core.model import Address
from fsproxy.core.wire.client_address import parse_address
from fuzz.harness import Target, lines


def check_addresses(data: bytes) -> None:
    """Each line is an address and a rule at once: every address is looked up in the table of all rules."""
    texts = lines(data)
    patterns = []
    found: list[Address] = []
    for text in texts:
        pattern = addresses.parse_pattern(text)
        if pattern is not None:
            patterns.append(pattern)
            assert pattern.value & ~pattern.mask == 0
        _as_ipaddress_reads_it(text, pattern)
        address = parse_address(text)
        if address is not None:
            found.append(address)
            _goes_round(address)
    table = addresses.AddressTable.of((pattern, index) for index, pattern in enumerate(patterns))
    for address in found:
        hit = table.find(address)
        covering = [i for i, each in enumerate(patterns) if _covers(each, address)]
        assert (hit is None) == (not covering)
        if hit is not None:
            assert hit in covering
            most = max(patterns[i].mask.bit_count() for i in covering)
            assert patterns[hit].mask.bit_count() == most


def _as_ipaddress_reads_it(text: str, pattern: addresses.AddressPattern | None) -> None:
    """What ``ipaddress`` takes for an address or a network is that pattern."""
    text = text.strip()
    if "%" in text or not text.isascii():
        return
    with contextlib.suppress(ValueError):
        plain = _unwrapped(ip_address(text))
        assert pattern == addresses.AddressPattern(plain.version, int(plain), (1 << plain.max_prefixlen) - 1)
        return
    address, slash, length = text.partition("/")
    if slash and length.isdigit() and len(length) <= 3:
        with contextlib.suppress(ValueError):
            network = ip_network((address, int(length)), strict=False)
            if pattern is None or pattern.version != network.version:
                mapped = int(network.network_address) >> 32 == 0xFFFF
                assert pattern is not None
                assert mapped
                assert network.prefixlen >= 96
            else:
                assert (pattern.value, pattern.mask) == (int(network.network_address), int(network.netmask))


def _goes_round(address: Address) -> None:
    assert address.version == 4 or not addresses.is_mapped(int(address))
    assert parse_address(str(address)) == address
    with_port = f"[{address}]:8080" if address.version == 6 else f"{address}:8080"
    assert parse_address(f" {with_port} ") == address
    assert parse_address(address.exploded) == address


def _unwrapped(address: Address) -> Address:
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _covers(pattern: addresses.AddressPattern, address: IPv4Address | IPv6Address) -> bool:
    return pattern.version == address.version and int(address) & pattern.mask == pattern.value


def check_domains(data: bytes) -> None:
    """The first line is a URL, the others are rules in their order."""
    url_text, *rules = lines(data)
    url = parse_url(url_text)
    patterns = [domains.parse_pattern(rule) for rule in rules]
    for pattern in patterns:
        if pattern is not None:
            written = f"[{pattern.host}]" if ":" in pattern.host else pattern.host
            text = written if pattern.port is None else f"{written}:{pattern.port}"
            assert domains.parse_pattern(text) == pattern
    host = normalise_host(url_text)
    if host is not None:
        assert host == host.lower()
        assert normalise_host(host) == host
        assert normalise_host(f"{host}.") in {host, None}
    table = domains.DomainTable.of(patterns)
    for name in {url.host, host} - {None, ""}:
        assert name is not None
        for port in (url.effective_port, None, 80):
            expected = next((i for i, each in enumerate(patterns) if each and _matches(each, name, port)), None)
            assert table.find(Url("", name, port)) == expected


def _matches(pattern: domains.DomainPattern, host: str, port: int | None) -> bool:
    if pattern.host == domains.ANY_HOST:
        return True
    if pattern.port is not None and pattern.port != port:
        return False
    if ":" in host or ":" in pattern.host:
        return host == pattern.host
    ours, theirs = pattern.host.split("."), host.split(".")
    return len(ours) == len(theirs) and all(a in ("*", b) for a, b in zip(ours, theirs, strict=True))


ADDRESSES = Target(
    "addresses",
    check_addresses,
    seeds=(
        b"203.0.113.9\n203.0.113.0/24\n192.168.1.*\n10.*.0.1\n0.0.0.0/0",
        b"2001:db8::1\n2001:db8::/32\n2001:db8:*::1\n::ffff:10.0.0.1\n::ffff:0:0/96\n[::1]:443\n10.0.0.1",
        b"::ffff:192.168.1.*\n192.168.1.77\n1:2:3:4:5:6:7.8.9.*\n1:2:3:4:5:6:7:8\n*:*:*:*:*:*:*:*",
        b"fe80::1%eth0\n[2001:db8::]/48\n10.0.0.1:80\n010.0.0.1\n10.0.0.1/33\n2001:db8::/129",
    ),
    tokens=(b"*", b"::", b":", b"/", b"ffff", b"0", b"[", b"]", b"%eth0", b".", b"/0", b"/32", b"/96", b"\n"),
    inputs=1500,
    longest=600,
)
DOMAINS = Target(
    "domains",
    check_domains,
    seeds=(
        b"https://app.example.com/\n*.example.com\nexample.com:8443\napp.example.com\n*.*.com",
        b"http://[2001:db8::1]:8080/\n[2001:db8::1]:8080\n2001:db8::1\n*\n127.0.0.1",
        "https://b\u00fccher.example./x\nxn--bcher-kva.example\n*.example\nB\u00dcCHER.example:443".encode(),
        b"localhost\nlocalhost:3000\n*\n*:80\nlocalhost",
        b"https://user:pw@a.b.example.com:443/\n*.b.example.com:443\na.*.example.com\n*.*.*.*",
    ),
    tokens=(
        b"*",
        b"*.",
        b".",
        b":",
        b":443",
        b"https://",
        b"@",
        b"[",
        b"]",
        b"\\",
        b"xn--",
        "ß".encode(),
        b"\n",
        b"0x7f.1",
    ),
    inputs=1500,
    longest=600,
)
