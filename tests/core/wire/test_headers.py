from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.answer_headers import downstream_lines
from fsproxy.core.wire.client_address import ClientAddresses
from fsproxy.core.wire.header_values import (
    NAMES_NOTHING,
    RawHeaders,
    asks_for_socket,
    index,
    narrowed_encoding,
    without_named,
)
from fsproxy.core.wire.headers import Framing, UpstreamHeaders
from fsproxy.core.wire.plain_head import read_answer, read_request

ADDRESSES = ClientAddresses.compile([ip_network("10.0.0.0/8")], "x-forwarded-for")
RULES = UpstreamHeaders.compile(cookies=frozenset({"fs_uid"}), client_header="x-forwarded-for", forwarded=False)


def sent(
    *headers: tuple[bytes, bytes],
    peer: str = "203.0.113.9",
    rules: UpstreamHeaders = RULES,
    framing: int | Framing = 3,
    page: bool = False,
) -> list[bytes]:
    """The lines of the head that goes up."""
    client = ADDRESSES.resolve(peer, index(headers), "https")
    head = rules.head(
        "POST /rec/page?a=%2e",
        b"up.example:9",
        index(headers),
        client,
        b"rid-1",
        framing,
        passage=b"our0name",
        page=page,
    )
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


def downstream(
    answer: RawHeaders, rejected: int = 0, *, capture: bool = False, upgrade: bool = False
) -> list[tuple[bytes, bytes]]:
    """The lines of an answer for the client, with ours."""
    before, *lines = downstream_lines(index(answer), b"r", rejected, capture=capture, upgrade=upgrade).split(b"\r\n")
    assert before == b""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


def named(lines: list[bytes], name: bytes) -> list[bytes]:
    return [line.partition(b": ")[2] for line in lines if line.partition(b":")[0].lower() == name]


@pytest.mark.parametrize("peer", ["203.0.113.9", "10.0.0.1"])
@pytest.mark.parametrize("more", [(), ((b"Transfer-Encoding", b"chunked"),)])
def test_a_configured_origin_replaces_the_clients_and_is_not_invented(peer: str, more: tuple[()]) -> None:
    rules = UpstreamHeaders.compile(cookies=None, client_header="x", forwarded=False, origin="https://own.example")
    both = ((b"Host", b"a"), (b"ORIGIN", b"https://a.example"), (b"Origin", b"null"), *more)
    assert named(sent(*both, peer=peer, rules=rules), b"origin") == [b"https://own.example"]
    assert named(sent((b"Host", b"a"), *more, peer=peer, rules=rules), b"origin") == []
    assert named(sent(*both, peer=peer), b"origin") == [b"https://a.example", b"null"]


def test_an_answer_that_allows_the_configured_origin_allows_the_clients_own() -> None:
    rules = UpstreamHeaders.compile(cookies=None, client_header="x", forwarded=False, origin="https://own.example")
    lines = b"\r\nX: https://own.example\r\nAccess-control-ALLOW-Origin: https://own.example\r\nY: b"
    assert rules.restored(lines, b"https://a\\1") == lines.replace(
        b"Origin: https://own.example", b"Origin: https://a\\1"
    )
    for other in (b"*", b"https://own.example.net", b"https://ownXexample"):
        kept = b"\r\nAccess-Control-Allow-Origin: " + other
        assert rules.restored(kept, b"https://a") == kept


def test_a_plain_request_goes_up_with_its_lines_and_ours() -> None:
    assert sent(
        (b"Host", b"capture.example"), (b"content-TYPE", b"text/plain"), (b"X-Own", b"a"), (b"X-Own", b"b")
    ) == [
        b"POST /rec/page?a=%2e HTTP/1.1",
        b"Host: up.example:9",
        b"content-TYPE: text/plain",
        b"X-Own: a",
        b"X-Own: b",
        b"CDN-Loop: our0name",
        b"X-Forwarded-For: 203.0.113.9",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: capture.example",
        b"X-Request-Id: rid-1",
        b"Content-Length: 3",
    ]


