from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.client_address import ClientAddress, ClientAddresses, parse_address
from tests.support.header_lines import lines

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
CHAIN = ClientAddresses.compile(TRUSTED, "X-Forwarded-For")
RFC7239 = ClientAddresses.compile(TRUSTED, "forwarded")
SINGLE = ClientAddresses.compile(TRUSTED, "cf-connecting-ip")


def by_chain(value: bytes, peer: str | None = "10.0.0.1") -> ClientAddress:
    return CHAIN.resolve(peer, lines({b"x-forwarded-for": value}))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:DB8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:1", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("192.0.2.1:_port", "192.0.2.1"),
        ("[203.0.113.9]:80", "203.0.113.9"),
        ("[203.0.113.9]", "203.0.113.9"),
        ("2001:db8:0:0:0:0:0:1:443", "2001:db8::1"),
        ("::ffff:192.0.2.1:443", "192.0.2.1"),
        ("fe80::1%eth0.1", "fe80::1"),
    ],
)
def test_addresses_are_read_in_the_forms_that_proxies_write(text: str, address: str) -> None:
    assert parse_address(text) == ip_address(address)


@pytest.mark.parametrize(
    "text",
    ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4:", "1.2.3.4:x", "[1.2.3.4", "[]", "[]:80", "[1.2.3.4]:x", "[::1", "[::1]x",
     "\u0661.2.3.4", "::1::", "1.2.3.4/8", "a" * 4000, "\udcff", "1.2.3.4:123456",
     "1:2:3:4:5:6:7:8:x", "1:2:3:4:5:6:7:8:9:10", "::1.2.3.4:x"],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("value", "client", "chain"),
    [
        (b"", "10.0.0.1", "10.0.0.1"),
        (b"198.51.100.7", "198.51.100.7", "198.51.100.7, 10.0.0.1"),
        (b"6.6.6.6, 198.51.100.7", "198.51.100.7", "198.51.100.7, 10.0.0.1"),
        (b"6.6.6.6, 198.51.100.7,10.0.0.9", "198.51.100.7", "198.51.100.7, 10.0.0.9, 10.0.0.1"),
        (b"10.0.0.3, 10.0.0.2", "10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1"),
        (b"198.51.100.7, unknown, 10.0.0.2", "10.0.0.2", "10.0.0.2, 10.0.0.1"),
        (b"198.51.100.7, \xff\x00", "10.0.0.1", "10.0.0.1"),
        (b"198.51.100.7, ,", "198.51.100.7", "198.51.100.7, 10.0.0.1"),
        (b"[2001:db8::1]:99", "2001:db8::1", "2001:db8::1, 10.0.0.1"),
        (b"::ffff:198.51.100.7", "198.51.100.7", "198.51.100.7, 10.0.0.1"),
    ],
)
def test_the_client_is_the_rightmost_that_is_no_trusted_proxy(value: bytes, client: str, chain: str) -> None:
    found = by_chain(value)
    assert found.address == ip_address(client)
    assert found.chain == chain
    assert found.trusted
    assert not found.dropped


def test_a_mapped_peer_is_trusted_as_the_address_it_maps() -> None:
    assert by_chain(b"198.51.100.7", "::ffff:10.0.0.1").address == ip_address("198.51.100.7")


def test_an_untrusted_peer_is_the_client_whatever_it_says() -> None:
    found = CHAIN.resolve(
        "203.0.113.9",
        lines(
            {
                b"x-forwarded-for": b"1.1.1.1",
                b"x-forwarded-proto": b"https",
                b"x-request-id": b"x",
                b"host": b"h.example",
            }
        ),
    )
    assert found == ClientAddress(
        address=ip_address("203.0.113.9"),
        chain="203.0.113.9",
        trusted=False,
        dropped=True,
        proto="http",
        host="h.example",
        request_id=None,
    )


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"forwarded", b"x-real-ip", b"cf-connecting-ip"])
def test_forwarding_headers_of_an_untrusted_peer_are_remarked(name: bytes) -> None:
    assert CHAIN.resolve("203.0.113.9", lines({name: b"1.1.1.1"})).dropped
    assert not CHAIN.resolve("203.0.113.9", lines({b"accept": b"*/*", b"x-request-id": b"1"})).dropped


@pytest.mark.parametrize("peer", [None, ""])
def test_a_unix_peer_is_trusted_and_has_no_address_of_its_own(peer: str | None) -> None:
    assert by_chain(b"198.51.100.7", peer).chain == "198.51.100.7"
    alone = CHAIN.resolve(peer, lines({}))
    assert (alone.address, alone.chain, alone.trusted) == (None, "unknown", True)


