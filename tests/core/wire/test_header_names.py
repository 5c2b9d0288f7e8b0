"""The tables of header names: what each of them means for a request on its way up."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest

from fsproxy.core.wire.client_address import ClientAddresses
from fsproxy.core.wire.header_names import (
    ESSENTIAL,
    FORWARDING,
    HOP_BY_HOP,
    REPLACED,
    any_of,
    underscored,
)
from fsproxy.core.wire.header_values import index
from fsproxy.core.wire.headers import UpstreamHeaders
from fsproxy.core.wire.plain_head import read_answer, read_request
from tests.support.header_lines import lines

SPOKEN_BY_PROXIES = (
    b"x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-server x-forwarded-scheme "
    b"x-forwarded-ssl x-forwarded-by x-original-forwarded-for forwarded x-real-ip x-client-ip x-cluster-client-ip "
    b"true-client-ip cf-connecting-ip cf-connecting-ipv6 fastly-client-ip cloudfront-viewer-address"
).split()
END_TO_END = (
    b"host content-length content-type content-encoding content-range content-location cookie set-cookie cdn-loop "
    b"authorization www-authenticate origin referer user-agent accept accept-encoding cache-control vary location date "
    b"etag expires expect dnt sec-gpc access-control-allow-origin access-control-allow-credentials "
    b"access-control-allow-headers access-control-allow-methods access-control-expose-headers sec-websocket-key "
    b"sec-websocket-version sec-websocket-protocol sec-websocket-extensions sec-websocket-accept"
).split()
SINGLE = b"content-length content-location content-range content-type etag host max-forwards server user-agent".split()
LOOKED_UP = (
    b"content-encoding origin cookie accept-encoding authorization dnt sec-gpc cdn-loop cf-ipcountry traceparent "
    b"x-request-id"
).split()
UNUSUAL = b"keep-alive te trailer transfer-encoding upgrade http2-settings proxy expect sec-websocket-key1".split()
LOOKED_UP_IN_ANSWERS = (
    b"content-encoding x-request-id fsproxy-rejected access-control-allow-origin access-control-allow-credentials "
    b"access-control-expose-headers"
).split()
CLIENTS = ClientAddresses.compile([ip_network("10.0.0.0/8")], "x-forwarded-for")
UP = UpstreamHeaders.compile(cookies=None, client_header="x-forwarded-for", forwarded=False)


def went_up(name: bytes, *, peer: str, connection: bytes = b"close") -> bool:
    """Whether a header of this name goes up with the value that was sent."""
    headers = ((name, b"1.2.3.4"), (b"Connection", connection))
    head = UP.head(
        "GET /",
        b"up.example",
        index(headers),
        CLIENTS.resolve(peer, index(headers)),
        b"rid",
        0,
        passage=b"our0name",
    )
    return name + b": 1.2.3.4\r\n" in head


@pytest.mark.parametrize("name", SPOKEN_BY_PROXIES)
def test_what_only_a_proxy_may_say_is_dropped_from_anyone_else(name: bytes) -> None:
    assert not went_up(name, peer="203.0.113.9")
    assert CLIENTS.resolve("203.0.113.9", lines({name: b"1.2.3.4"})).dropped
    if name not in REPLACED:
        assert went_up(name, peer="10.0.0.1")
    for spelled in underscored(frozenset({name})):
        assert not went_up(spelled, peer="10.0.0.1")


def test_the_tables_hold_these_names_and_no_others() -> None:
    assert set(SPOKEN_BY_PROXIES) == FORWARDING
    assert set(END_TO_END) | FORWARDING | REPLACED == ESSENTIAL
    between_hops = b"connection keep-alive te trailer transfer-encoding upgrade http2-settings proxy"
    assert set(between_hops.split()) == HOP_BY_HOP
    assert {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id"} == REPLACED


@pytest.mark.parametrize("name", [*SINGLE, *LOOKED_UP, *SPOKEN_BY_PROXIES])
def test_a_plain_request_has_these_names_once(name: bytes) -> None:
    others = b"" if name == b"host" else b"Host: a\r\n"
    head = read_request(b"GET / HTTP/1.1\r\n%b%b: 1\r\n\r\n" % (others, name.title()), 999)
    assert head is not None
    assert head.headers[name] == b"1"
    assert read_request(b"GET / HTTP/1.1\r\n%b%b: 1\r\n%b: 2\r\n\r\n" % (others, name, name.upper()), 999) is None


@pytest.mark.parametrize("name", LOOKED_UP_IN_ANSWERS)
def test_a_plain_answer_has_these_names_once(name: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b: 1\r\n"
    whole = read_answer(answer % name.title() + b"\r\n", 999)
    assert whole is not None
    assert whole[0].headers[name] == b"1"
    assert read_answer(answer % name + b"%b: 2\r\n\r\n" % name.upper(), 999) is None


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_head_with_one_of_these_names_is_not_plain(name: bytes) -> None:
    assert read_request(b"GET / HTTP/1.1\r\nHost: a\r\n%b: 1\r\n\r\n" % name.title(), 999) is None
    assert read_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b: 1\r\n\r\n" % name.title(), 999) is None


@pytest.mark.parametrize("name", [b"Authorization", b"Origin", b"Content-Type", b"Cookie", b"DNT", b"Sec-GPC"])
def test_naming_what_is_end_to_end_in_connection_removes_nothing(name: bytes) -> None:
    assert went_up(name, peer="203.0.113.9", connection=name)
    assert not went_up(b"X-Other", peer="203.0.113.9", connection=b"x-other")


def test_a_tree_of_names_matches_these_names_and_no_others() -> None:
    names = (b"te", b"trailer", b"transfer-encoding", b"x-a", b"x-a-b")
    tree = re.compile(any_of(names))
    assert [name for name in names if tree.fullmatch(name) is None] == []
    for other in (b"", b"t", b"tea", b"trail", b"x-", b"x-a-", b"x-a-bc", b"x.a"):
        assert tree.fullmatch(other) is None


def test_a_name_is_spelled_with_every_mixture_of_hyphens_and_underscores_but_its_own() -> None:
    assert underscored(frozenset({b"a-b-c", b"d"})) == {b"a_b-c", b"a-b_c", b"a_b_c"}
