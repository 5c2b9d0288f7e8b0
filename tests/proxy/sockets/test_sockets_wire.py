"""Judged sockets byte by byte: what is untouched stays as it was framed, what is ours stands between messages."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fsproxy.core.wire.sockets.websocket import Opcode, frame, masked, payload_of
from support.socket_proxy import InnerProxy, inner_proxy

KEY = b"\x11\x22\x33\x44"
UPGRADE = (
    b"GET /rec/sock?OrgId=o HTTP/1.1\r\nHost: rs.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
BLOCKED = {"filters": {"domain": {"rules": [{"block": "bad.example"}]}}}
BAD_PAGE = b'{"Cmd":1,"Seq":1,"Page":{"OrgId":"o","Url":"https://bad.example/","PageId":"p"}}'
GOOD_PAGE = BAD_PAGE.replace(b"bad", b"good")
BUNDLE = b'{"Cmd":2,"Seq":2,"Bundle":{"Bundle":{"Seq":1,"When":1,"Evts":[]},"OrgId":"o","PageId":"q"}}'


def up(text: bytes) -> bytes:
    return frame(Opcode.TEXT, text, KEY)


def down(text: bytes) -> bytes:
    return frame(Opcode.TEXT, text)


def fragments(text: bytes, *places: int) -> list[bytes]:
    """The text as masked frames of one message, cut at these places."""
    found = []
    for start, end in zip((0, *places), (*places, len(text)), strict=True):
        framed = bytearray(frame(Opcode.CONTINUATION if start else Opcode.TEXT, text[start:end], KEY))
        framed[0] &= 0xFF if end == len(text) else 0x7F
        found.append(bytes(framed))
    return found


@dataclass
class End:
    """One end of a socket, in bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gets(self, data: bytes) -> None:
        """The next bytes are these."""
        async with asyncio.timeout(120):
            assert await self.reader.readexactly(len(data)) == data

    async def message(self) -> dict[str, Any]:
        """The next bytes are a short text frame that is not masked."""
        async with asyncio.timeout(120):
            head = await self.reader.readexactly(2)
            more = await self.reader.readexactly(2) if head[1] == 126 else b""
            raw = head + more + await self.reader.readexactly(int.from_bytes(more) if more else head[1])
        assert head[0] == 0x81
        found: dict[str, Any] = json.loads(payload_of(raw))
        return found

    async def ends(self) -> bytes:
        """All that comes until the other side closes."""
        async with asyncio.timeout(120):
            return await self.reader.read()


@dataclass
class Wire:
    proxy: InnerProxy
    client: End
    upstream: End
    request: bytes


@asynccontextmanager
async def wire(
    folder: Path, config: Mapping[str, Any] = BLOCKED, accept: bytes = ACCEPT, behind: bytes = b"", early: bytes = b""
) -> AsyncIterator[Wire]:
    """An open socket; ``behind`` comes from the upstream in one piece with its 101, ``early`` with the request."""
    accepted: asyncio.Future[tuple[End, bytes]] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(accept + b"\r\n" + behind)
        accepted.set_result((End(reader, writer), request))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with inner_proxy(config, url, folder) as proxy:
            client = End(*await asyncio.open_connection("127.0.0.1", proxy.port))
            await client.send(UPGRADE + early)
            async with asyncio.timeout(120):
                assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
            upstream, request = await accepted
            yield Wire(proxy, client, upstream, request)
            for end in (client, upstream):
                end.writer.close()
            await proxy.idle()
    finally:
        server.close()


@pytest.mark.parametrize("text", [BUNDLE, GOOD_PAGE, b'{"Cmd":9}', b"", b"\xc3\xa9"])
async def test_unchanged_texts_go_up_with_their_own_mask(tmp_path: Path, text: bytes) -> None:
    async with wire(tmp_path) as it:
        await it.client.send(up(text))
        await it.upstream.gets(up(text))


async def test_unchanged_fragments_go_up_as_they_were_cut(tmp_path: Path) -> None:
    raw = b"".join(fragments(BUNDLE, 10, 20, 20, 60))
    async with wire(tmp_path) as it:
        await it.client.send(raw)
        await it.upstream.gets(raw)
        for at in range(len(raw)):
            await it.client.send(raw[at : at + 1])
        await it.upstream.gets(raw)


