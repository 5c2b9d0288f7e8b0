from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.wire.facts import BundleQuery
from fsproxy.core.wire.one_reading import UnclearError
from fsproxy.core.wire.sockets.frames import AT_ONCE, read_frame
from fsproxy.core.wire.sockets.uploads import read_upload

CONTENT = {
    "Bundle": {"Seq": 9, "OrgId": "inner", "Evts": []},
    "OrgId": "o",
    "UserId": "u",
    "SessionId": "s",
    "PageId": "p",
    "Seq": 4,
    "PageStart": 1_795_287_301_510,
    "PrevBundleTime": 1,
    "DeltaT": 2.5,
}
IDS = BundleQuery(org_id="o", user_id="u", session_id="s", page_id="p", page_start=1_795_287_301_510.0)
COMPACT = json.dumps(CONTENT, separators=(",", ":")).encode()


RECORDED = (
    b'{"Bundle":{"Seq":9,"When":1,"Evts":[]},"DeltaT":2.5,"OrgId":"o","PageId":"p","PageStart":1795287301510'
    b',"PrevBundleTime":1,"Seq":4,"SessionId":"s","UserId":"u"}'
)
"""With its members in the order in which recorders write them."""


@pytest.mark.parametrize("cmd", [2, 6])
@pytest.mark.parametrize(
    ("events", "at_once"),
    [
        (b"", True),
        (b'{"Kind":1,"Args":["]},\\"OrgId\\":\\"x"],"When":1}', True),
        (b'{"Kind":1,"Args":["\\ud83d"],"When":1}', True),
        (b'{"Kind":1,"Args":["%b"],"When":1}' % (b"x" * AT_ONCE), True),
        (b"[" * 5000 + b"]" * 5000, True),
        (b'{"Kind":1,"Args":[],"When":1', False),
        (b'],"Evts":[', False),
        (b']},"OrgId":"other","x":{"Evts":[', False),
    ],
    ids=["none", "a look-alike", "half an emoji", "large", "deep", "broken", "twice", "hidden"],
)
def test_an_upload_as_recorders_write_it_is_read_with_its_frame(cmd: int, events: bytes, *, at_once: bool) -> None:
    content = RECORDED.replace(b"[]", b"[%b]" % events)
    text = b'{"Cmd":%d,"Bundle":%b,"Seq":3}' % (cmd, content)
    found = read_frame(text)
    if events.endswith(b'"When":1'):  # no JSON
        assert found is None
        return
    assert found is not None
    assert (found.command, found.seq, found.raw_seq, text[slice(*found.place)]) == (cmd, 3, b"3", content)
    if at_once:
        assert found.upload == read_upload(text, found.place)
        assert found.upload is not None
        assert found.upload.ids == IDS
    elif b"OrgId" in events:
        assert found.upload is None
        with pytest.raises(UnclearError):
            read_upload(text, found.place)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"OrgId":"o"', b'"OrgId":"%b"' % (b"o" * 257)),
        (b'"OrgId":"o"', b'"OrgId":"\\u006f"'),
        (b'"UserId":"u"', b'"UserId":"\xff"'),
        (b'"PageId":"p",', b""),
        (b'"PageStart":', b'"PageStart":0'),
        (b',"Seq":4', b',"Seq":04'),
        (b',"Seq":4', b',"Seq":4,"x":1'),
    ],
)
def test_an_upload_in_another_form_is_left_to_the_scanner(old: bytes, new: bytes) -> None:
    found = read_frame(b'{"Cmd":2,"Bundle":%b,"Seq":3}' % RECORDED.replace(old, new))
    assert found is not None
    assert (found.command, found.seq, found.upload) == (2, 3, None)


def ids_of(content: bytes) -> BundleQuery:
    found = read_upload(content, (0, len(content)))
    assert found is not None
    return found.ids


@pytest.mark.parametrize(
    "content",
    [
        COMPACT,
        json.dumps(CONTENT).encode(),
        json.dumps(dict(reversed(CONTENT.items()))).encode(),
        COMPACT.replace(b'"OrgId":"o"', b'"orgid":"o"'),
        COMPACT.replace(b'"SessionId"', b'"\xc5\xbfessionId"'),
        COMPACT.replace(b'"UserId":"u"', b'"U\\u0073erId":"u"'),
        COMPACT.replace(b'"Evts":[]', b'"Evts":[{"a":"\\ud83d"},%b]' % (b"[" * 5000 + b"]" * 5000)),
        COMPACT.replace(b'"Evts":[]', b'"Evts":["%b"]' % (b"x" * AT_ONCE)),
    ],
    ids=["compact", "blanks", "reversed", "case", "a long s", "an escape", "odd events", "large"],
)
def test_the_ids_of_a_bundle_stand_beside_it(content: bytes) -> None:
    message = b"before" + content + b"after"
    found = read_upload(message, (6, 6 + len(content)))
    assert found is not None
    assert found.ids == IDS
    assert message[slice(*found.place)].startswith(b'{"Seq":' if b" " not in content[:20] else b'{"Seq": ')


REPEATED = (b"Seq", b"DeltaT", b"UserId", b"SessionId", b"pageid", b"PAGESTART")


@pytest.mark.parametrize("size", [10, AT_ONCE])
@pytest.mark.parametrize(
    "second",
    [
        b'"OrgId":"other"',
        b'"orgid":"other"',
        b'"Bundle":{}',
        b'"\\u004frgId":"other"',
        *(b'"%b":4' % name for name in REPEATED),
    ],
)
def test_a_name_that_comes_twice_is_refused(second: bytes, size: int) -> None:
    large = COMPACT.replace(b'"Evts":[]', b'"Evts":["%b"]' % (b"x" * size))
    for content in (
        large[:-1] + b"," + second + b"}",
        b"{" + second + b"," + large[1:],
        large.replace(b'},"OrgId"', b"}," + second + b',"x":{"y":[]},"OrgId"'),
    ):
        with pytest.raises(UnclearError):
            read_upload(content, (0, len(content)))


def test_what_is_odd_is_missing() -> None:
    content = b'{"OrgId":1,"Seq":"1","DeltaT":true,"UserId":"%b","PageStart":' % (b"u" * 5000) + b"9" * 400 + b"}"
    found = read_upload(content, (0, len(content)))
    assert found is not None
    assert (found.ids, found.place) == (BundleQuery(), (0, 0))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"null", b'{"OrgId":"o"}x'])
def test_what_is_no_object_is_none(content: bytes) -> None:
    assert read_upload(content, (0, len(content))) is None


def test_an_id_that_cannot_be_text_leaves_the_others() -> None:
    """Clients cut emoji in two: half of one is no text."""
    assert ids_of(b'{"OrgId":"o","UserId":"\\ud83d","PageId":"p"}') == BundleQuery(org_id="o", page_id="p")


@settings(max_examples=200)
@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_no_text_is_more_than_unclear(text: bytes) -> None:
    for each in (text, b'{"Bundle":' + text + b"}", b'{"Bundle":{},"OrgId":' + text + b"}"):
        try:
            read_upload(each, (0, len(each)))
        except UnclearError:
            continue
