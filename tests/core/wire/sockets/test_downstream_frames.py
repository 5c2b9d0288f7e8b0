from __future__ import annotations

import pytest

from fsproxy.core.wire.sockets.downstream_frames import LONGEST_OBSERVED, DownstreamFrames
from fsproxy.core.wire.sockets.websocket import Opcode, frame

OURS = frame(Opcode.TEXT, b"ours")
PING = frame(Opcode.PING, b"p")
MESSAGE = b"\x01\x03abc" + PING + b"\x80\x03def"
STREAM = frame(Opcode.TEXT, b"x" * 130) + MESSAGE + frame(Opcode.BINARY, b"") + frame(Opcode.TEXT, b"end")
BOUNDARIES = {0, 134, 134 + len(MESSAGE), 134 + len(MESSAGE) + 2, len(STREAM)}


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_what_is_put_in_stands_at_the_next_end_of_a_message(at: int) -> None:
    """Wherever the stream was cut when it came, and without moving a byte of it."""
    way = DownstreamFrames()
    out = way.feed(STREAM[:at], observing=True)
    if way.insert(OURS):
        out += OURS
    out += way.feed(STREAM[at:], observing=True)
    place = out.index(OURS)
    assert out[:place] + out[place + len(OURS) :] == STREAM
    assert place in BOUNDARIES
    # A head that is not whole has not been passed on: before it is early enough.
    assert place == min(each for each in BOUNDARIES if each >= at) or at - place in {1, 2, 3}
    assert way.observed == [b"x" * 130, b"abcdef", b"end"]


def test_a_payload_that_looks_like_frames_is_none_of_them() -> None:
    way, text = DownstreamFrames(), b"\x81\x01x"
    raw = frame(Opcode.TEXT, text * 3)
    assert way.feed(raw[:2], observing=True) == raw[:2]
    assert not way.insert(OURS)
    assert [way.feed(text, observing=True) for _ in range(3)] == [text, text, text + OURS]
    assert way.observed == [text * 3]


def test_several_that_wait_keep_their_order() -> None:
    way = DownstreamFrames()
    way.feed(MESSAGE[:4], observing=False)
    assert not way.insert(b"first")
    assert not way.insert(b"second")
    assert way.feed(MESSAGE[4:] + PING, observing=False) == MESSAGE[4:] + b"firstsecond" + PING
    assert way.waiting == []


def test_only_texts_are_observed_and_only_on_request() -> None:
    way = DownstreamFrames()
    compressed = b"\xc1\x03abc"
    way.feed(frame(Opcode.BINARY, b"b") + PING + compressed, observing=True)
    way.feed(frame(Opcode.TEXT, b"t"), observing=False)
    assert way.observed == []


@pytest.mark.parametrize(("size", "observed"), [(LONGEST_OBSERVED, 1), (LONGEST_OBSERVED + 1, 0)])
def test_a_text_is_observed_up_to_its_limit(size: int, observed: int) -> None:
    way = DownstreamFrames()
    way.feed(frame(Opcode.TEXT, b"x" * size), observing=True)
    assert len(way.observed) == observed


def test_the_beginning_of_a_head_is_left_at_the_streams_end() -> None:
    way = DownstreamFrames()
    assert way.feed(b"\x81", observing=True) == b""
    assert way.rest == b"\x81"


def test_what_is_listened_to_is_bounded_at_64_kilobytes() -> None:
    """A page's answer is under 10 KB; what an upstream sends more than that is not kept in memory."""
    assert LONGEST_OBSERVED == 65_536


def test_nothing_follows_a_close_of_ours() -> None:
    way = DownstreamFrames()
    assert way.feed(MESSAGE[:4], observing=False) == MESSAGE[:4]
    assert not way.insert(OURS)
    close = frame(Opcode.CLOSE, b"\x03\xe9")
    assert not way.insert(close, last=True)
    assert not way.insert(b"too late")
    assert not way.finished
    assert way.feed(MESSAGE[4:] + OURS + OURS, observing=False) == MESSAGE[4:] + OURS + close
    assert way.finished
    assert way.feed(OURS, observing=False) == b""


def test_nothing_of_ours_follows_a_close_of_the_upstreams() -> None:
    way = DownstreamFrames()
    close = frame(Opcode.CLOSE, b"\x03\xe8")
    assert not way.finished
    assert way.feed(close[:3], observing=False) == close[:3]
    assert not way.insert(OURS)
    assert way.feed(close[3:] + OURS, observing=False) == close[3:]
    assert not way.insert(OURS)
    assert way.finished
