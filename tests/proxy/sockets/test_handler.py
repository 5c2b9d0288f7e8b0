"""``socket: judge`` end to end: aiohttp's client, the data plane, and an upstream that records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType

from fsproxy.config.schema import TopMode
from support.sockets import MOVE, ORG, bundle_frame, event, hear, page_frame, say, setting
from support.upstream import NOW_MS

BLOCKED_AGENT = {"filters": {"user_agent": {"block": ["BadBot"]}}}
BLOCKED_DOMAIN = {"filters": {"domain": {"rules": [{"block": "bad.example", "id": "no-bad"}]}}}


async def test_a_page_and_its_bundles_pass_as_they_came(tmp_path: Path) -> None:
    page, bundle = page_frame(), bundle_frame(MOVE, event("Bought", {"price_real": 9.5}))
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            assert (await say(socket, page))["Cmd"] == 4
            assert (await say(socket, bundle))["Cmd"] == 5
        await it.proxy.idle()
        assert it.backend.texts == [page, bundle]
    lines = it.proxy.audit()
    assert [line["fsproxy.decision"] for line in lines] == ["captured", "forwarded", "forwarded"]
    assert {line["event.action"] for line in lines} == {"socket"}
    whole = lines[2]["http.request.id"]
    assert [line["http.request.id"] for line in lines] == [f"{whole}.1", f"{whole}.2", whole]
    assert lines[2]["http.response.status_code"] == 101
    assert lines[0]["url.domain"] == "www.example.com"
    assert it.proxy.metrics.own_failures == {}


async def test_a_blocked_page_gets_a_fail_frame_and_so_do_its_bundles(tmp_path: Path) -> None:
    async with setting(tmp_path, BLOCKED_DOMAIN) as it:
        async with it.connect() as socket:
            answer = await say(socket, page_frame(7, Url="https://bad.example/"))
            assert (answer["Cmd"], answer["Seq"], answer["Fail"]["Status"]) == (3, 7, 202)
            assert json.loads(answer["Fail"]["Error"]) == {
                "reason_code": 4,
                "reason": "Domain Filter",
                "cookie_domain": "bad.example",
            }
            answer = await say(socket, bundle_frame(MOVE, seq=8))
            assert (answer["Cmd"], answer["Seq"], answer["Fail"]["Status"]) == (3, 8, 202)
            assert json.loads(answer["Fail"]["Error"])["reason_code"] == 4
            # The leftover bundle of an earlier page goes on.
            assert (await say(socket, bundle_frame(MOVE, seq=9, PageId="page-0")))["Cmd"] == 5
        await it.proxy.idle()
        assert len(it.backend.texts) == 1
    page, bundle, other, whole = it.proxy.audit()
    assert (page["fsproxy.decision"], page["fsproxy.reason_code"], page["rule.id"]) == ("blocked", 4, "no-bad")
    assert page["http.response.status_code"] == 202
    assert (bundle["fsproxy.decision"], bundle["rule.id"]) == ("blocked", "no-bad")
    assert other["fsproxy.decision"] == whole["fsproxy.decision"] == "forwarded"
    assert it.proxy.metrics.decisions[("4", "domain", "enforce")] == 2
    assert it.proxy.metrics.recordings_ended == {("blocked",): 1}


async def test_a_page_blocked_over_http_blocks_its_bundles_on_the_socket(tmp_path: Path) -> None:
    async with setting(tmp_path, BLOCKED_DOMAIN) as it:
        body = json.dumps({"OrgId": ORG, "Url": "https://bad.example/", "PageId": "page-1"})
        async with it.client.post(f"{it.proxy.url}/rec/page", data=body) as response:
            assert response.status == 202
            http = await response.json()
        async with it.connect() as socket:
            answer = await say(socket, bundle_frame(MOVE))
            assert json.loads(answer["Fail"]["Error"])["reason_code"] == http["reason_code"] == 4
        assert it.backend.texts == []


async def test_who_is_blocked_by_what_the_upgrade_shows_reads_why_and_never_reaches_the_upstream(
    tmp_path: Path,
) -> None:
    """A refused handshake would make the recorder wait for ever (wire.md 7)."""
    async with setting(tmp_path, BLOCKED_AGENT) as it:
        async with it.connect(headers={"User-Agent": "BadBot/1"}) as socket:
            answer = await say(socket, page_frame(4))
            assert (answer["Cmd"], answer["Seq"], answer["Fail"]["Status"]) == (3, 4, 202)
            assert json.loads(answer["Fail"]["Error"])["reason_code"] == 6
            assert (await socket.receive(timeout=120)).type is WSMsgType.CLOSE
        await it.proxy.idle()
        assert it.upstream.received == []
    page, whole = it.proxy.audit()
    assert (page["fsproxy.decision"], page["fsproxy.reason_code"]) == ("blocked", 6)
    assert (whole["http.response.status_code"], it.proxy.metrics.recordings_ended) == (101, {})


async def test_a_bundle_is_judged_by_the_filters_that_judge_bundles(tmp_path: Path) -> None:
    config = {"orgs": {"unlisted": "block", "listed": {ORG: {}}}}
    async with setting(tmp_path, config) as it, it.connect() as socket:
        assert (await say(socket, bundle_frame(MOVE, OrgId="o-OTHER")))["Fail"]["Status"] == 202
        assert (await say(socket, bundle_frame(MOVE)))["Cmd"] == 5


@pytest.mark.parametrize("schema", [None, {"price": "real", "count": "int"}], ids=["first", "second"])
async def test_what_is_invalid_is_cut_from_bundles_of_both_generations(
    tmp_path: Path, schema: Mapping[str, str] | None
) -> None:
    names = ("price", "count") if schema else ("price_real", "count_int")
    bad = event("Bought", {names[0]: 9.5, names[1]: "many"}, schema=schema)
    good = event("Bought", {names[0]: 9.5}, schema={"price": "real"} if schema else None)
    unnamed = event("", {}, when=6, schema={} if schema else None)
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            assert (await say(socket, bundle_frame(MOVE, bad, unnamed, MOVE)))["Cmd"] == 5
        await it.proxy.idle()
        assert it.backend.texts == [bundle_frame(MOVE, good, MOVE)]
    line = it.proxy.audit()[0]
    assert [each["code"] for each in line["fsproxy.rejections"]] == ["InvalidValue", "InvalidEventName"]
    assert line["fsproxy.decision"] == "forwarded"
    assert it.proxy.metrics.rejections[("InvalidValue", "event", "socket")] == 1


async def test_rates_are_limited_over_the_socket(tmp_path: Path) -> None:
    events = [event(f"E{number}", {}, when=number) for number in range(12)]
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            await say(socket, bundle_frame(*events))
        assert it.backend.texts == [bundle_frame(*events[:10])]


async def test_a_frame_that_comes_again_is_cut_the_same_and_spends_nothing(tmp_path: Path) -> None:
    first = bundle_frame(*[event(f"E{number}", {}) for number in range(10)])
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            for seq in (2, 3):
                await say(socket, first.replace('"Seq":2}', f'"Seq":{seq}}}'))
        assert it.backend.texts == [first, first.replace('"Seq":2}', '"Seq":3}')]


async def test_a_session_is_counted_once_and_confirmed_under_the_ids_of_the_answer(tmp_path: Path) -> None:
    async with setting(tmp_path, {"filters": {"quota": {"sessions": 1}}}) as it:
        async with it.connect() as socket:
            answer = await say(socket, page_frame())
            assert (await say(socket, page_frame(2, SessionId=answer["Page"]["SessionUUID"])))["Cmd"] == 4
            over = await say(socket, page_frame(3, PageId="page-3"))
            assert json.loads(over["Fail"]["Error"])["reason_code"] == 3
        await it.proxy.idle()
        assert it.known(answer["Page"]["SessionUUID"])
        assert it.used() == 1


async def test_a_page_that_the_upstream_fails_gives_its_unit_back(tmp_path: Path) -> None:
    async with setting(tmp_path, {"filters": {"quota": {"sessions": 1}}}) as it:
        it.backend.fail = {"Status": 202, "Error": '{"reason_code":3}'}
        async with it.connect() as socket:
            assert (await say(socket, page_frame(1)))["Cmd"] == 3
            assert (await say(socket, page_frame(2)))["Fail"]["Status"] == 202
        await it.proxy.idle()
        assert it.used() == 0
        assert len(it.backend.texts) == 2
    lines = it.proxy.audit()
    assert [line.get("fsproxy.upstream.reason_code") for line in lines] == [3, 3, None]


async def test_a_page_that_is_never_answered_gives_its_unit_back_at_the_sockets_end(tmp_path: Path) -> None:
    async with setting(tmp_path, {"filters": {"quota": {"sessions": 1}}}) as it:
        it.backend.silent = True
        async with it.connect() as socket:
            await socket.send_str(page_frame())
            await socket.send_bytes(b"echo")
            assert await socket.receive_bytes(timeout=120) == b"echo"
            assert it.used() == 1
        await it.proxy.idle()
        assert it.used() == 0
    assert len(it.proxy.audit()) == 2


async def test_a_bundle_marks_its_session_as_under_way(tmp_path: Path) -> None:
    async with setting(tmp_path) as it, it.connect() as socket:
        assert not it.known("s")
        await say(socket, bundle_frame(MOVE))
        assert it.known("s")


@pytest.mark.parametrize(
    "text",
    ["not JSON", "[1]", '{"Cmd":9}', '{"Cmd":"x","Page":{}}', "", '{"Cmd":4,"Page":{}}', '{"Page":{}}', '{"Cmd":'],
)
async def test_other_texts_pass_and_get_no_line_of_their_own(tmp_path: Path, text: str) -> None:
    async with setting(tmp_path, BLOCKED_DOMAIN) as it:
        async with it.connect() as socket:
            await say(socket, text)
        await it.proxy.idle()
        assert it.backend.texts == [text]
    assert len(it.proxy.audit()) == 1


async def test_binaries_pings_and_the_order_of_messages_stay(tmp_path: Path) -> None:
    async with setting(tmp_path) as it:
        async with it.connect(autoping=False) as socket:
            await socket.send_bytes(b"\0" * 300_000)
            await socket.ping(b"are you there")
            first, second = await socket.receive(timeout=120), await socket.receive(timeout=120)
            assert {first.type, second.type} == {WSMsgType.BINARY, WSMsgType.PONG}
        assert it.backend.binaries == [b"\0" * 300_000]


async def test_messages_that_were_sent_at_once_keep_their_order(tmp_path: Path) -> None:
    frames = [
        bundle_frame(event("E", {"n_int": n}, when=n), seq=n, PageId=f"p{n}", SessionId=f"s{n}") for n in range(200)
    ]
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            for each in frames:
                await socket.send_str(each)
            assert [(await hear(socket))["Seq"] for _ in frames] == list(range(200))
        assert it.backend.texts == frames


async def test_a_page_that_cannot_be_read_is_refused_as_over_http(tmp_path: Path) -> None:
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            answer = await say(socket, '{"Cmd":1,"Seq":1,"Page":[]}')
            assert answer["Fail"]["Status"] == 400
        await it.proxy.idle()
        assert it.backend.texts == []
    assert it.proxy.audit()[0]["fsproxy.error"] == "uninspectable"


@pytest.mark.parametrize(("mode", "passes"), [("forward", True), ("block", False)])
async def test_a_bundle_that_cannot_be_read_goes_by_on_uninspectable(
    tmp_path: Path,
    mode: str,
    passes: bool,  # noqa: FBT001
) -> None:
    text = '{"Cmd":2,"Seq":1,"Bundle":{"Bundle":{"Evts":8197},"OrgId":"o"}}'
    async with setting(tmp_path, {"client_api": {"on_uninspectable": mode}}) as it:
        async with it.connect() as socket:
            assert (await say(socket, text))["Cmd"] == (5 if passes else 3)
        assert it.backend.texts == ([text] if passes else [])
        assert it.proxy.metrics.uninspectable == {("socket",): 1}


async def test_a_shadow_blocks_nothing_and_is_audited(tmp_path: Path) -> None:
    async with setting(tmp_path, {"mode": "shadow", **BLOCKED_DOMAIN}) as it:
        async with it.connect() as socket:
            assert (await say(socket, page_frame(Url="https://bad.example/")))["Cmd"] == 4
        await it.proxy.idle()
    assert it.proxy.audit()[0]["fsproxy.shadow"][0]["rule.id"] == "no-bad"


async def test_the_kill_switch_holds_for_sockets_that_are_open(tmp_path: Path) -> None:
    page = page_frame(Url="https://bad.example/")
    async with setting(tmp_path, BLOCKED_DOMAIN) as it, it.connect() as socket:
        assert (await say(socket, page))["Cmd"] == 3
        it.proxy.data_plane.bypass(privacy=False)
        assert it.proxy.data_plane.generation.mode is TopMode.BYPASS
        assert (await say(socket, page))["Cmd"] == 4


@pytest.mark.parametrize(
    "config",
    [{"mode": "bypass", "filters": {"opt_out": {"cookies": []}}}, {"socket": "tunnel"}],
    ids=["bypass", "tunnel"],
)
async def test_an_unjudged_socket_is_tunnelled_with_its_extensions(tmp_path: Path, config: Mapping[str, Any]) -> None:
    async with setting(tmp_path, {**BLOCKED_DOMAIN, **config}) as it:
        async with it.connect(compress=15) as socket:
            assert socket.compress
            assert (await say(socket, page_frame(Url="https://bad.example/")))["Cmd"] == 4
        assert it.backend.protocols[0]


async def test_a_judged_socket_negotiates_no_compression(tmp_path: Path) -> None:
    async with setting(tmp_path) as it:
        async with it.connect(compress=15) as socket:
            assert not socket.compress
            assert (await say(socket, page_frame()))["Cmd"] == 4
        assert it.backend.protocols == [None]


async def test_a_refused_socket_is_answered_in_frames_and_never_reaches_the_upstream(tmp_path: Path) -> None:
    async with setting(tmp_path, {"socket": "refuse"}) as it:
        async with it.connect(headers={"Origin": "https://www.example.com"}) as socket:
            answer = await say(socket, page_frame())
            assert answer["Fail"]["Status"] == 202
            assert json.loads(answer["Fail"]["Error"]) == {
                "reason_code": -1,
                "reason": "Unspecified",
                "cookie_domain": "example.com",
            }
            assert (await socket.receive(timeout=120)).type is WSMsgType.CLOSE
        await it.proxy.idle()
        assert it.upstream.received == []
    assert it.proxy.audit()[0]["fsproxy.error"] == "socket_refused"
    assert it.proxy.metrics.recordings_ended == {("socket_refused",): 1}


async def test_a_message_over_max_body_is_answered_413_and_the_socket_goes_on(tmp_path: Path) -> None:
    """Closed with 1009, the recorder would send the same frame again and again (wire.md 7)."""
    async with setting(tmp_path, {"server": {"max_body": "10KB"}}) as it:
        async with it.connect() as socket:
            answer = await say(socket, bundle_frame({"Kind": 1, "Args": ["x" * 10_241]}, seq=31))
            assert (answer["Cmd"], answer["Seq"], answer["Fail"]["Status"]) == (3, 31, 413)
            fits = bundle_frame({"Kind": 1, "Args": ["x" * 9000]}, seq=32)
            assert await say(socket, fits) == {"Cmd": 5, "Seq": 32, "Bundle": {"BundleTime": NOW_MS}}
        await it.proxy.idle()
        assert it.backend.texts == [fits]
    assert it.proxy.audit()[0]["fsproxy.error"] == "body_too_large"
    assert it.proxy.metrics.recordings_ended == {("body_too_large",): 1}


@pytest.mark.parametrize(("size", "status"), [(2_000, 200), (2_001, 413)])
async def test_a_page_frame_over_max_page_is_answered_413(tmp_path: Path, size: int, status: int) -> None:
    frame = page_frame(5, Doctype="")
    frame = frame.replace('"Doctype":""', '"Doctype":"%s"' % ("x" * (size - len(frame))))
    async with setting(tmp_path, {"server": {"max_page": 2_000}}) as it, it.connect() as socket:
        answer = await say(socket, frame)
        assert (answer["Seq"], answer.get("Fail", {"Status": 200})["Status"]) == (5, status)
        assert (await say(socket, page_frame(6)))["Cmd"] == 4


async def test_a_large_bundle_is_judged_too(tmp_path: Path) -> None:
    filler = {"Kind": 1, "Args": ["x" * 3_000_000]}
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            assert (await say(socket, bundle_frame(filler, event("", {}))))["Cmd"] == 5
            assert (await say(socket, bundle_frame(filler)))["Cmd"] == 5
        assert it.backend.texts == [bundle_frame(filler), bundle_frame(filler)]


async def test_a_fault_of_ours_forwards_the_frame_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    async with setting(tmp_path) as it:
        monkeypatch.setattr("fsproxy.proxy.upload.inspect", broken)
        monkeypatch.setattr("fsproxy.proxy.page.judge", broken)
        async with it.connect() as socket:
            assert (await say(socket, page_frame()))["Cmd"] == 4
            assert (await say(socket, bundle_frame(MOVE, seq=2)))["Cmd"] == 5
        await it.proxy.idle()
        assert it.backend.texts == [page_frame(), bundle_frame(MOVE, seq=2)]
        assert it.proxy.metrics.own_failures == {("socket",): 2}
    assert len(it.proxy.audit()) == 3


async def test_a_fault_of_ours_before_judging_forwards_the_frame_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async with setting(tmp_path) as it:
        monkeypatch.setattr("fsproxy.proxy.sockets.reading.read_frame", broken)
        async with it.connect() as socket:
            assert (await say(socket, page_frame()))["Cmd"] == 4
        assert it.proxy.metrics.own_failures == {("socket",): 1}


async def test_a_fault_that_loses_our_place_in_the_stream_closes_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async with setting(tmp_path) as it:
        monkeypatch.setattr("fsproxy.proxy.sockets.tunnel.start_of_payload", broken)
        async with it.connect() as socket:
            await socket.send_str(page_frame())
            assert (await socket.receive(timeout=120)).type is WSMsgType.CLOSED
        await it.proxy.idle()
        assert it.proxy.metrics.own_failures == {("socket",): 1}
    assert it.proxy.audit()[0]["fsproxy.error"] == "internal"


@pytest.mark.parametrize(("seqs", "waiting"), [(range(20), 16), ([1] * 5, 1)], ids=["many", "the same Seq"])
async def test_of_pages_that_are_not_answered_only_the_latest_are_waited_for(
    tmp_path: Path, seqs: Sequence[int], waiting: int
) -> None:
    async with setting(tmp_path, {"filters": {"quota": {"sessions": 100}}}) as it:
        it.backend.silent = True
        async with it.connect() as socket:
            for seq in seqs:
                await socket.send_str(page_frame(seq))
            await socket.send_bytes(b"echo")
            await socket.receive_bytes(timeout=120)
            assert it.used() == waiting
        await it.proxy.idle()
        assert it.used() == 0
    assert len(it.proxy.audit()) == len(seqs) + 1


async def test_a_page_frame_is_audited_by_the_share_of_pages(tmp_path: Path) -> None:
    """A socket's own line and its bundles' go by the share of bundles."""
    async with setting(tmp_path, {"audit": {"share": {"bundle": "0%"}}}) as it:
        async with it.connect() as socket:
            await say(socket, page_frame())
            await say(socket, bundle_frame(MOVE))
        await it.proxy.idle()
    assert [line["fsproxy.decision"] for line in it.proxy.audit()] == ["captured"]


async def test_a_first_visit_that_is_ramped_out_is_given_no_user_id(tmp_path: Path) -> None:
    """No recorder reads one over a socket, so ramping is not sticky for first visits there (wire.md 7)."""
    async with setting(tmp_path, {"filters": {"ramping": {"share": "0%"}}}) as it, it.connect() as socket:
        error = json.loads((await say(socket, page_frame()))["Fail"]["Error"])
        assert (error["reason_code"], set(error)) == (8, {"reason_code", "reason", "cookie_domain"})


async def test_opaque_events_keep_their_bytes_when_a_call_is_cut(tmp_path: Path) -> None:
    """Half an emoji, a number of any form: strict readers refuse them, recorders send them."""
    opaque = r'{"Kind":1,"Args":["\ud83d",1e400,-0.0]}'
    kept = bundle_frame(MOVE, {"Kind": 0}).replace('{"Kind": 0}', "").replace('{"Kind":0}', opaque)
    bad = kept.replace(opaque, opaque + "," + json.dumps(event("", {})))
    async with setting(tmp_path) as it, it.connect() as socket:
        await socket.send_str(bad)
        await socket.send_bytes(b"echo")
        while (await socket.receive(timeout=120)).type is not WSMsgType.BINARY:
            pass
        assert it.backend.texts == [kept]


@pytest.mark.parametrize("cmd", [2, 6])
async def test_the_variables_of_a_refused_uid_reach_nobody_over_the_socket(tmp_path: Path, cmd: int) -> None:
    def user(properties: Mapping[str, Any]) -> dict[str, Any]:
        return {**event("user", properties), "Kind": 8193}

    good = event("E", {"n_int": 1})
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            await say(socket, bundle_frame(user({"uid": "null"}), user({"plan_str": "gold"}), good, cmd=cmd))
        assert it.backend.texts == [bundle_frame(good, cmd=cmd)]


async def test_of_a_frame_with_too_many_calls_the_first_are_judged_and_the_rest_is_cut(tmp_path: Path) -> None:
    events = [event("E", {"n_int": number}, when=number * 1_000) for number in range(6)]
    async with setting(tmp_path, {"client_api": {"max_calls": 4}}) as it:
        async with it.connect() as socket:
            await say(socket, bundle_frame(MOVE, *events, MOVE))
        assert it.backend.texts == [bundle_frame(MOVE, *events[:4], MOVE)]
        await it.proxy.idle()
    assert it.proxy.audit()[0]["fsproxy.rejections_count"] == 2


async def test_calls_after_a_held_up_first_frame_are_not_pressed_together(tmp_path: Path) -> None:
    """Frames carry no ``ClientTime``."""
    frames = [
        bundle_frame(*[event("E", {"n_int": when}, when=when) for when in whens], seq=seq)
        for seq, whens in enumerate(([3_100, 4_000, 4_771], range(5_466, 20_867, 700)))
    ]
    async with setting(tmp_path) as it:
        async with it.connect() as socket:
            for frame in frames:
                await say(socket, frame)
        assert it.backend.texts == frames
