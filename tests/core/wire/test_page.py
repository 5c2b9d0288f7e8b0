import gzip
import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.pipeline import PageAnswer
from fsproxy.core.wire.page import (
    COMPOSED,
    LONGEST_AMBIGUOUS,
    LONGEST_ANSWER,
    AmbiguousPage,
    PageBody,
    host_of,
    read_page,
    read_page_answer,
)

BODY = {
    "OrgId": "o-TEST1-na1",
    "UserId": "",
    "SessionId": "7b2863c8",
    "PageId": "fbadc8eb",
    "Url": "https://a.example/",
    "Width": 1280,
    "SnippetVersion": "2.0.0",
    "CompiledVersion": "b2b925af",
    "CompiledTimestamp": 1770727426,
    "AppId": "u-1",
}
READ = PageBody("o-TEST1-na1", "", "7b2863c8", "fbadc8eb", "https://a.example/", 1770727426, "b2b925af", "2.0.0", "u-1")


def test_a_recorders_page_is_read() -> None:
    assert read_page(json.dumps(BODY).encode()) == READ


def test_a_page_of_an_old_build_lacks_most_fields() -> None:
    assert read_page(b'{"OrgId":"o","Url":"http://a.example/"}') == PageBody(org_id="o", url="http://a.example/")


@pytest.mark.parametrize(
    "extra",
    [
        r'"Title":"cut \ud83d"',
        '"N":' + "9" * 5000,
        '"N":-' + "9" * 30,
        '"N":1e999',
        '"OrgId":"other","OrgId":"o-TEST1-na1"',
        '"T":' + "[" * 200 + "]" * 200,
    ],
)
def test_oddities_in_other_fields_do_not_cost_the_page(extra: str) -> None:
    assert read_page((json.dumps(BODY)[:-1] + "," + extra + "}").encode()) == READ


def test_a_lone_surrogate_in_a_judged_field_is_replaced() -> None:
    assert read_page(rb'{"Url":"https://a.example/\ud83d"}') == PageBody(url="https://a.example/\ufffd")


def test_a_number_out_of_range_in_a_judged_field_is_as_if_missing() -> None:
    assert read_page(b'{"CompiledTimestamp":1e999}') == PageBody()
    assert read_page(b'{"CompiledTimestamp":' + b"9" * 5000 + b"}") == PageBody()


def test_wrong_types_are_left_to_the_filters() -> None:
    assert read_page(b'{"OrgId":5,"Url":["a"],"UserId":{}}') == PageBody(org_id=5, url=COMPOSED, user_id=COMPOSED)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'"OrgId"', b"{", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":"\xff"}', b"\xff\xfe{}",
     b'{"a":' + b"[" * 100_000, b'{"a":1}x'],
)  # fmt: skip
def test_what_is_no_json_object_in_utf8_is_none(body: bytes) -> None:
    assert read_page(body) is None


@settings(max_examples=200)
@given(st.binary(max_size=80), st.sampled_from([b"", b'{"OrgId":"o",']), st.sampled_from(["", "gzip", "br"]))
def test_no_bytes_raise(body: bytes, start: bytes, encoding: str) -> None:
    read_page(start + body)
    assert read_page_answer(200, start + body, encoding).status == 200


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://App.Example.com:8443/a?b#c", "app.example.com"),
        ("https://u:p@a.example/", "a.example"),
        ("https://a.example.", "a.example"),
        ("http://[::1]:80/", "[::1]"),
        ("https://a.example\\@evil.example/", "a.example"),
        ("about:blank", ""),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_host_of_a_url(url: object, host: str) -> None:
    assert host_of(url) == host


ANSWER = {"UserUUID": "u", "SessionUUID": "s", "PageUUID": "p", "IsNewSession": True, "Flags": {"a": True}}


@pytest.mark.parametrize("coding", ["", "identity", "gzip", "GZIP", "x-gzip"])
def test_a_page_answer_is_read_plain_and_compressed(coding: str) -> None:
    body = json.dumps(ANSWER).encode()
    sent = gzip.compress(body) if "gzip" in coding.lower() else body
    assert read_page_answer(200, sent, coding) == PageAnswer(200, session="s", user="u", page="p", is_new=True)


