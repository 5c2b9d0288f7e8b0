from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.one_reading import UnclearError
from fsproxy.core.wire.sockets.frames import AT_ONCE, Command, SocketFrame, fail_text, read_ends, read_frame


@pytest.mark.parametrize(
    ("text", "command", "seq", "content"),
    [
        (b'{"Cmd":1,"Page":{"OrgId":"o"},"Seq":3}', Command.PAGE, 3, b'{"OrgId":"o"}'),
        (b'{"Cmd":2,"Bundle":{"Bundle":1},"Seq":4}', Command.BUNDLE, 4, b'{"Bundle":1}'),
        (b'{"Cmd":6,"Bundle":{"Bundle":1},"Seq":5}', Command.EVENT, 5, b'{"Bundle":1}'),
        (b'{"Cmd":1,"Seq":3,"Page":{"OrgId":"o"}}', Command.PAGE, 3, b'{"OrgId":"o"}'),
        (b' { "Page" : {} , "Cmd" : 1 } ', Command.PAGE, None, b"{}"),
        (b'\xef\xbb\xbf{"Cmd":1,"Page":{},"Seq":1}', Command.PAGE, 1, b"{}"),
        (b'{"Cmd":2,"Seq":"a","Bundle":{"Bundle":1}}', Command.BUNDLE, "a", b'{"Bundle":1}'),
        (b'{"Cmd":1,"Bundle":{},"Seq":1}', Command.PAGE, 1, b""),
        (b'{"Cmd":1,"Seq":[1],"Page":{}}', Command.PAGE, None, b"{}"),
        (b'{"Cmd":1,"Seq":null,"Page":{}}', Command.PAGE, None, b"{}"),
        (b'{"Cmd":1,"Seq":true,"Page":{}}', Command.PAGE, None, b"{}"),
        (b'{"Cmd":1,"Page":{"a":"\\ud83d"},"Seq":3}', Command.PAGE, 3, b'{"a":"\\ud83d"}'),
    ],
)
def test_a_frame_says_what_it_carries(text: bytes, command: Command, seq: object, content: bytes) -> None:
    found = read_frame(text)
    assert found is not None
    assert (found.command, found.seq, text[slice(*found.place)]) == (command, seq, content)


@pytest.mark.parametrize("cmd", [b"2.0", b"2e0", b"20e-1", b'"2"', b'" 2 "', b"2.00000000000000000001"])
@pytest.mark.parametrize("name", [b"Cmd", b"cmd", b"CMD", b"\\u0043md"])
def test_a_command_is_compared_as_a_number_under_any_spelling_of_its_name(name: bytes, cmd: bytes) -> None:
    """Go's reader matches names without case; some languages compare a text, or ``true``, with a number."""
    found = read_frame(b'{"%b":%b,"bundle":{"Bundle":1},"seq":7}' % (name, cmd))
    assert found is not None
    assert (found.command, found.seq) == (Command.BUNDLE, 7)


def test_true_is_a_one() -> None:
    found = read_frame(b'{"Cmd":true,"Page":{},"Seq":1}')
    assert found is not None
    assert found.command is Command.PAGE


UNCLEAR = [
    b'{"Cmd":9,"Cmd":1,"Page":{},"Seq":1}',
    b'{"Cmd":1,"cmd":9,"Page":{},"Seq":1}',
    b'{"Cmd":2,"Bundle":{},"bundle":{},"Seq":1}',
    b'{"Cmd":1,"Page":{},"Page":{},"Seq":1}',
    b'{"Cmd":1,"Page":{},"\\u0050age":{},"Seq":1}',
    b'{"Cmd":1,"Page":{},"Seq":1,"\xc5\xbfeq":2}',  # a long s, which Go folds to s
    b'{"Cmd":1,"Page":{},"Seq":1}x',
    b'{"Cmd":1,"Page":{},"Seq":1}{"Cmd":9}',
    b'{"Cmd":9,%b"Seq":1}' % (b'"a":1,' * 100),
]


@pytest.mark.parametrize("text", UNCLEAR)
def test_what_two_readers_could_read_in_two_ways_is_refused(text: bytes) -> None:
    with pytest.raises(UnclearError):
        read_frame(text)


@pytest.mark.parametrize(("others", "is_read"), [(62, True), (63, False)])
def test_a_frame_has_at_most_64_members(others: int, *, is_read: bool) -> None:
    text = b'{"Cmd":9,%b"Seq":1}' % (b'"a":1,' * others)
    if is_read:
        assert read_frame(text) is None
    else:
        with pytest.raises(UnclearError):
            read_frame(text)


@pytest.mark.parametrize("size", [10, AT_ONCE])
def test_what_hides_between_the_ends_of_a_recorders_frame_is_seen(size: int) -> None:
    """However large the frame: its ends alone do not say that it has no other members."""
    filler = b"x" * size
    for hidden in (
        b'"Bundle":{"a":"%b"},"Cmd":1,"Page":{}',
        b'"Bundle":{"a":"%b"},"Seq":2',
        b'"Bundle":{"Bundle":{"Evts":["%b"]},"x":{}},"bundle":{"y":[{}]}',
    ):
        with pytest.raises(UnclearError):
            read_frame(b'{"Cmd":2,' + hidden % filler + b',"Seq":1}')