def test_nothing_is_invented() -> None:
    names = {line.partition(b":")[0].lower() for line in sent(page=True)[1:]}
    ours = {b"cdn-loop", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id"}
    assert names == {b"host", b"content-length"} | ours


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([], b"our0name"),
        ([(b"CDN-Loop", b"")], b"our0name"),
        ([(b"cdn-loop", b"other.example; a=b")], b"other.example; a=b, our0name"),
        ([(b"CDN-Loop", b"a"), (b"X", b"y"), (b"CDN-LOOP", b"b, c")], b"a, b, c, our0name"),
        ([(b"CDN-Loop", b"a"), (b"Connection", b"close, CDN-Loop, X")], b"a, our0name"),
        ([(b"CDN-Loop", b"\xff\xfe")], b"\xff\xfe, our0name"),
    ],
)
@pytest.mark.parametrize("peer", ["203.0.113.9", "10.0.0.1"])
@pytest.mark.parametrize("framing", [3, Framing.UPGRADE, Framing.CHUNKED])
def test_who_a_request_has_passed_is_added_to_and_never_dropped(
    headers: list[tuple[bytes, bytes]], value: bytes, peer: str, framing: int | Framing
) -> None:
    assert named(sent(*headers, peer=peer, framing=framing), b"cdn-loop") == [value]


@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"Keep-Alive",
        b"Trailer",
        b"Transfer-Encoding",
        b"Upgrade",
        b"Proxy",
        b"Proxy-Authorization",
        b"PROXY-connection",
        b"proxy-anything",
        b"HTTP2-Settings",
        b"Expect",
    ],
)
def test_what_is_between_two_hops_does_not_go_up(name: bytes) -> None:
    assert named(sent((name, b"x")), name.lower()) == []


def test_every_connection_line_names_headers_without_case() -> None:
    lines = sent(
        (b"X-One", b"1"), (b"Traceparent", b"t"), (b"CONNECTION", b"close, x-ONE"), (b"connection", b"traceparent")
    )
    assert not [line for line in lines if line.lower().startswith((b"x-one", b"traceparent", b"connection"))]


def test_connection_cannot_take_what_is_end_to_end() -> None:
    """A client could else strip the length, its own address, or its cookie from the request."""
    essential = b"content-length, host, cookie, authorization, content-type, x-forwarded-for, x-request-id, origin"
    lines = sent(
        (b"Connection", essential), (b"Cookie", b"fs_uid=1"), (b"Content-Type", b"t"), (b"Origin", b"https://a.example")
    )
    for name in essential.split(b", "):
        if name != b"authorization":
            assert len(named(lines, name)) == 1, name


@pytest.mark.parametrize(
    ("framing", "expected"),
    [(0, b"Content-Length: 0"), (7, b"Content-Length: 7"), (Framing.CHUNKED, b"Transfer-Encoding: chunked")],
)
def test_the_body_is_framed_once_and_as_told(framing: int | Framing, expected: bytes) -> None:
    lines = sent((b"Content-Length", b"99"), (b"Transfer-Encoding", b"gzip, chunked"), framing=framing)
    assert [line for line in lines if line.lower().startswith((b"content-length", b"transfer-"))] == [expected]


def test_without_a_body_no_framing_goes_up() -> None:
    lines = sent((b"Content-Length", b"99"), framing=Framing.NONE)
    assert not [line for line in lines if line.lower().startswith((b"content-length", b"transfer-"))]


def test_an_upgrade_keeps_its_two_lines_and_its_key() -> None:
    lines = sent(
        (b"Upgrade", b"websocket"),
        (b"Connection", b"keep-alive, Upgrade"),
        (b"Sec-WebSocket-Key", b"k"),
        framing=Framing.UPGRADE,
    )
    assert named(lines, b"upgrade") == [b"websocket"]
    assert named(lines, b"connection") == [b"Upgrade"]
    assert named(lines, b"sec-websocket-key") == [b"k"]


@pytest.mark.parametrize(
    ("method", "headers", "asks"),
    [
        ("GET", {b"upgrade": b"websocket"}, True),
        ("GET", {b"upgrade": b"WebSocket", b"content-length": b"0"}, True),
        ("GET", {b"upgrade": b"websocket", b"content-length": b"2"}, False),
        ("GET", {b"upgrade": b"websocket", b"transfer-encoding": b"chunked"}, False),
        ("POST", {b"upgrade": b"websocket"}, False),
        ("GET", {b"upgrade": b"h2c"}, False),
        ("GET", {b"upgrade": b"h2c, websocket"}, False),
        ("GET", {}, False),
    ],
)
def test_only_a_get_without_a_body_opens_a_socket(method: str, headers: dict[bytes, bytes], *, asks: bool) -> None:
    assert asks_for_socket(method, headers) is asks


def test_an_upgrade_accepts_trailers_too() -> None:
    lines = sent((b"Upgrade", b"websocket"), (b"TE", b"trailers"), framing=Framing.UPGRADE)
    assert (named(lines, b"connection"), named(lines, b"te")) == ([b"Upgrade, TE"], [b"trailers"])


