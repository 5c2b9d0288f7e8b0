from __future__ import annotations

import pytest

from fsproxy.core.client_api.bundle import NO_CALLS, Bundle, Uninspectable
from fsproxy.core.client_api.frame import read_frame

CALL = b'{"Kind":8197,"Args":["Bought","{}"],"When":1}'
LIMIT = 1000


def frame(events: bytes, command: bytes = b"2") -> bytes:
    return b'{"Cmd":%b,"Seq":1,"Bundle":{"Bundle":{"Seq":1,"When":1,"Evts":[%b]},"OrgId":"o"}}' % (command, events)


@pytest.mark.parametrize(
    "events", [b"", b'{"Kind":1,"Args":["\\ud83d"],"When":1}', b'{"Kind":1,"Args":[%b]}' % (b"[]")]
)
def test_a_bundle_frame_without_calls_has_none(events: bytes) -> None:
    found = read_frame(frame(events), LIMIT)
    assert isinstance(found, Bundle)
    assert found.calls == []


def test_calls_are_found_at_their_places_in_the_frame() -> None:
    text = frame(b'{"Kind":1},' + CALL)
    found = read_frame(text, LIMIT)
    assert isinstance(found, Bundle)
    assert [text[start:end] for start, end in found.events] == [b'{"Kind":1}', CALL]
    assert [call.call.name for call in found.calls] == ["Bought"]


def test_frames_of_another_command_have_no_bundle() -> None:
    assert read_frame(frame(CALL, b"1"), LIMIT) is NO_CALLS


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"Cmd":2,"Seq":1}', Uninspectable.NOT_A_BUNDLE),
        (b'{"Cmd":2,"Bundle":{}}', Uninspectable.NOT_A_BUNDLE),
        (b'{"Cmd":2,"Bundle":{"Bundle":{"Evts":1}}}', Uninspectable.NOT_A_BUNDLE),
        (b'{"Cmd":2,"Bundle":[]}', Uninspectable.BROKEN),
        (b"{", Uninspectable.BROKEN),
    ],
)
def test_what_holds_no_bundle_says_why(text: bytes, why: Uninspectable, *, thorough: bool) -> None:
    assert read_frame(text, LIMIT, thorough=thorough) is why


def test_a_frame_that_is_too_deep_for_a_strict_reader_is_read() -> None:
    deep = b'{"Kind":1,"Args":%b},' % (b"[" * 5000 + b"]" * 5000)
    found = read_frame(frame(deep + CALL), LIMIT)
    assert isinstance(found, Bundle)
    assert len(found.calls) == 1