async def test_a_page_in_fragments_is_judged_and_pings_between_them_pass(tmp_path: Path) -> None:
    first, second, third = fragments(BAD_PAGE, 10, 40)
    ping = frame(Opcode.PING, b"there", KEY)
    async with wire(tmp_path) as it:
        await it.client.send(first + ping)
        await it.upstream.gets(ping)
        await it.client.send(second + third + up(BUNDLE))
        assert (await it.client.message())["Fail"]["Status"] == 202
        await it.upstream.gets(up(BUNDLE))


async def test_all_other_frames_pass_in_order_as_they_came(tmp_path: Path) -> None:
    raw = b"".join(
        (
            b"\x02\x83" + KEY + masked(b"abc", KEY),
            frame(Opcode.PONG, b"", KEY),
            b"\x80\x82" + KEY + masked(b"de", KEY),
            up(BUNDLE),
            frame(Opcode.CLOSE, b"\x03\xe8bye", KEY),
        )
    )
    async with wire(tmp_path) as it:
        await it.client.send(raw)
        # A message goes up once it is whole: what stands between its frames is ahead of it.
        pong = frame(Opcode.PONG, b"", KEY)
        await it.upstream.gets(pong + raw.replace(pong, b""))


async def test_what_comes_down_passes_as_it_came(tmp_path: Path) -> None:
    raw = down(b'{"Cmd":4,"Seq":1}') + b"\x01\x03abc" + frame(Opcode.PING, b"") + b"\x80\x00" + b"\x82\x7e\x00\x01x"
    async with wire(tmp_path) as it:
        await it.client.send(up(GOOD_PAGE))
        await it.upstream.gets(up(GOOD_PAGE))
        for at in range(len(raw)):
            await it.upstream.send(raw[at : at + 1])
        await it.client.gets(raw)


async def test_what_comes_right_behind_the_101_passes(tmp_path: Path) -> None:
    async with wire(tmp_path, behind=down(b"hello")) as it:
        await it.client.gets(down(b"hello"))


async def test_what_comes_right_behind_the_upgrade_goes_up_first(tmp_path: Path) -> None:
    async with wire(tmp_path, early=up(BUNDLE) * 2) as it:
        await it.client.send(up(GOOD_PAGE))
        await it.upstream.gets(up(BUNDLE) * 2 + up(GOOD_PAGE))


async def test_a_fail_frame_waits_for_the_end_of_an_upstreams_frame(tmp_path: Path) -> None:
    big = down(b"x" * 1000)
    async with wire(tmp_path) as it:
        await it.upstream.send(big[:500])
        await it.client.gets(big[:500])
        await it.client.send(up(BAD_PAGE) + up(BUNDLE))
        await it.upstream.gets(up(BUNDLE))
        # The page was judged: had its answer been written at once, it would come before this.
        await it.upstream.send(big[500:] + down(b"next"))
        await it.client.gets(big[500:])
        assert (await it.client.message())["Fail"]["Status"] == 202
        await it.client.gets(down(b"next"))


async def test_a_fail_frame_waits_for_the_end_of_an_upstreams_fragmented_message(tmp_path: Path) -> None:
    """RFC 6455 5.4: other messages may not stand between the frames of one; pings may."""
    first, ping, last = b"\x01\x03abc", frame(Opcode.PING, b"p"), b"\x80\x03def"
    async with wire(tmp_path) as it:
        await it.upstream.send(first)
        await it.client.gets(first)
        await it.client.send(up(BAD_PAGE) + up(BUNDLE))
        await it.upstream.gets(up(BUNDLE))
        await it.upstream.send(ping)
        await it.client.gets(ping)
        await it.upstream.send(last)
        await it.client.gets(last)
        assert (await it.client.message())["Cmd"] == 3


async def test_an_answer_in_fragments_is_learned_from(tmp_path: Path) -> None:
    answer = b'{"Cmd":4,"Seq":1,"Page":{"SessionUUID":"s","UserUUID":"u","IsNewSession":true}}'
    raw = b"\x01\x0a" + answer[:10] + frame(Opcode.PING, b"") + b"\x80" + bytes((len(answer) - 10,)) + answer[10:]
    async with wire(tmp_path) as it:
        await it.client.send(up(GOOD_PAGE))
        await it.upstream.gets(up(GOOD_PAGE))
        await it.upstream.send(raw)
        await it.client.gets(raw)
    page, _ = it.proxy.audit()
    assert page["http.response.status_code"] == 200


async def test_a_changed_bundle_is_one_masked_frame(tmp_path: Path) -> None:
    bad = b'{"Kind":8197,"Args":["","{}"],"When":1}'
    raw = b"".join(fragments(BUNDLE.replace(b"[]", b"[%b]" % bad), 20, 50))
    async with wire(tmp_path) as it:
        await it.client.send(raw)
        async with asyncio.timeout(120):
            got = await it.upstream.reader.readexactly(len(up(BUNDLE)))
        assert got[0] == 0x81
        assert got[1] & 0x80
        assert payload_of(got) == BUNDLE