def test_te_is_for_us_where_connection_names_it() -> None:
    lines = sent((b"TE", b"trailers"), (b"Connection", b"close, te"))
    assert named(lines, b"te") == named(lines, b"connection") == []


@pytest.mark.parametrize(("te", "kept"), [(b"trailers", True), (b"gzip;q=1, Trailers", True), (b"deflate", False)])
def test_te_goes_up_as_trailers_or_not_at_all(te: bytes, *, kept: bool) -> None:
    lines = sent((b"TE", te))
    assert named(lines, b"te") == ([b"trailers"] if kept else [])
    assert named(lines, b"connection") == ([b"TE"] if kept else [])


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        (b"fs_uid=#o#u:s", [b"fs_uid=#o#u:s"]),
        (b"a=1; fs_uid=x;  b=2", [b"fs_uid=x"]),
        (b"fs_uid=1;fs_uid=2; a", [b"fs_uid=1;fs_uid=2"]),
        (b"FS_UID=1; a=fs_uid", []),
        (b"", []),
    ],
)
def test_only_listed_cookies_go_up(cookie: bytes, kept: list[bytes]) -> None:
    assert named(sent((b"Cookie", cookie)), b"cookie") == kept


def test_all_cookies_go_up_untouched_when_all_may() -> None:
    rules = UpstreamHeaders.compile(cookies=None, client_header="x-forwarded-for", forwarded=False)
    assert named(sent((b"Cookie", b" a=1;;b ;"), rules=rules), b"cookie") == [b" a=1;;b ;"]


SPOOFED = (
    (b"X-Forwarded-For", b"1.1.1.1"),
    (b"x-forwarded-for", b"2.2.2.2"),
    (b"X-Forwarded-Host", b"evil.example"),
    (b"X-Forwarded-Proto", b"gopher"),
    (b"X_Forwarded_For", b"3.3.3.3"),
    (b"Forwarded", b"for=4.4.4.4"),
    (b"X-Real-IP", b"5.5.5.5"),
    (b"CF-Connecting-IP", b"6.6.6.6"),
    (b"X-Request-Id", b"theirs"),
)


def test_an_untrusted_peers_forwarding_headers_do_not_go_up() -> None:
    lines = sent(*SPOOFED)
    assert named(lines, b"x-forwarded-for") == [b"203.0.113.9"]
    assert named(lines, b"x-forwarded-proto") == [b"https"]
    assert named(lines, b"x-request-id") == [b"rid-1"]
    joined = b"\n".join(lines)
    assert not any(value in joined for _, value in SPOOFED if value != b"203.0.113.9")


def test_a_trusted_peers_chain_goes_up_once_with_the_peer() -> None:
    lines = sent(*SPOOFED, peer="10.0.0.1")
    assert named(lines, b"x-forwarded-for") == [b"2.2.2.2, 10.0.0.1"]
    assert named(lines, b"x-forwarded-host") == [b"evil.example"]
    assert named(lines, b"x-real-ip") == [b"5.5.5.5"]
    assert named(lines, b"forwarded") == [b"for=4.4.4.4"]
    assert named(lines, b"x_forwarded_for") == []


def test_forwarded_is_sent_when_configured() -> None:
    rules = UpstreamHeaders.compile(cookies=None, client_header="x-forwarded-for", forwarded=True)
    headers = ((b"Host", b"h.example"), (b"X-Forwarded-For", b"2001:db8::1"), (b"Forwarded", b"for=theirs"))
    lines = sent(*headers, peer="10.0.0.1", rules=rules)
    assert named(lines, b"forwarded") == [b'for="[2001:db8::1]", for=10.0.0.1;proto=https;host="h.example"']


def test_the_configured_single_value_header_is_dropped_from_an_untrusted_peer() -> None:
    rules = UpstreamHeaders.compile(cookies=None, client_header="X-My-Client", forwarded=False)
    assert named(sent((b"x-my-client", b"1.1.1.1"), rules=rules), b"x-my-client") == []


@pytest.mark.parametrize(
    ("accept", "narrowed"),
    [
        (b"gzip, deflate, br, zstd", b"gzip"),
        (b"br", b"identity"),
        (b"gzip;q=0, br", b"identity"),
        (b"gzip; q=0.000", b"identity"),
        (b"gzip;q=0.5", b"gzip"),
        (b"GZIP", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"*", b"gzip"),
        (b"*;q=0", b"identity"),
        (b"*, gzip;q=0", b"identity"),
        (b"", b"identity"),
    ],
)
def test_page_answers_are_asked_for_in_what_we_can_read(accept: bytes, narrowed: bytes) -> None:
    assert narrowed_encoding(accept) == narrowed
    assert named(sent((b"accept-encoding", accept), page=True), b"accept-encoding") == [narrowed]
    assert named(sent((b"accept-encoding", accept)), b"accept-encoding") == [accept]