def test_a_peer_that_is_no_address_is_not_trusted() -> None:
    found = by_chain(b"198.51.100.7", "nonsense")
    assert (found.address, found.trusted, found.chain) == (None, False, "unknown")


def test_an_endless_chain_is_cut() -> None:
    found = by_chain(b"198.51.100.7, " + b"10.0.0.2, " * 500 + b"10.0.0.3")
    assert found.address == IPv4Address("10.0.0.2")
    assert found.chain.count(",") == 32
    # The client is the last element that is read, and the one before it is not.
    for proxies, client in ((31, "198.51.100.7"), (32, "10.0.0.2")):
        assert str(by_chain(b"198.51.100.7" + b", 10.0.0.2" * proxies).address) == client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (b"for=198.51.100.7", "198.51.100.7"),
        (b'For="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
        (b'for="198.51.100.7:80", for=10.0.0.2', "198.51.100.7"),
        (b"for=198.51.100.7, for=_hidden", "10.0.0.1"),
        (b"for=198.51.100.7, for=unknown, for=10.0.0.2", "10.0.0.2"),
        (b'for="1.1.1.1, for=198.51.100.7', "198.51.100.7"),
        (b"for=198.51.100.7, proto=https", "10.0.0.1"),
        (b"for=198.51.100.7;for=1.1.1.1", "10.0.0.1"),
        (b'for="198\\.51.100.7"', "198.51.100.7"),
        (b"198.51.100.7", "10.0.0.1"),
        (b'for="', "10.0.0.1"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_writes_it(value: bytes, client: str) -> None:
    assert RFC7239.resolve("10.0.0.1", lines({b"forwarded": value})).address == ip_address(client)


def test_scheme_and_host_come_from_the_nearest_forwarded_element() -> None:
    value = b'for=1.1.1.1;proto=http;host=a.example, for=10.0.0.2;proto=HTTPS;host="b.example:444"'
    found = RFC7239.resolve("10.0.0.1", lines({b"forwarded": value, b"host": b"own.example"}))
    assert (found.proto, found.host) == ("https", "b.example:444")


def test_scheme_and_host_come_from_the_rightmost_of_a_trusted_proxy() -> None:
    headers = {b"x-forwarded-proto": b"http, https", b"x-forwarded-host": b"evil.example, a.example", b"host": b"o"}
    found = CHAIN.resolve("10.0.0.1", lines(headers))
    assert (found.proto, found.host) == ("https", "a.example")


@pytest.mark.parametrize("bad", [b"a b", b'a"b', b"a\xffb", b"", b"a" * 300])
def test_what_is_no_scheme_or_host_is_ignored(bad: bytes) -> None:
    headers = {b"x-forwarded-proto": bad, b"x-forwarded-host": bad, b"host": b"own.example"}
    found = CHAIN.resolve("10.0.0.1", lines(headers), "https")
    assert (found.proto, found.host) == ("https", "own.example")


def test_a_host_has_at_most_255_characters() -> None:
    for length, host in ((255, "a" * 255), (256, "own.example")):
        headers = {b"x-forwarded-host": b"a" * length, b"host": b"own.example"}
        assert CHAIN.resolve("10.0.0.1", lines(headers)).host == host
        assert CHAIN.resolve("10.0.0.1", lines({b"host": b"a" * length})).host == ("a" * 255 if length == 255 else "")


@pytest.mark.parametrize(
    ("value", "client"), [(b"198.51.100.7", "198.51.100.7"), (b"1.1.1.1, 2.2.2.2", "2.2.2.2"), (b"x", "10.0.0.1")]
)
def test_of_a_single_value_header_the_nearest_address_counts(value: bytes, client: str) -> None:
    headers = {b"cf-connecting-ip": value, b"x-forwarded-for": b"9.9.9.9"}
    assert SINGLE.resolve("10.0.0.1", lines(headers)).address == ip_address(client)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"abc-123", "abc-123"),
        (b"a b", None),
        (b"\xff", None),
        (b"x" * 128, "x" * 128),
        (b"x" * 129, None),
        (b"", None),
    ],
)
def test_a_request_id_is_taken_from_a_trusted_proxy(value: bytes, kept: str | None) -> None:
    assert CHAIN.resolve("10.0.0.1", lines({b"x-request-id": value})).request_id == kept


