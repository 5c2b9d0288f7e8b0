"""Forwarding headers and cookies: nobody is believed who is not trusted, nothing is smuggled up (rules.md 4)."""

from __future__ import annotations

import re
from functools import cache
from ipaddress import ip_network

from fsproxy.core.matching.cookies import has_cookies, search_of_cookie
from fsproxy.core.model import Address
from fsproxy.core.wire.client_address import MOST_HOPS, ClientAddresses, parse_address
from fsproxy.core.wire.cookies import kept_cookies, uid_cookie
from fsproxy.core.wire.header_values import index, without_named
from fsproxy.core.wire.headers import Framing, UpstreamHeaders
from fuzz.harness import Target, head_and_rest
from support.cookies import parse_cookies

TRUSTED = tuple(map(ip_network, ("127.0.0.0/8", "10.0.0.0/8", "::1/128", "2001:db8:1::/48")))
_PEERS = ("127.0.0.1", "203.0.113.7", "::1", "2001:db8::7", None, "", "not an address", "::ffff:10.0.0.9", "10.0.0.9%x")
_HEADERS = ("x-forwarded-for", "forwarded", "cf-connecting-ip")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BLANKS = b" \t"
ALLOWED = frozenset({b"fs_uid", b"b"})

Lines = tuple[tuple[bytes, bytes], ...]


def _lines(data: bytes) -> Lines:
    """Header lines as the parser lets them through: names are tokens, values hold no control character."""
    pairs = (line.partition(b":")[::2] for line in data.split(b"\n"))
    return tuple((name, _CONTROL.sub(b"", value).strip(_BLANKS)) for name, value in pairs if _TOKEN.fullmatch(name))


def check_forwarding(data: bytes) -> None:
    """The first byte chooses peer and header; the rest are header lines."""
    variant, rest = head_and_rest(data)
    peer, header = _PEERS[variant % len(_PEERS)], _HEADERS[variant // len(_PEERS) % len(_HEADERS)]
    lines = _lines(rest)
    headers = index(lines)
    clients = ClientAddresses.compile(TRUSTED, header)
    client = clients.resolve(peer, headers)
    assert client == clients.resolve(peer, headers)
    direct = parse_address(peer) if peer else None
    assert client.trusted == (_is_trusted(direct) if direct is not None else not peer)
    for node in client.chain.split(", "):
        assert node == "unknown" or str(parse_address(node)) == node
    if not client.trusted:
        assert client.address == direct
        assert client.chain in {str(direct), "unknown"}
        assert (client.proto, client.request_id) == ("http", None)
    elif header == "x-forwarded-for":
        chain = headers.get(b"x-forwarded-for", b"").decode("latin-1")
        assert client.address == _right_most_untrusted(direct, chain)
    _goes_up(clients, client_header=header, lines=lines, peer=peer)


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in TRUSTED)


def _right_most_untrusted(direct: object, chain: str) -> object:
    """Read the rule plainly: from the right, up to the first that is no trusted proxy, or makes no sense."""
    address = direct
    parts = [part.strip() for part in chain.split(",")[-MOST_HOPS:]]
    for text in reversed(parts):
        if text:
            hop = parse_address(text)
            if hop is None:
                break
            address = hop
            if not _is_trusted(hop):
                break
    return address


@cache
def _upstream_headers(client_header: str) -> UpstreamHeaders:
    return UpstreamHeaders.compile(cookies=frozenset({"fs_uid", "b"}), client_header=client_header, forwarded=True)