def test_a_large_frame_is_read_as_a_small_one() -> None:
    content = b'{"Bundle":{"Seq":1,"When":1,"Evts":[{"Kind":1,"Args":["%b"]}]},"OrgId":"o","Seq":1}' % (b"x" * AT_ONCE)
    for text in (b'{"Cmd":2,"Bundle":%b,"Seq":9}', b'{"Seq":9,"Cmd":2,"Bundle":%b}'):
        found = read_frame(text % content)
        assert found is not None
        assert (found.command, found.seq, (text % content)[slice(*found.place)] == content) == (Command.BUNDLE, 9, True)


@pytest.mark.parametrize(
    "text",
    [b"", b"1", b"[]", b"{", b'{"Cmd":8}', b'{"Cmd":4}', b'{"Cmd":"x"}', b"{}", b"{}x", b'{"Cmd":NaN}', b'{"Cmd":[1]}'],
)
def test_any_other_text_is_none(text: bytes) -> None:
    assert read_frame(text) is None


def test_a_frame_that_is_too_deep_for_a_strict_reader_is_understood() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    content = b'{"OrgId":"o","Bundle":{"Evts":%b}}' % deep
    text = b'{"Cmd":2,"Bundle":%b,"Seq":7}' % content
    found = read_frame(text)
    assert found is not None
    assert (found.command, found.seq, text[slice(*found.place)]) == (Command.BUNDLE, 7, content)


@settings(max_examples=200)
@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_no_text_is_more_than_unclear(text: bytes) -> None:
    for each in (text, b'{"Cmd":1,"Page":' + text + b"}", b'{"Cmd":2,"Seq":' + text + b"}"):
        try:
            found = read_frame(each)
        except UnclearError:
            continue
        if found is not None:
            json.loads(fail_text(found.raw_seq, 502, b""))


@pytest.mark.parametrize(
    ("start", "end", "seq"),
    [
        (b'{"Cmd":2,"Bundle":{"Bundle":{"Seq":1,', b'"Seq":1,"UserId":"u"},"Seq":23}', b"23"),
        (b'{"Cmd":2,"Seq":24,"Bundle":{"Bundle":{"Seq":1,', b'"Seq":1,"UserId":"u"}}', b"24"),
        (b' { "cmd" : 2.0 , "Bundle":', b'"} , "seq" : 25 } ', b"25"),
        (b'{"Cmd":2,"Bundle":{"Seq":1,', b'"Seq":1}}', b"null"),
    ],
)
def test_of_a_frame_that_is_not_kept_its_ends_say_which_it_was(start: bytes, end: bytes, seq: bytes) -> None:
    found = read_ends(start, end)
    assert (found.command, found.raw_seq) == (Command.BUNDLE, seq)


@pytest.mark.parametrize(
    ("start", "command"),
    [
        (b'{"Cmd":1,"Page":{"OrgId":"', Command.PAGE),
        (b'{"Cmd":6,"Bundle":{"Bundle":', Command.EVENT),
        (b' \t{\r\n"CMD" : 1.0 ,"Page":{', Command.PAGE),
        (b'{"Cmd":4,"Page":{', Command.BUNDLE),
        (b'{"Seq":1,"Cmd":1,', Command.BUNDLE),
        (b'{"Cmd":1', Command.PAGE),
    ],
)
def test_a_message_that_is_not_kept_is_what_its_beginning_says_or_else_a_bundle(start: bytes, command: Command) -> None:
    assert read_ends(start, b',"Seq":7}') == SocketFrame(command, 7, b"7", (0, 0))


@pytest.mark.parametrize("start", [b"", b"x", b'{"Cmd":8,', b'{"Page":{'])
def test_another_message_is_refused_as_a_bundle_is(start: bytes) -> None:
    assert read_ends(start, b',"Seq":1}') == SocketFrame(command=Command.BUNDLE, seq=1, raw_seq=b"1")


def test_a_failure_carries_the_body_of_the_http_answer_as_text() -> None:
    body = b'{"reason_code": 4, "reason": "Domain Filter", "cookie_domain": "a\\"b"}'
    assert json.loads(fail_text(b"7", 202, body)) == {
        "Cmd": 3,
        "Seq": 7,
        "Fail": {"Status": 202, "Error": body.decode()},
    }


@pytest.mark.parametrize(
    ("raw", "given"),
    [
        (b"12", 12),
        (b'"a"', "a"),
        (b"[1]", None),
        (b'"' + b"a" * 62 + b'"', "a" * 62),
        (b'"' + b"a" * 63 + b'"', None),
    ],
)
def test_a_frames_seq_is_sent_back_when_it_is_a_plain_one_of_at_most_64_bytes(raw: bytes, given: object) -> None:
    found = read_frame(b'{"Cmd":1,"Seq":' + raw + b"}")
    assert found is not None
    assert found.seq == given
    assert json.loads(fail_text(found.raw_seq, 202, b""))["Seq"] == given