def test_an_answers_lines_come_down_in_order_case_and_number() -> None:
    answer = (
        (b"Set-Cookie", b"a=1"),
        (b"SET-cookie", b"b=2"),
        (b"Connection", b"close, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Request-ID", b"theirs"),
        (b"Content-Length", b"3"),
    )
    assert downstream(answer) == [
        (b"Set-Cookie", b"a=1"),
        (b"SET-cookie", b"b=2"),
        (b"Content-Length", b"3"),
        (b"X-Request-Id", b"r"),
    ]


def test_a_length_beside_a_transfer_encoding_is_dropped() -> None:
    answer = ((b"Content-Length", b"3"), (b"Transfer-Encoding", b"chunked"))
    assert downstream(answer) == [(b"X-Request-Id", b"r")]


def test_a_101_keeps_its_upgrade() -> None:
    answer = ((b"Upgrade", b"websocket"), (b"Connection", b"upgrade"), (b"Sec-WebSocket-Accept", b"x"))
    down = downstream(answer, upgrade=True)
    assert down[:2] == [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
    assert downstream(answer[:2]) == [(b"X-Request-Id", b"r")]


CORS = (b"Access-Control-Allow-Origin", b"https://a.example")
CREDENTIALS = (b"access-control-allow-credentials", b"true")


@pytest.mark.parametrize(
    ("answer", "exposed"),
    [
        ((CORS,), [b"X-Request-Id"]),
        ((CORS, (b"Access-Control-Expose-Headers", b"ETag")), [b"ETag, X-Request-Id"]),
        ((CORS, (b"access-control-expose-headers", b"x-request-id,A")), [b"x-request-id,A"]),
        ((CORS, (b"Access-Control-Expose-Headers", b"*")), [b"*"]),
        ((CORS, CREDENTIALS, (b"Access-Control-Expose-Headers", b"*")), [b"*, X-Request-Id"]),
        (((b"Access-Control-Expose-Headers", b"A"),), [b"A"]),
        ((), []),
    ],
)
def test_the_request_id_is_exposed_where_there_is_cors(answer: RawHeaders, exposed: list[bytes]) -> None:
    down = downstream(answer, capture=True)
    assert [value for name, value in down if name.lower() == b"access-control-expose-headers"] == exposed
    plain = downstream(answer)
    assert plain == [*answer, (b"X-Request-Id", b"r")]


@pytest.mark.parametrize(
    ("there", "exposed"),
    [
        (b"", b"X-Request-Id, FSProxy-Rejected"),
        (b"ETag", b"ETag, X-Request-Id, FSProxy-Rejected"),
        (b"X-REQUEST-ID ,ETag", b"X-REQUEST-ID ,ETag, FSProxy-Rejected"),
        (b"fsproxy-rejected", b"fsproxy-rejected, X-Request-Id"),
        (b"FSProxy-Rejected,X-Request-Id", b"FSProxy-Rejected,X-Request-Id"),
    ],
)
def test_what_is_exposed_already_stays_and_only_ours_that_lack_are_added(there: bytes, exposed: bytes) -> None:
    name = b"Access-Control-Expose-Headers"
    down = downstream((CORS, (name, b"A"), (name, there)), 1, capture=True)
    assert [value for each, value in down if each == name] == [b"A", exposed]


def test_the_count_of_rejections_is_ours_alone_and_exposed() -> None:
    down = downstream((CORS, (b"fsproxy-rejected", b"9")), 2, capture=True)
    assert down == [
        CORS,
        (b"Access-Control-Expose-Headers", b"X-Request-Id, FSProxy-Rejected"),
        (b"X-Request-Id", b"r"),
        (b"FSProxy-Rejected", b"2"),
    ]


def test_repeated_lines_are_joined_in_the_index() -> None:
    headers = ((b"Cookie", b"a=1"), (b"X", b"1"), (b"cookie", b"b=2"), (b"x", b"2"))
    assert index(headers) == {b"cookie": b"a=1; b=2", b"x": b"1, 2"}
    assert (index(headers).find(b"x"), index(headers).find(b"y")) == (b"1, 2", None)


_LINES = st.lists(
    st.tuples(
        st.sampled_from([b"Connection", b"Cookie", b"TE", b"X-A", b"X-Forwarded-For", b"Accept-Encoding", b"Host"]),
        st.binary(max_size=30).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b"")),
    ),
    max_size=8,
).map(tuple)


