"""A Redis that another program writes to: wrong types, wrong bytes. That may cost limits, but no answer."""

from __future__ import annotations

import pytest

from support.in_process import InProcessProxy, in_process
from support.pieces import post, send_pieces
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer, running_valkey

POISON = [b"", b"\xff\xfe\x00", b"[]", b"1e999", b"\xc1", b"x" * 100_000, b'{"reason_code":"<script>"}']
COMMANDS = ["SET", "LPUSH", "SADD", "HSET", "ZADD"]


def traffic(number: int) -> list[tuple[bytes, int]]:
    """Return a captured page, a blocked one, and uploads of each, twice, with their statuses in a healthy store."""
    page = {"OrgId": "o-1", "Url": "https://a.example/", "SessionId": "s", "PageId": f"p-{number}", "UserId": "u"}
    call = {"Kind": 8197, "When": 1, "Args": ["Bought", '{"total_real":1.5}']}
    page_call = {"Kind": 8193, "When": 2, "Args": ["page", '{"pageName":"Home","step_int":1}']}
    bundle = {"Seq": 1, "When": 1, "Evts": [call, page_call]}
    ids = "OrgId=o-1&UserId=u&SessionId=s&Seq=1&PageId="
    return [
        (post("/rec/page", page), 200),
        (post("/rec/page", {**page, "PageId": f"b-{number}"}, "Cookie: fs_optout=1"), 202),
        (post(f"/rec/bundle?{ids}p-{number}", bundle), 200),
        (post(f"/rec/bundle?{ids}p-{number}", bundle), 200),
        (post(f"/rec/bundle?{ids}b-{number}", bundle), 202),
    ]


def keys(server: ValkeyServer) -> list[str]:
    lines = server.command("KEYS", "*").split(b"\r\n")
    return [line.decode() for line in lines if line.startswith(b"fsproxy")]


def poison(server: ValkeyServer, command: str, value: bytes) -> None:
    text = value.decode("latin-1")
    extra = {"HSET": ["field"], "ZADD": ["1"]}.get(command, [])
    for key in keys(server):
        server.command("DEL", key)
        server.command(command, key, *extra, text)
        server.command("EXPIRE", key, "600")


async def statuses(proxy: InProcessProxy, number: int) -> list[int]:
    return [(await send_pieces(proxy.port, [sent], 1)).statuses[0] for sent, _ in traffic(number)]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
async def test_what_somebody_else_wrote_costs_no_answer(command: str) -> None:
    with running_valkey() as server:
        async with RecordingUpstream() as upstream:
            config = {
                "upstream": {"url": upstream.url},
                "state": {"backend": "redis", "redis": {"url": server.url, "timeout": "5s"}},
                "client_api": {"limits": "current"},
                "filters": {"quota": {"sessions": 100}, "ramping": {"share": "99.9%"}},
            }
            # A value of another type than ours is never looked into.
            for number, value in enumerate(POISON if command == "SET" else POISON[1:2]):
                # Another process each time, which remembers nothing by itself.
                async with in_process(config) as proxy:
                    assert await statuses(proxy, number) == [status for _, status in traffic(number)]
                    assert keys(server)
                    poison(server, command, value)
                async with in_process(config) as proxy:
                    got = await statuses(proxy, number)
                    assert got[:4] == [200, 202, 200, 200]
                    assert got[4] in {200, 202}
                server.command("FLUSHALL")