def test_the_upstreams_own_block_is_read() -> None:
    body = b'{"reason_code":3,"reason":"Org is over quota","cookie_domain":"example.io"}'
    assert read_page_answer(202, body) == PageAnswer(202, reason_code=3)
    assert read_page_answer(200, body) == PageAnswer(200)


@pytest.mark.parametrize(
    ("status", "body", "coding"),
    [
        (200, b"<html>", ""),
        (200, b'{"UserUUID":5,"IsNewSession":"yes"}', ""),
        (200, b"not gzip", "gzip"),
        (200, gzip.compress(b'{"UserUUID":"u","x":"' + b"a" * LONGEST_ANSWER + b'"}', mtime=0), "gzip"),
        (200, gzip.compress(json.dumps(ANSWER).encode(), mtime=0)[:20], "gzip"),
        (200, json.dumps(ANSWER).encode(), "br"),
        (500, json.dumps(ANSWER).encode(), ""),
        (202, b'{"reason_code":true}', ""),
    ],
)
def test_an_answer_that_cannot_be_read_is_known_by_its_status(status: int, body: bytes, coding: str) -> None:
    assert read_page_answer(status, body, coding) == PageAnswer(status)


@pytest.mark.parametrize(
    ("code", "read"),
    [(-1, -1), (999_999, 999_999), (-999_999, -999_999), (1_000_000, None), (-1_000_000, None), (3.0, None)],
)
def test_a_reason_code_of_the_upstreams_is_a_number_of_at_most_six_digits(code: float, read: int | None) -> None:
    assert read_page_answer(202, json.dumps({"reason_code": code}).encode()).reason_code == read


def test_as_much_of_an_answer_is_looked_at_as_the_readme_says() -> None:
    assert LONGEST_ANSWER == 262_144
    answer = b'{"UserUUID":"u"}'
    assert read_page_answer(200, answer.ljust(LONGEST_ANSWER + 1)).user == "u"
    assert read_page_answer(200, gzip.compress(answer.rjust(LONGEST_ANSWER), mtime=0), "gzip").user == "u"
    assert read_page_answer(200, answer.rjust(LONGEST_ANSWER + 1)).user == ""


def steps(body: bytes) -> int:
    """How many calls, of Python and of C, reading a page's body makes."""
    count = 0

    def called(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(called)
    try:
        read_page(body)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "part",
    [
        b"1,",
        b"1.5,",
        b"null,",
        b'"\\ud800",',
        b"[1],",
        b'{"a":1},',
        b"9" * 30 + b",",
        b"1e999,",
        b'"\xc3\xa9",',
        b"NaN,",
    ],
)
@pytest.mark.parametrize("field", [b"X", b"Url"])
@pytest.mark.parametrize("beside", [b"", b'"Y":"\\ud800",', b'"Y":"\xff",'])
def test_the_work_for_a_page_does_not_grow_with_its_number_of_values(part: bytes, field: bytes, beside: bytes) -> None:
    def page(count: int) -> bytes:
        return b'{%b"%b":[%b0]}' % (beside, field, part * count)

    assert steps(page(20_000)) <= steps(page(2)) + 10


def test_the_work_for_a_page_does_not_grow_with_its_number_of_names() -> None:
    def page(count: int) -> bytes:
        return b'{"T":"\\ud800",' + b",".join(b'"n%d":{"Url":%d}' % (n, n) for n in range(count)) + b"}"

    assert steps(page(20_000)) <= steps(page(2)) + 10


def test_surrogates_are_told_from_all_that_looks_like_them() -> None:
    body = rb'{"T":"\udead","Url":"\\ud83d \\uD83D \ud83d\ude00 \ue000 \uE001 \uD83D\uDE00 \uD7FF \ud800 x","AppId":"\uDFFF"}'
    assert read_page(body) == PageBody(url="\\ud83d \\uD83D 😀 \ue000 \ue001 😀 \ud7ff \ufffd x", app_id="\ufffd")


@given(st.text(), st.booleans())
def test_an_unpaired_surrogate_elsewhere_changes_no_field(text: str, ascii_only: bool) -> None:  # noqa: FBT001
    body = json.dumps({"Url": text, "OrgId": text, "N": "\ud800" if ascii_only else 1}, ensure_ascii=ascii_only)
    assert read_page(body.encode()) == PageBody(url=text, org_id=text)


