"""Nothing secret comes out in a mixed run with faults, a store that dies, bad reloads and admin calls.

A mark is planted wherever visitors, servers and operators may send something secret. Then all that the program has
written is searched for it: audit lines, log, metrics, readiness, and all answers of its own and of the admin port. ``tests/integration/decisions/test_audit.py`` looks at single lines.
"""

from __future__ import annotations

import gzip
import json
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from support.pieces import send_pieces
from support.raw_http import eventually
from support.rig import JSON, Answer, Rig, page, running_rig
from support.upstream import status
from support.valkey import ValkeyServer, running_valkey

MARK = "planted"
TOKEN, WRONG_TOKEN, AUDIT_KEY = f"{MARK}-admin-token", f"{MARK}-wrong-token", f"{MARK}-audit-key"
PASSWORD = f"{MARK}-redis-password"
UID = f"{MARK}-uid"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
VISITOR = {
    "Cookie": f"session={MARK}-cookie; fs_uid=#o-TEST-na1#{MARK}-cookie-user:s-cookie:1",
    "Authorization": f"Basic {MARK}-credentials",
    "Referer": f"https://app.example.com/?{MARK}-referer",
    "X-Own": f"{MARK}-header",
    "Traceparent": f"00-{MARK}-trace",
}
URL = f"https://app.example.com/{MARK}-path?{MARK}-query#{MARK}-fragment"
"""Of a URL, its host alone is written.

Written by design, and so not planted: the names of calls and properties, a request's own path, the ids of orgs,
sessions, pages and the vendor's of users (not of those who opted out or are being deleted).
"""


def calls() -> bytes:
    """Return a bundle whose calls are rejected for their values, once for each check of a value."""
    good = {"total_real": 9.5, "note_str": f"{MARK}-good-value"}
    bad = {
        "a_int": f"{MARK}-no-number",
        "b_date": f"{MARK}-no-date",
        "c_str": f"{MARK}-long" * 2000,
        "d": f"{MARK}-untyped",
    }
    args: list[list[Any]] = [
        ["Good", json.dumps(good)],
        ["Bad", json.dumps(bad)],
        ["Broken", f'{{"a_str":"{MARK}-broken'],
        ["Twice", f'{{"a_str":"{MARK}-one","a_str":"{MARK}-two"}}'],
    ]
    events = [{"Kind": 8197, "When": 1, "Args": each} for each in args]
    users = [{"uid": UID}, {"uid": "undefined", "email": f"{MARK}@example.com"}, {"displayName": f"{MARK}-name" * 200}]
    events += [{"Kind": 8193, "When": 2, "Args": ["user", json.dumps(each)]} for each in users]
    events.append({"Kind": 25, "When": 3, "Args": [f"{MARK}-opaque"]})
    return json.dumps({"Seq": 1, "When": 3, "Evts": events}).encode()


async def visits(rig: Rig) -> list[Answer]:
    """Send what recorders, servers and strangers send."""
    call = json.dumps({"name": "Bought", "properties": {"total_int": f"{MARK}-value"}}).encode()
    no_call = json.dumps({"name": "", "properties": {"a": f"{MARK}-value"}}).encode()
    return [
        await rig.page(VISITOR, Url=URL, AppId=UID),
        await rig.page({**VISITOR, "Cookie": f"fs_optout=1; a={MARK}"}, Url=URL),
        await rig.page(VISITOR, Url=URL, AppId=f"{MARK}-deleted"),
        await rig.page(VISITOR, Url=URL, UserId=f"{MARK}-deleted"),
        await rig.page(VISITOR, Url=f"nonsense {MARK}"),
        await rig.page(VISITOR, OrgId=[MARK], Referrer=MARK),
        await rig.send(f"/rec/page?{MARK}", f"no page {MARK}".encode(), VISITOR),
        await rig.bundle(VISITOR, body=calls(), Extra=MARK),
        await rig.bundle(VISITOR, body=gzip.compress(calls()), ContentEncoding="gzip"),
        await rig.bundle(VISITOR, body=f"broken {MARK}".encode(), ContentEncoding="gzip"),
        await rig.bundle(VISITOR, body=f"broken {MARK}".encode(), ContentEncoding=MARK),
        await rig.bundle(VISITOR, UserId=f"{MARK}-deleted"),
        await rig.bundle(VISITOR, path="/rec/event", body=calls()),
        await rig.send(f"/client/event?OrgId=o-TEST-na1&{MARK}=1", call, VISITOR),
        await rig.send("/client/identify?OrgId=o-TEST-na1", no_call, VISITOR),
        await rig.send(f"/users/v1/individual/{UID}/customvars", b'{"a_int":"planted-value"}', VISITOR),
        await rig.send("/v2/events", call, VISITOR),
        await rig.send(
            "/v2/users/batch", json.dumps({"requests": [{"uid": UID, "email": MARK * 99}]}).encode(), VISITOR
        ),
        await rig.send(f"/s/x?{MARK}", b"", VISITOR, method="GET"),
    ]


