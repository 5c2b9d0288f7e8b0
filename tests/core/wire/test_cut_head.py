from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.cut_head import read_cut_head


def test_a_cut_head_is_read_as_far_as_it_came() -> None:
    read = read_cut_head(b"POST /rec/page?a HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example \r\nCookie: a=xxx")
    assert read is not None
    method, target, headers = read
    assert (method, target) == ("POST", "/rec/page?a")
    assert dict(headers) == {b"host": b"a", b"origin": b"https://a.example"}


def test_a_cut_target_is_read_as_far_as_it_came() -> None:
    assert read_cut_head(b"\r\nPOST /rec/page?qqq") == ("POST", "/rec/page?qqq", {})
    assert read_cut_head(b"XPOST /X HTTP/1.1\r\nX") == ("XPOST", "/X", {})
    assert read_cut_head(b"GET https://h/\xff?qqq") == ("GET", "https://h/\udcff?qqq", {})


def test_what_is_no_request_line_is_not_read() -> None:
    for data in (b"", b"\r\n\r\n", b"GET", b"GET /a b HTTP/1.1\r\n", b"\x16\x03\x01", b"G\xe4T /", b"GET a"):
        assert read_cut_head(data) is None, data


def test_what_is_no_field_is_left_out_and_the_number_of_lines_is_bounded() -> None:
    read = read_cut_head(b"GET / HTTP/1.1\r\nA b: c\r\n: d\r\nX: y\0\r\nE: f\r\n" + b"G: h\r\n" * 3000)
    assert read is not None
    assert read[2][b"e"] == b"f"
    assert set(read[2]) == {b"e", b"g"}
    assert len(read[2].lines) == 1020


@settings(max_examples=200)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes(line: bytes, rest: bytes) -> None:
    read_cut_head(line + rest)
    read_cut_head(b"GET /" + line + b"\r\n" + rest + b"\r\n")