def test_a_very_long_text_with_an_unpaired_surrogate_counts_as_no_text() -> None:
    assert read_page(rb'{"Url":"\ud800%b"}' % (b"x" * 70_000)) == PageBody(url=COMPOSED)
    assert read_page(rb'{"T":"\ud800","Url":"%b"}' % (b"x" * 70_000)) == PageBody(url="x" * 70_000)


@pytest.mark.parametrize(
    ("more", "exact", "loose"),
    [
        ('"url":"b"', "a", "b"),
        ('"URL":"b"', "a", "b"),
        ('"uRL":5', "a", 5),
        ('"url":"b","uRl":"c"', "a", "c"),
        ('"\\u0075rl":"b"', "a", "b"),
        ('"Ur\\u006C":"b"', "b", "b"),
        ('"url":"b","T":"cut \\ud83d"', "a", "b"),
        ('"url":"b","N":1e999', "a", "b"),
    ],
)
def test_a_page_with_a_name_in_other_letters_is_read_both_ways(more: str, exact: str, loose: object) -> None:
    found = read_page(f'{{"Url":"a",{more}}}'.encode())
    assert found is not None
    assert found.url == exact
    assert (found.other.url if isinstance(found, AmbiguousPage) else found.url) == loose


def test_letters_that_go_counts_as_k_and_s_are_seen() -> None:
    found = read_page('{"Se\u017f\u017fionId":"x","UserId":"u"}'.encode())
    assert isinstance(found, AmbiguousPage)
    assert (found.session_id, found.other.session_id, found.other.user_id) == (None, "x", "u")


@pytest.mark.parametrize(
    "more",
    [
        '"a":{"url":"b"}',
        '"a":"url"',
        '"Urls":"b"',
        '"Ur":1',
        '"a":"\\u0041"',
        '"url":"a","Url":"a"',
        '"Url":"b","Url":"a"',
    ],
)
def test_names_that_mislead_no_reader_make_no_second_reading(more: str) -> None:
    assert type(read_page(f'{{"Url":"a",{more}}}'.encode())) is PageBody


def test_a_large_body_is_refused_where_it_would_have_to_be_read_twice() -> None:
    filler = '"x":"' + "y" * LONGEST_AMBIGUOUS + '"'
    assert read_page(f'{{"Url":"a","url":"b",{filler}}}'.encode()) is None
    assert read_page(f'{{"Url":"a","a":{{"url":"b"}},{filler}}}'.encode()) == PageBody(url="a")


def test_the_bounds_of_what_is_read_leniently() -> None:
    for length, cleaned in ((65_536, "\ufffd" + "x" * 65_535), (65_537, COMPOSED)):
        assert read_page(rb'{"Url":"\ud800%b"}' % (b"x" * (length - 1))) == PageBody(url=cleaned)
    for digits, number in ((40, int("1" * 40)), (41, None)):
        page = rb'{"T":"\ud800","CompiledTimestamp":%b}' % (b"1" * digits)
        assert read_page(page) == PageBody(compiled_timestamp=number)
    for size, is_read in ((65_536, True), (65_537, False)):
        found = read_page(b'{"Url":"a","url":"b"}'.ljust(size))
        assert isinstance(found, AmbiguousPage) is is_read
        assert (found is None) is not is_read


def test_a_byte_order_mark_before_a_page_is_skipped() -> None:
    assert read_page(b"\xef\xbb\xbf" + json.dumps(BODY).encode()) == READ
    assert read_page(b'\xef\xbb\xbf{"Url":"a\\ud83d","url":"b"}') == AmbiguousPage(
        url="a\ufffd", other=PageBody(url="b")
    )


@pytest.mark.parametrize(
    "member", [rb'"Url":"https://\ud:3d.example/"', rb'"T":"\ud80p"', rb'"\uD8":1', rb'"T":"\ud800","S":"\udg00"']
)
def test_an_escape_that_is_none_is_not_json(member: bytes) -> None:
    assert read_page(b"{%b}" % member) is None
