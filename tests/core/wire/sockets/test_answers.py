from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.pipeline import PageAnswer
from fsproxy.core.wire.sockets.answers import SocketAnswer, read_answer


def test_a_page_answer_is_read_as_over_http() -> None:
    text = b'{"Cmd":4,"Seq":3,"Page":{"SessionUUID":"s","UserUUID":"u","PageUUID":"p","IsNewSession":true}}'
    assert read_answer(text) == SocketAnswer(3, PageAnswer(200, "s", "u", "p", is_new=True))


@pytest.mark.parametrize("cmd", [b"5", b"7", b"5.0"])
def test_an_upload_is_answered_with_a_success(cmd: bytes) -> None:
    text = b'{"Cmd":%b,"Seq":2,"Bundle":{"BundleTime":1}}' % cmd
    assert read_answer(text) == SocketAnswer(2, PageAnswer(200))


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b'{"Status":202,"Error":"{\\"reason_code\\":3}"}', PageAnswer(202, reason_code=3)),
        (b'{"Status":202,"Error":"what"}', PageAnswer(202)),
        (b'{"Status":500}', PageAnswer(500)),
        (b'{"Status":200,"Error":"{}"}', PageAnswer(0)),
        (b'{"Status":"202"}', PageAnswer(0)),
        (b'{"Status":201}', PageAnswer(201)),
        (b'{"Status":999}', PageAnswer(999)),
        (b'{"Status":1000}', PageAnswer(0)),
        (b'{"Status":true}', PageAnswer(0)),
        (b'{"Status":202.0}', PageAnswer(0)),
        (b'{"Status":202,"Error":{"reason_code":3}}', PageAnswer(202)),
        (b'{"Status":202,"Error":"\xc3\xa9"}', PageAnswer(202)),
        (b"[]", PageAnswer(0)),
    ],
)
def test_a_failure_is_never_a_success(content: bytes, answer: PageAnswer) -> None:
    assert read_answer(b'{"Cmd":3,"Seq":1,"Fail":%b}' % content) == SocketAnswer(1, answer)


@pytest.mark.parametrize("text", [b"", b"1", b"{", b"{}", b'{"Cmd":1}', b'{"Cmd":true}', b'{"Cmd":"4"}', b'{"Cmd":8}'])
def test_other_texts_answer_nothing(text: bytes) -> None:
    assert read_answer(text) is None


@settings(max_examples=200)
@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_no_text_raises(text: bytes) -> None:
    for each in (text, b'{"Cmd":4,"Page":' + text + b"}", b'{"Cmd":3,"Fail":' + text + b"}"):
        read_answer(each)
