from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.facts import BundleQuery
from fsproxy.core.pipeline import PageAnswer
from fsproxy.core.socket_frames import Command, SocketFrame, bundle_ids, fail_text, page_answer, read_frame


@pytest.mark.parametrize(
    ("text", "command", "seq", "content"),
    [
        (b'{"Cmd":1,"Seq":3,"Page":{"OrgId":"o"}}', Command.PAGE, 3, b'{"OrgId":"o"}'),
        (b' { "Page" : {} , "Cmd" : 1 } ', Command.PAGE, None, b"{}"),
        (b'{"Cmd":2,"Seq":"a","Bundle":{"Bundle":1}}', Command.BUNDLE, "a", b'{"Bundle":1}'),
        (b'{"Cmd":3,"Seq":1,"Fail":{"Status":202}}', Command.FAIL, 1, b'{"Status":202}'),
        (b'{"Cmd":4,"Seq":1,"Page":{}}', Command.PAGE_ANSWER, 1, b"{}"),
        (b'{"Cmd":5,"Seq":1,"Bundle":{}}', Command.BUNDLE_ANSWER, 1, b"{}"),
        (b'{"Cmd":1.0,"Seq":1}', Command.PAGE, 1, b""),
        (b'{"Cmd":9,"Cmd":1,"Page":1,"Page":2}', Command.PAGE, None, b"2"),
        (b'{"Cmd":1,"Seq":[1],"Page":{}}', Command.PAGE, None, b"{}"),
        (b'{"Cmd":1,"Seq":null,"Page":{}}', Command.PAGE, None, b"{}"),
    ],
)
def test_a_frame_says_what_it_carries(text: bytes, command: Command, seq: object, content: bytes) -> None:
    found = read_frame(text)
    assert found is not None
    assert (found.command, found.seq, found.content) == (command, seq, content)


@pytest.mark.parametrize(
    "text",
    [b"", b"1", b"[]", b"{", b'{"Cmd":6}', b'{"Cmd":"1"}', b'{"Cmd":true}', b"{}", b'{"Cmd":1}x', b'{"Cmd":NaN}'],
)
def test_any_other_text_is_none(text: bytes) -> None:
    assert read_frame(text) is None


def test_a_frame_that_is_too_deep_for_a_strict_reader_is_understood() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    found = read_frame(b'{"Cmd":2,"Seq":7,"Bundle":{"OrgId":"o","Bundle":{"Evts":%b}}}' % deep)
    assert found is not None
    assert (found.command, found.seq) == (Command.BUNDLE, 7)
    assert bundle_ids(found.content).org_id == "o"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_no_text_raises(text: bytes) -> None:
    for each in (text, b'{"Cmd":1,"Page":' + text + b"}", b'{"Cmd":3,"Seq":' + text + b"}"):
        found = read_frame(each)
        if found is not None:
            page_answer(found)
            bundle_ids(found.content)


def test_the_ids_of_a_bundle_stand_beside_it() -> None:
    content = {
        "Bundle": {"Seq": 9, "OrgId": "inner"},
        "OrgId": "o",
        "UserId": "u",
        "SessionId": "s",
        "PageId": "p",
        "Seq": 4,
        "PageStart": 1_795_287_301_510,
        "PrevBundleTime": 1,
        "DeltaT": 2.5,
    }
    assert bundle_ids(json.dumps(content).encode()) == BundleQuery(
        org_id="o", user_id="u", session_id="s", page_id="p", seq=4, page_start=1_795_287_301_510.0, delta_t=2.5
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"null", b'{"OrgId":1,"Seq":"1","PageStart":"1","DeltaT":true,"PageStart":' + b"9" * 400 + b"}"],
)
def test_what_is_odd_in_a_bundle_is_missing(content: bytes) -> None:
    assert bundle_ids(content) == BundleQuery()


def test_an_id_that_cannot_be_text_leaves_the_others() -> None:
    """Clients cut emoji in two: half of one is no text."""
    assert bundle_ids(b'{"OrgId":"o","UserId":"\\ud83d","PageId":"p"}') == BundleQuery(org_id="o", page_id="p")


def test_a_failure_carries_the_body_of_the_http_answer_as_text() -> None:
    body = b'{"reason_code": 4, "reason": "Domain Filter", "cookie_domain": "a\\"b"}'
    assert json.loads(fail_text(b"7", 202, body)) == {
        "Cmd": 3,
        "Seq": 7,
        "Fail": {"Status": 202, "Error": body.decode()},
    }


@pytest.mark.parametrize(("raw", "told"), [(b"12", 12), (b'"a"', "a"), (b"[1]", None), (b'"' + b"a" * 99 + b'"', None)])
def test_a_frames_seq_is_sent_back_when_it_is_a_plain_one(raw: bytes, told: object) -> None:
    found = read_frame(b'{"Cmd":1,"Seq":' + raw + b"}")
    assert found is not None
    assert json.loads(fail_text(found.raw_seq, 202, b""))["Seq"] == told


def frame(command: Command, content: bytes) -> SocketFrame:
    return SocketFrame(command=command, content=content)


def test_a_page_answer_is_read_as_over_http() -> None:
    content = b'{"SessionUUID":"s","UserUUID":"u","PageUUID":"p","IsNewSession":true}'
    assert page_answer(frame(Command.PAGE_ANSWER, content)) == PageAnswer(200, "s", "u", "p", is_new=True)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b'{"Status":202,"Error":"{\\"reason_code\\":3}"}', PageAnswer(202, reason_code=3)),
        (b'{"Status":202,"Error":"what"}', PageAnswer(202)),
        (b'{"Status":500}', PageAnswer(500)),
        (b'{"Status":200,"Error":"{}"}', PageAnswer(0)),
        (b'{"Status":"202"}', PageAnswer(0)),
        (b"[]", PageAnswer(0)),
        (b"", PageAnswer(0)),
    ],
)
def test_a_failure_is_never_a_success(content: bytes, answer: PageAnswer) -> None:
    assert page_answer(frame(Command.FAIL, content)) == answer


def test_a_bundle_with_half_an_emoji_in_an_opaque_event_is_understood() -> None:
    found = read_frame(b'{"Cmd":2,"Seq":5,"Bundle":{"Bundle":{"Evts":["\\ud83d"]},"OrgId":"o"}}')
    assert found is not None
    assert (found.command, found.seq, bundle_ids(found.content).org_id) == (Command.BUNDLE, 5, "o")


@pytest.mark.parametrize(("length", "told"), [(64, True), (65, False)])
def test_a_seq_is_sent_back_up_to_64_bytes(length: int, *, told: bool) -> None:
    raw = b'"' + b"a" * (length - 2) + b'"'
    found = read_frame(b'{"Cmd":1,"Seq":' + raw + b"}")
    assert found is not None
    assert found.raw_seq == (raw if told else b"null")
    assert (found.seq is not None) is told