async def test_a_message_in_fragments_over_max_body_is_skipped_and_answered(tmp_path: Path) -> None:
    text = b'{"Cmd":2,"Bundle":{"x":"' + b"x" * 12_000 + b'"},"Seq":77}'
    async with wire(tmp_path, {"server": {"max_body": "10KB"}}) as it:
        raw = fragments(text, 50, 100, 9_000)
        await it.client.send(raw[0] + frame(Opcode.PING, b"in between", KEY))
        await it.upstream.gets(frame(Opcode.PING, b"in between", KEY))
        await it.client.send(b"".join(raw[1:]) + up(BUNDLE))
        answer = await it.client.message()
        assert (answer["Seq"], answer["Fail"]["Status"]) == (77, 413)
        await it.upstream.gets(up(BUNDLE))


async def test_of_a_message_without_end_no_more_is_kept_than_its_limit(tmp_path: Path) -> None:
    part = b"\x00\xfe" + (60_000).to_bytes(2) + KEY + bytes(60_000)
    async with wire(tmp_path, {"server": {"max_body": "100KB"}}) as it:
        tracemalloc.start()
        try:
            await it.client.send(b"\x01" + part[1:])
            for _ in range(400):
                await it.client.send(part)
            await it.client.send(b"\x80\x80" + KEY)
            assert (await it.client.message())["Fail"]["Status"] == 413
            assert tracemalloc.get_traced_memory()[1] < 6_000_000, "of 24 MB"
        finally:
            tracemalloc.stop()


async def test_a_flood_of_empty_fragments_is_not_kept_either(tmp_path: Path) -> None:
    empty = b"\x00\x80" + KEY
    async with wire(tmp_path, {"server": {"max_body": "10KB"}}) as it:
        await it.client.send(b"\x01\x80" + KEY + empty * 20_000 + b"\x80\x80" + KEY + up(BUNDLE))
        assert (await it.client.message())["Fail"]["Status"] == 413
        await it.upstream.gets(up(BUNDLE))


@pytest.mark.parametrize(("text", "status"), [(BAD_PAGE, 202), (BAD_PAGE.replace(b'"Cmd":1', b'"Cmd":1.0'), 202)])
async def test_binary_messages_are_judged_like_text(tmp_path: Path, text: bytes, status: int) -> None:
    async with wire(tmp_path) as it:
        await it.client.send(frame(Opcode.BINARY, text, KEY) + frame(Opcode.BINARY, BUNDLE, KEY))
        assert (await it.client.message())["Fail"]["Status"] == status
        await it.upstream.gets(frame(Opcode.BINARY, BUNDLE, KEY))


async def test_what_is_cut_from_a_binary_message_goes_up_as_one(tmp_path: Path) -> None:
    bad = BUNDLE.replace(b"[]", b'[{"Kind":8197,"Args":["","{}"],"When":1}]')
    async with wire(tmp_path) as it:
        await it.client.send(frame(Opcode.BINARY, bad, KEY))
        async with asyncio.timeout(120):
            got = await it.upstream.reader.readexactly(len(up(BUNDLE)))
        assert (got[0], payload_of(got)) == (0x82, BUNDLE)


UNLAWFUL = {
    "a reserved bit": b"\xc1\x83" + KEY + b"zip",
    "another reserved bit": b"\x91\x83" + KEY + b"zip",
    "a stray continuation": b"\x80\x81" + KEY + b"?",
    "a message within a message": b"\x01\x81" + KEY + b"?" + b"\x81\x81" + KEY + b"?",
    "an unknown opcode": b"\x83\x80" + KEY,
    "an unknown control opcode": b"\x8b\x80" + KEY,
    "no mask": b"\x81\x03abc",
    "a control frame in fragments": b"\x09\x80" + KEY,
    "a long control frame": b"\x89\xfe\x00\x7e" + KEY + bytes(126),
    "half a code": b"\x88\x81" + KEY + b"?",
    "a length with its top bit": b"\x82\xff\x80" + bytes(7) + KEY,
    "a length that is longer than it need be": b"\x81\xfe\x00\x03" + KEY + b"abc",
    "an eight-byte length that need not be": b"\x81\xff" + (500).to_bytes(8) + KEY + bytes(500),
}


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("raw", UNLAWFUL.values(), ids=UNLAWFUL)
async def test_what_no_client_may_send_closes_with_1002_and_is_never_passed(
    tmp_path: Path, raw: bytes, *, at_once: bool
) -> None:
    async with wire(tmp_path) as it:
        await it.client.send(up(BUNDLE))
        await it.upstream.gets(up(BUNDLE))
        for piece in [raw + up(BAD_PAGE)] if at_once else [bytes((byte,)) for byte in raw + up(BAD_PAGE)]:
            await it.client.send(piece)
        await it.client.gets(frame(Opcode.CLOSE, b"\x03\xea"))
        async with asyncio.timeout(120):
            got = await it.upstream.reader.readexactly(8)
        assert (got[0], payload_of(got)) == (0x88, b"\x03\xea")
        # The client's own close says that it has read ours: then both connections end, and nothing else was passed.
        await it.client.send(frame(Opcode.CLOSE, b"\x03\xea", KEY))
        assert await it.client.ends() == b""
        assert await it.upstream.ends() == b""
    assert it.proxy.audit()[-1]["fsproxy.error"] == "bad_request"


