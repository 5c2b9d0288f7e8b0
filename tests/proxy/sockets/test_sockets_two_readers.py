"""Frames whose contents two readers could read differently, and valid JSON that few readers take (rules.md 2, 4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.sockets import MOVE, bundle_frame, page_frame, say, setting

RULES = {"filters": {"domain": {"rules": [{"block": "blocked.example.com"}]}, "deleting_user": {"block": ["ann"]}}}
GOOD = r'{"Kind":8197,"Args":["E","{\"a_int\":1}"],"When":5}'
MARK = "\ufeff"


def with_events(*events: str, seq: int = 2, cmd: int = 2) -> str:
    """A frame with these events, written as they are."""
    return bundle_frame(MOVE, seq=seq, cmd=cmd).replace(json.dumps(MOVE, separators=(",", ":")), ",".join(events))


BAD = [
    r'{"kind":8197,"Args":["","{}"],"When":5}',
    r'{"Kind":57,"KIND":8197,"Args":["","{}"],"When":5}',
    r'{"Kind":8197.0,"Args":["","{}"],"When":5}',
    r'{"Kind":8.197e3,"Args":["","{}"],"When":5}',
    r'{"Kind":8197,"Args":["E","{}"],"args":["","{}"],"When":5}',
]


@pytest.mark.parametrize("cmd", [2, 6])
@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
async def test_an_event_that_one_reader_would_reject_is_cut(tmp_path: Path, bad: str, cmd: int) -> None:
    async with setting(tmp_path) as it, it.connect() as socket:
        assert (await say(socket, with_events(bad, GOOD, cmd=cmd)))["Cmd"] == {2: 5, 6: 7}[cmd]
        assert it.backend.texts == [with_events(GOOD, cmd=cmd)]


@pytest.mark.parametrize("cmd", [2, 6])
async def test_a_list_of_events_in_other_letters_is_judged(tmp_path: Path, cmd: int) -> None:
    sent, left = (
        with_events(*events, cmd=cmd).replace('"Evts"', f'"Evts":[{GOOD}],"evts"')
        for events in ((BAD[0], GOOD), (GOOD,))
    )
    async with setting(tmp_path) as it, it.connect() as socket:
        await say(socket, sent)
        assert it.backend.texts == [left]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"url": "https://blocked.example.com/"}, 4),
        ({"URL": "https://blocked.example.com/"}, 4),
        ({"appid": "ann"}, 12),
    ],
)
async def test_of_a_page_the_reading_that_is_blocked_counts(
    tmp_path: Path, fields: dict[str, object], code: int
) -> None:
    async with setting(tmp_path, RULES) as it, it.connect() as socket:
        for mark in ("", MARK):
            fail = (await say(socket, mark + page_frame(1, **fields)))["Fail"]
            assert (fail["Status"], json.loads(fail["Error"])["reason_code"]) == (202, code)
        assert it.backend.texts == []


@pytest.mark.parametrize("cmd", [2, 6])
async def test_half_an_emoji_goes_up_as_it_was_written(tmp_path: Path, cmd: int) -> None:
    call = r'{"Kind":8197,"Args":["cut \ud83d","{\"a_str\":\"Ann \ud83d\"%s}"],"When":5}'
    async with setting(tmp_path) as it, it.connect() as socket:
        await say(socket, with_events(call % "", cmd=cmd))
        await say(socket, with_events(call % r",\"b_int\":\"x\"", cmd=cmd, seq=3))
        assert it.backend.texts == [with_events(call % "", cmd=cmd), with_events(call % "", cmd=cmd, seq=3)]


async def test_a_byte_order_mark_hides_nothing(tmp_path: Path) -> None:
    async with setting(tmp_path) as it, it.connect() as socket:
        await socket.send_str(MARK + with_events(BAD[0], GOOD))
        await say(socket, with_events(GOOD, seq=3))
        assert it.backend.texts == [MARK + with_events(GOOD), with_events(GOOD, seq=3)]