def _goes_up(clients: ClientAddresses, *, client_header: str, lines: Lines, peer: str | None) -> None:
    """The head that goes up: its lines are lines, ours stand there once, and no hop-by-hop header does."""
    client = clients.resolve(peer, index(lines))
    up = _upstream_headers(client_header)
    for framing in (7, Framing.NONE, Framing.CHUNKED):
        head = up.head(
            "POST /rec/page", b"up.example", index(lines), client, b"id-1", framing, passage=b"our0name", page=True
        )
        assert head.endswith(b"\r\n\r\n")
        first, *rest = head[:-4].split(b"\r\n")
        assert first == b"POST /rec/page HTTP/1.1"
        sent = [line.partition(b": ")[::2] for line in rest]
        assert all(_TOKEN.fullmatch(name) and not _CONTROL.search(value) for name, value in sent)
        names = [name.lower() for name, _ in sent]
        for name in (b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id", b"forwarded"):
            assert names.count(name) == 1
        assert names.count(b"x-forwarded-host") == bool(client.host)
        assert names.count(b"content-length") == (framing == 7)
        assert names.count(b"transfer-encoding") == (framing is Framing.CHUNKED)
        assert not {b"keep-alive", b"upgrade", b"proxy", b"trailer", b"expect", b"http2-settings"} & set(names)
        assert not any(name.startswith(b"proxy-") for name in names)
        said = dict(sent)
        assert said[b"X-Forwarded-For"].decode() == client.chain
        if not client.trusted:
            assert b"x-real-ip" not in names
            assert b"x_forwarded_for" not in names
        for name, value in sent:
            if name.lower() == b"cookie":
                assert {pair.partition(b"=")[0].strip(_BLANKS) for pair in value.split(b";")} <= ALLOWED
        headers = index(lines)
        block = without_named(headers.block, headers.get(b"connection", b""))
        kept = {line.partition(b": ")[0].lower() for line in block.split(b"\r\n")}
        assert {name for name in names if name.startswith(b"x-other")} <= kept


def check_cookies(data: bytes) -> None:
    """What goes up is what is allowed, as it came; what is read is what stands there; a uid cookie's parts are its own."""
    kept = kept_cookies(data, ALLOWED)
    pairs = [pair for pair in data.split(b";") if pair.partition(b"=")[0].strip(_BLANKS) in ALLOWED]
    assert [pair.strip(_BLANKS) for pair in kept.split(b";") if pair.strip(_BLANKS)] == [
        pair.strip(_BLANKS) for pair in pairs
    ]
    text = data.decode("utf-8", "surrogateescape")
    read, sent = parse_cookies(text), parse_cookies(kept.decode("utf-8", "surrogateescape"))
    assert sent == {name: value for name, value in read.items() if name.encode("utf-8", "surrogateescape") in ALLOWED}
    assert (has_cookies(text) is not None) == bool(read)
    for name, value in read.items():
        assert search_of_cookie(name, value)(text) is not None
        assert name == name.strip(" \t") != ""
        assert value in text
        assert ";" not in name + value
    uid = uid_cookie(text)
    if uid is not None:
        assert "fs_uid" in read
        assert uid.org
        assert "#" not in uid.org + uid.user + uid.session
        assert ":" not in uid.user + uid.session


FORWARDING = Target(
    "forwarding",
    check_forwarding,
    seeds=(
        b"\0X-Forwarded-For: 198.51.100.1, 203.0.113.5, 10.1.1.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example",
        b'\x09Forwarded: for=198.51.100.1;proto=https, for="[2001:db8::5]:443";host="b.example"\nX-Request-Id: abc',
        b"\x12CF-Connecting-IP: 2001:db8::5\nHost: c.example\nCookie: fs_uid=#o#u:s; x=1; b=2\nConnection: close, X-Other",
        b"\1X-Forwarded-For: 198.51.100.1\nX-Real-IP: 1.1.1.1\nX_Forwarded_For: 2.2.2.2\nX-Request-Id: evil\nProxy: p",
        b"\4X-Forwarded-For: unknown, ::ffff:10.0.0.1, [::1]:80,,\nX-Other: 1\nTE: trailers, gzip\nUpgrade: websocket",
        b"\0Accept-Encoding: br, gzip;q=0.5\nAccept-Encoding: *\nTransfer-Encoding: chunked\nContent-Length: 5\nExpect: 100-continue",
    ),
    tokens=(
        *(
            b"X-Forwarded-For: ",
            b"Forwarded: ",
            b"for=",
            b"for=_hidden",
            b'"',
            b'\\"',
            b";",
            b",",
            b", ",
            b"[::1]",
            b"10.0.0.1",
        ),
        *(
            b"unknown",
            b"203.0.113.5:99",
            b"%eth0",
            b"\nConnection: ",
            b"x-forwarded-for",
            b"Connection: cookie\n",
            b"\r\n",
        ),
        *(b"host=", b"proto=", b"Cookie: ", b"\nHost: ", b"a" * 70, b"10.0.0.1," * 40, b"\xe9", b" "),
    ),
    inputs=1000,
    longest=2000,
)
COOKIES = Target(
    "cookies",
    check_cookies,
    seeds=(
        b"fs_uid=#o-1#u-1:s-1:1795287341554::3#abc#/1826823341; fs_optout=1; b=2",
        b'fs_uid=%23o-1%23u%3As; a="quoted; b=inside"; =nameless; lone; b = spaced ; b=again',
        b"fs_uid=##u:s; fs_uid=#o#; b; ;;",
    ),
    tokens=(
        b"fs_uid=",
        b"b=",
        b"; ",
        b";",
        b"=",
        b"#",
        b":",
        b"%23",
        b"%3B",
        b"%",
        b'"',
        b" ",
        b"\t",
        b"\xff",
        b"\xc2\xa0",
        b"\x1f",
    ),
    inputs=8000,
    longest=1000,
)