@settings(max_examples=150)
@given(_LINES, st.sampled_from(["10.0.0.1", "203.0.113.9", ""]), st.booleans())
def test_any_values_make_one_well_formed_head(headers: RawHeaders, peer: str, page: bool) -> None:  # noqa: FBT001 - drawn by position
    lines = sent(*headers, peer=peer, page=page)
    assert all(b": " in line for line in lines[1:])
    for name in (b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id", b"content-length"):
        assert len(named(lines, name)) == 1
    downstream(headers, capture=True)


@pytest.mark.parametrize("value", [b"keep-alive", b"close", b"Upgrade", b"Keep-Alive, Upgrade"])
def test_a_connection_line_that_names_no_header_costs_no_second_look(value: bytes) -> None:
    assert value.lower() in NAMES_NOTHING
    assert without_named(b"\r\nContent-Type: a", value) == b"\r\nContent-Type: a"


def test_the_lines_that_connection_names_go_and_the_others_stay_as_they_are() -> None:
    block = b"\r\nA: 1\r\nX-One: 2\r\nB: 3\r\nx-ONE: 4\r\nX-Ones: 5\r\nHost: a"
    assert without_named(block, b"X-one, ,host,, c") == b"\r\nA: 1\r\nB: 3\r\nX-Ones: 5\r\nHost: a"
    assert without_named(block, b" ,host") is block


@pytest.mark.parametrize("weight", [b"q=0", b"q=0.0", b"q=0.000", b" q = 0.00 ", b"Q=0"])
def test_a_coding_of_weight_zero_is_refused_however_it_is_written(weight: bytes) -> None:
    assert narrowed_encoding(b"gzip;" + weight) == b"identity"


@pytest.mark.parametrize("weight", [b"q=0.1", b"q=0.001", b"q=1", b"q=1.0", b" q = 0.10 ", b"level=0"])
def test_a_coding_of_any_other_weight_is_taken(weight: bytes) -> None:
    assert narrowed_encoding(b"gzip;" + weight) == b"gzip"


@pytest.mark.parametrize("page", [True, False])
@pytest.mark.parametrize("cookies", [frozenset({"fs_uid", "b"}), frozenset(), None])
@pytest.mark.parametrize(
    "lines",
    [
        b"X-Own: a",
        b"Cookie: a=1; fs_uid=2; b=3\r\nX-Own: a\r\nAccept-Encoding: gzip, br",
        b"accept-ENCODING: br\r\nX-Own: a\r\nOrigin: https://a.example\r\nCOOKIE: fs_uid=2",
        b"Cookie: a=1\r\nAccept-Encoding: *",
        b"Accept-Encoding: gzip;q=0\r\nCookie: a=1",
        b"X-Own: a\r\nCookie: fs_uid=2\r\nX-Own: b\r\nConnection: keep-alive",
        b"Connection: keep-alive\r\nAccept-Encoding: gzip",
    ],
)
def test_a_plain_requests_lines_go_up_as_any_others_would(
    lines: bytes, cookies: frozenset[str] | None, *, page: bool
) -> None:
    plain = read_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n", 4096)
    assert plain is not None
    rules = UpstreamHeaders.compile(cookies=cookies, client_header="x-forwarded-for", forwarded=False)
    client = ADDRESSES.resolve("203.0.113.9", plain.headers)
    heads = [
        rules.head("GET /", b"up.example", headers, client, b"rid-1", 0, passage=b"our0name", page=page)
        for headers in (plain.headers, index(plain.headers.lines))
    ]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize(
    "lines",
    [
        b"Server: x\r\nContent-Length: 2\r\nVary: Origin",
        b"content-length: 2\r\nConnection: keep-alive\r\nX-Own: x\r\nX-Own: y",
        b"Access-Control-Allow-Origin: https://a.example\r\nX-Request-Id: theirs\r\nContent-Length: 2",
        b"Access-Control-Expose-Headers: X-Own\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\nTrailer-No: 1",
    ],
)
def test_a_plain_answers_lines_go_down_as_any_others_would(lines: bytes, *, capture: bool) -> None:
    data = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n{}"
    whole = read_answer(data, 4096)
    assert whole is not None
    headers = whole[0].headers
    as_any_other = downstream_lines(index(headers.lines), b"rid-1", 1, capture=capture, upgrade=False)
    assert downstream_lines(headers, b"rid-1", 1, capture=capture, upgrade=False) == as_any_other