async def test_a_text_that_is_not_utf_8_closes_with_1007(tmp_path: Path) -> None:
    raw = b"".join(fragments(b'{"Cmd":1,"Page":{"Url":"\xff"}}', 5, 24))
    async with wire(tmp_path) as it:
        await it.client.send(raw)
        await it.client.gets(frame(Opcode.CLOSE, b"\x03\xef"))


async def test_nothing_is_taken_behind_a_close(tmp_path: Path) -> None:
    bye = frame(Opcode.CLOSE, b"\x03\xe9", KEY)
    async with wire(tmp_path) as it:
        await it.client.send(bye + up(BUNDLE))
        await it.upstream.gets(bye)
        await it.upstream.send(frame(Opcode.CLOSE, b"\x03\xe9"))
        await it.client.gets(frame(Opcode.CLOSE, b"\x03\xe9"))
        it.client.writer.close()
        assert await it.upstream.ends() == b""


async def test_what_came_before_the_client_went_away_still_goes_up(tmp_path: Path) -> None:
    async with wire(tmp_path) as it:
        await it.client.send(up(BUNDLE) * 50)
        it.client.writer.close()
        assert await it.upstream.ends() == up(BUNDLE) * 50


async def test_an_upstream_that_goes_away_ends_the_clients_connection(tmp_path: Path) -> None:
    async with wire(tmp_path) as it:
        await it.upstream.send(down(b"bye") + b"\x81")
        it.upstream.writer.close()
        assert await it.client.ends() == down(b"bye") + b"\x81"


@pytest.mark.parametrize("half", [b"\x81", b"\x81\x7e\x01\x00abc", b"\x01\x03abc"])
async def test_nothing_of_ours_stands_in_what_an_upstream_left_half_done(tmp_path: Path, half: bytes) -> None:
    async with wire(tmp_path) as it:
        await it.client.send(up(GOOD_PAGE))
        await it.upstream.gets(up(GOOD_PAGE))
        await it.upstream.send(half)
        it.upstream.writer.close()
        assert await it.client.ends() == half
    assert it.proxy.metrics.recordings_ended == {("upstream_cut",): 1}
    assert it.proxy.audit()[0]["fsproxy.error"] == "upstream_cut"


async def test_a_close_of_the_upstreams_is_the_last_that_the_client_reads(tmp_path: Path) -> None:
    bye = frame(Opcode.CLOSE, b"\x03\xe9")
    async with wire(tmp_path) as it:
        await it.client.send(up(GOOD_PAGE))
        await it.upstream.gets(up(GOOD_PAGE))
        await it.upstream.send(bye)
        await it.client.gets(bye)
        await it.client.send(up(BAD_PAGE))
        it.upstream.writer.close()
        assert await it.client.ends() == b""


async def test_a_client_that_reads_no_fail_frames_is_not_read_either(tmp_path: Path) -> None:
    """Blocked pages without end cost bounded memory: sooner or later the client cannot send."""
    pages = up(BAD_PAGE) * 1000
    async with wire(tmp_path) as it:
        it.client.writer.transport.set_write_buffer_limits(high=1)

        async def flood() -> None:
            for _ in range(1000):
                await it.client.send(pages)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flood(), 2)
        assert it.proxy.data_plane.server is not None
        (connection,) = it.proxy.data_plane.server.connections
        assert connection.transport is not None
        assert connection.transport.get_write_buffer_size() < 200_000
        it.client.writer.transport.abort()