async def strangers(rig: Rig) -> None:
    """Send what is no HTTP, or too much of it."""
    mark = MARK.encode()
    for sent in (
        b"%b\r\n\r\n" % mark,
        b"GET /%b HTTP/1.1\r\nHost: a\r\nX-A : %b\r\n\r\n" % (mark, mark),
        b"GET /x?%b HTTP/1.1\r\nHost: %b\r\nCookie: %b\r\n\r\n" % (mark * 4000, mark, mark),
        b"POST /rec/bundle HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n" % mark,
        b"POST /rec/page HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n%b" % mark,
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic %b\r\n\r\n" % mark,
    ):
        replies = await send_pieces(rig.proxy.port, [sent], 1)
        assert mark not in replies.data
    async with rig.http.ws_connect(f"{rig.proxy.url}{rig.target('/rec/sock')}", headers=VISITOR) as socket:
        bundle = {
            "Bundle": json.loads(calls()),
            "OrgId": "o-TEST-na1",
            "UserId": "u-1",
            "SessionId": "s",
            "PageId": "p",
        }
        await socket.send_str(json.dumps({"Cmd": 2, "Seq": 1, "Bundle": bundle}))
        await socket.receive_str(timeout=120)
        await socket.send_str(f'{{"Cmd":1,"Page":{{"{MARK}')
        await socket.send_str(json.dumps({"Cmd": 1, "Seq": 2, "Page": page(Url=URL, AppId=f"{MARK}-deleted")}))
        await socket.receive_str(timeout=120)


async def operators(rig: Rig) -> str:
    """Return everything that the admin port answers, with and without permission."""
    names = [
        "decisions",
        "decisions?limit=500",
        f"decisions?text={MARK}",
        "rejections",
        "usage",
        "config",
        "shadow",
        "traffic",
    ]
    paths = [*(f"/api/{each}" for each in names), "/openapi.json", "/mode", "/readyz", "/metrics", "/", "/nothing"]
    allowed = ({}, {"Authorization": f"Bearer {WRONG_TOKEN}"}, OPERATOR)
    asked = [(path, "GET", None, headers) for path in paths for headers in allowed]
    posted = [
        ("/mode", {"mode": MARK}),
        ("/mode", MARK),
        ("/mode", {"mode": "enforce"}),
        ("/drain", {"instance": MARK}),
        ("/api/explain", page(Url=URL)),
        ("/api/explain", {"page": page(Url=URL, AppId=UID), "cookie": MARK}),
        ("/api/explain", {"url": URL, "cookie": MARK}),
        ("/api/explain", [MARK]),
    ]
    asked += [(path, "POST", json.dumps(body).encode(), {**JSON, **OPERATOR}) for path, body in posted]
    answers = [(await rig.admin(path, method, data, **headers))[1] for path, method, data, headers in asked]
    return "\n".join(answers)


def found(data: bytes) -> list[bytes]:
    """Return each place of the mark, with the bytes around it."""
    return [data[max(0, at.start() - 60) : at.end() + 40] for at in re.finditer(MARK.encode(), data)]


@contextmanager
def store(kind: str) -> Iterator[tuple[Mapping[str, Any], ValkeyServer | None]]:
    if kind == "memory":
        yield {"persist": {"path": "state.sqlite"}}, None
        return
    with running_valkey(PASSWORD) as server:
        yield {"backend": "redis", "redis": {"url": "${REDIS_URL}", "timeout": "5s"}}, server


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_no_byte_of_what_was_planted_is_written_anywhere(kind: str) -> None:
    with store(kind) as (state, server):
        config = {
            "log": {"level": "debug"},
            "admin": {"token": "${TOKEN}"},
            "audit": {"client_ip": "hashed", "key": "${AUDIT_KEY}", "share": {"other": "100%"}},
            "server": {"max_header": "8KB", "body_timeout": "2s"},
            "filters": {"deleting_user": {"block": [f"{MARK}-deleted"]}, "blocked_user": {"block": ["${UID}"]}},
            "state": state,
        }
        env = {
            "TOKEN": TOKEN,
            "AUDIT_KEY": AUDIT_KEY,
            "UID": f"{MARK}-blocked",
            "REDIS_URL": server.url if server else "",
        }
        async with running_rig(config, env) as rig:
            answers = await visits(rig)
            await strangers(rig)
            shown = await operators(rig)
            await faults(rig, config, server, answers)
            shown += await operators(rig)
            own = [each for each in answers if each.status not in {200, 404}]
            assert {each.status for each in own} >= {202, 400, 502}
            for each in answers:
                await rig.line(each)
            await rig.proxy.stop()
            files = [each for each in rig.proxy.folder.iterdir() if each.name != "fsproxy.yaml"]
            written = {each.name: each.read_bytes() for each in files if each.is_file()}
    assert {"stdout", "stderr"} <= set(written)
    for name, data in written.items():
        assert found(data) == [], name
    assert found(shown.encode()) == []
    for each in own:
        assert MARK not in each.body.decode(), each.status
        assert MARK not in str(each.headers)


async def faults(rig: Rig, config: Mapping[str, Any], server: ValkeyServer | None, answers: list[Answer]) -> None:
    """Let the upstream answer nonsense and go, kill the store, and load a bad configuration."""
    rig.upstream.on("POST", "/rec/page", status(200, f"{{{MARK}".encode(), Set_Cookie=f"a={MARK}"))
    rig.upstream.on("POST", "/v2/events", status(500, MARK.encode()))
    await rig.page(VISITOR, Url=URL)
    await rig.send("/v2/events", b'{"name":"Bought"}', VISITOR)
    await rig.upstream.refuse()
    answers += [await rig.page(VISITOR, Url=URL), await rig.bundle(VISITOR, body=calls())]
    if server is not None:
        server.kill()
        answers += [await rig.page(VISITOR, Url=URL), await rig.bundle(VISITOR, body=calls())]
    bad = {
        **config,
        "upstream": {"url": f"ftp://u:{MARK}@a"},
        "admin": {"tokn": TOKEN},
        "filters": {"ip": {"block": [1]}},
    }
    rig.proxy.write_config(bad)
    rig.proxy.signal(signal.SIGHUP)
    await eventually(lambda: "configuration" in rig.proxy.log_text())
    status_, _ = await rig.admin("/reload", "POST", b"{}", **JSON, **OPERATOR)
    assert status_ == 422