@settings(max_examples=200)
@given(st.binary(max_size=120), st.sampled_from(["10.0.0.1", "203.0.113.9", "", None]))
def test_no_bytes_raise_and_the_chain_stays_printable(value: bytes, peer: str | None) -> None:
    names = (b"x-forwarded-for", b"forwarded", b"cf-connecting-ip", b"x-forwarded-host", b"host", b"x-request-id")
    for resolver in (CHAIN, RFC7239, SINGLE):
        found = resolver.resolve(peer, lines(dict.fromkeys(names, value)))
        for text in (found.chain, found.host, found.request_id or ""):
            assert text.isascii()
            assert "\r" not in text
            assert "\n" not in text


@settings(max_examples=100)
@given(st.lists(st.ip_addresses(v=4).map(str), max_size=6), st.lists(st.integers(0, 255), max_size=6))
def test_what_stands_left_of_the_client_never_matters(spoofed: list[str], proxies: list[int]) -> None:
    behind = ["198.51.100.7", *(f"10.1.1.{last}" for last in proxies)]
    assert by_chain(", ".join([*spoofed, *behind]).encode()) == by_chain(", ".join(behind).encode())


@settings(max_examples=100)
@given(st.lists(st.integers(0, 32), max_size=5), st.integers(0, 2**32 - 1), st.ip_addresses(v=4))
def test_networks_hold_what_the_standard_library_says(lengths: list[int], base: int, address: IPv4Address) -> None:
    networks = [ip_network((base, length), strict=False) for length in lengths]
    trusting = ClientAddresses.compile(networks, "x-forwarded-for")
    for each in (address, IPv4Address(base)):
        assert trusting.resolve(str(each), lines({})).trusted == any(each in network for network in networks)


def test_a_proxy_of_ipv6_is_trusted_like_any_other() -> None:
    found = by_chain(b"2001:db8::5, fd00::2", "fd00::1")
    assert (str(found.address), found.chain, found.trusted) == ("2001:db8::5", "2001:db8::5, fd00::2, fd00::1", True)
    assert not by_chain(b"198.51.100.7", "fc00::1").trusted


@pytest.mark.parametrize(("length", "read"), [(64, True), (65, False)])
def test_an_address_is_at_most_64_characters_long_with_all_that_is_around_it(length: int, *, read: bool) -> None:
    text = "fe80::1%".ljust(length, "x")
    assert (parse_address(text) is not None) is read
    assert str(by_chain(text.encode()).address) == ("fe80::1" if read else "10.0.0.1")
    assert (by_chain(b"", text).address is not None) is read


def test_an_element_with_a_stray_quote_says_nothing_at_all() -> None:
    value = b'for=198.51.100.7;proto=https;host=a.example;by=x"y'
    found = RFC7239.resolve("10.0.0.1", lines({b"forwarded": value}))
    assert (str(found.address), found.proto, found.host) == ("10.0.0.1", "http", "")


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (b"203.0.113.9:46532", "203.0.113.9"),
        (b"2001:db8::1:443", "2001:db8::1"),
        (b"2001:db8::8a2e:370:7334:46532", "2001:db8::8a2e:370:7334"),
        (b"2001:0db8:85a3:0000:0000:8a2e:0370:7334:443", "2001:db8:85a3::8a2e:370:7334"),
        (b" [2001:db8::1]:443 ", "2001:db8::1"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"203.0.113.9", "203.0.113.9"),
        (b"nonsense:443", "10.0.0.1"),
        (b"198.51.100.7:1, 2001:db8::1:443", "2001:db8::1"),
    ],
)
def test_a_viewers_address_ends_in_its_port(value: bytes, client: str) -> None:
    clients = ClientAddresses.compile([ip_network("10.0.0.0/8")], "CloudFront-Viewer-Address")
    assert str(clients.resolve("10.0.0.1", lines({b"cloudfront-viewer-address": value})).address) == client


@pytest.mark.parametrize(
    "value",
    [b"for=203.0.113.9:80", b'for="203.0.113.9:80"', b'for="[203.0.113.9]:80"', b'for="[::ffff:203.0.113.9]:80"'],
)
def test_an_element_may_have_a_port(value: bytes) -> None:
    assert str(RFC7239.resolve("10.0.0.1", lines({b"forwarded": value})).address) == "203.0.113.9"


def test_a_chain_goes_on_behind_a_bracketed_address() -> None:
    found = by_chain(b"6.6.6.6, [203.0.113.9]:80")
    assert (str(found.address), found.chain) == ("203.0.113.9", "203.0.113.9, 10.0.0.1")
