"""The simulated recorder does what wire.md says, and what watches the upstream sees what is wrong there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from random import Random

import aiohttp
import pytest
from aiohttp import web

from support.arrivals import Arrivals
from support.in_process import in_process
from support.raw_http import eventually
from support.recorder import EVENT, Answer, Journal, Reaction, Recorder, reaction
from support.upstream import Received, RecordingUpstream, status

BUNDLE = "/rec/bundle/v2"
JSON = b'{"BundleTime":1}'


@pytest.fixture
async def recorder(upstream: RecordingUpstream) -> AsyncIterator[Recorder]:
    """In front of an upstream, with no proxy between."""
    arrivals = Arrivals()
    arrivals.attach(upstream)
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        yield Recorder(http, upstream.url, arrivals, Journal(), Random(1), patience=0.0001, pause=0.0, leaves=0.0)


@pytest.mark.parametrize(
    ("code", "body", "on_bundle", "on_event"),
    [
        (200, JSON, Reaction.GOES_ON, Reaction.GOES_ON),
        (200, b"<html>", Reaction.RETRIES, Reaction.RETRIES),
        *((code, b"", Reaction.RETRIES, Reaction.RETRIES) for code in (201, 204, 205, 502)),
        *((code, JSON, Reaction.ENDS, Reaction.DROPS) for code in (202, 400, 429, 500)),
        *((code, JSON, Reaction.ENDS, Reaction.ENDS) for code in (206, 301, 403, 404, 408, 413, 503, 504)),
    ],
)
def test_each_answer_has_its_reaction(code: int, body: bytes, on_bundle: Reaction, on_event: Reaction) -> None:
    assert reaction(BUNDLE, Answer(code, body)) is on_bundle
    assert reaction(EVENT, Answer(code, body)) is on_event


def test_a_network_error_is_no_end() -> None:
    assert {reaction(path, None) for path in (BUNDLE, EVENT)} == {Reaction.RETRIES}


async def test_a_whole_visit_is_at_the_upstream(recorder: Recorder) -> None:
    recorder.calls = 0
    seen: list[Received] = []
    saw = recorder.arrivals.saw
    recorder.arrivals.saw = lambda received: (seen.append(received), saw(received))[1]  # type: ignore[method-assign]
    assert await recorder.visit(5)
    await recorder.finish()
    bundles = [one for one in seen if one.path == BUNDLE]
    assert {one.query["Seq"] for one in bundles} == set("12345")
    assert any(one.query.get("DeltaT") for one in bundles)
    assert all(("ContentEncoding" in one.query) == one.body.startswith(b"\x1f\x8b") for one in bundles)
    assert recorder.journal.delivered == 5


def seen_by(recorder: Recorder) -> list[Received]:
    """What reaches the upstream from now on."""
    seen: list[Received] = []
    saw = recorder.arrivals.saw
    recorder.arrivals.saw = lambda received: (seen.append(received), saw(received))[1]  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("says_time", [True, False])
async def test_a_page_that_is_held_up_sends_all_that_piled_up_and_goes_on(
    recorder: Recorder, *, says_time: bool
) -> None:
    recorder.calls, recorder.held_up, recorder.says_time = 1, 3, says_time
    seen = seen_by(recorder)
    assert await recorder.visit(2)
    assert [one.path for one in seen] == ["/rec/page"]
    assert await recorder.go_on(3)
    await recorder.finish()
    bundles = [one for one in seen if one.path == BUNDLE]
    assert {one.query["Seq"] for one in bundles} == set("345")
    assert {"ClientTime" in one.query for one in seen if one.path != "/rec/page"} == {says_time}


async def test_a_restart_is_another_page_of_the_session_and_a_late_copy(recorder: Recorder) -> None:
    recorder.calls = 0
    seen = seen_by(recorder)
    assert await recorder.visit(2)
    assert await recorder.restart(1)
    await recorder.finish()
    uploads = [one for one in seen if one.path == BUNDLE]
    assert len({one.query["SessionId"] for one in uploads}) == 1
    assert len({one.query["PageId"] for one in uploads}) == 2
    assert any(one.query.get("DeltaT") and one.query["Seq"] == "2" for one in uploads)


async def test_an_upload_goes_up_again_until_it_is_taken(recorder: Recorder, upstream: RecordingUpstream) -> None:
    recorder.calls = 0
    answers = iter([status(502), status(204), status(200, b"x")])
    looks = upstream.answer
    assert looks is not None

    async def answer(request: web.BaseRequest, received: Received) -> web.StreamResponse:
        given = next(answers, looks) if received.path == BUNDLE else looks
        if given is not looks:
            recorder.arrivals.saw(received)
        return await given(request, received)

    upstream.answer = answer
    assert await recorder.visit(1)
    await recorder.finish()
    assert recorder.journal.retries.total() <= 3
    assert recorder.journal.delivered == 1
    assert not recorder.journal.ended


async def test_a_recording_that_was_ended_is_told(recorder: Recorder, upstream: RecordingUpstream) -> None:
    upstream.on("POST", BUNDLE, status(503, b"{}"))
    assert not await recorder.visit(3)
    assert len(recorder.journal.ended) == 1
    assert recorder.journal.delivered == 0


async def test_a_visitor_that_is_ramped_out_keeps_the_id_it_was_given(
    recorder: Recorder, upstream: RecordingUpstream
) -> None:
    told = {"reason_code": 8, "reason": "Traffic Ramping", "cookie_domain": "example.com", "user_id": "u-8"}
    upstream.on("POST", "/rec/page", status(202, json.dumps(told).encode()))
    assert not await recorder.visit(1)
    assert recorder.journal.refused == {8: 1}
    assert recorder.user_id == "u-8"


@pytest.mark.parametrize("wrong", ["lost", "altered", "not cut"])
async def test_what_is_wrong_at_the_upstream_is_seen(
    recorder: Recorder, upstream: RecordingUpstream, wrong: str
) -> None:
    recorder.calls = 1
    looks = recorder.arrivals.saw

    def saw(received: Received) -> None:
        if received.path != "/rec/page" and wrong != "not cut":
            if wrong == "altered":
                looks(Received(received.method, received.target, received.headers, received.body + b" "))
            return
        looks(received)

    recorder.arrivals.saw = saw  # type: ignore[method-assign]
    await recorder.visit(8)
    await recorder.finish()
    expected = {"lost": "is not at the upstream", "altered": "altered", "not cut": "was not cut"}[wrong]
    assert any(expected in fault for fault in recorder.arrivals.faults)


async def test_who_leaves_waits_for_no_answer_and_loses_nothing(upstream: RecordingUpstream) -> None:
    arrivals, journal = Arrivals(), Journal()
    arrivals.attach(upstream)
    wide = {"rate": {"event": ["100000/s"], "user": ["100000/s"]}}
    async with in_process({"upstream": {"url": upstream.url}, "client_api": wide}) as proxy:
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            recorder = Recorder(http, proxy.url, arrivals, journal, Random(1), pause=0.0, leaves=1.0)
            for _ in range(10):
                assert await recorder.visit(1)
            await recorder.finish()
        await eventually(lambda: not arrivals.left, 30.0)
    assert journal.left == 10
    assert not arrivals.faults


async def test_what_never_arrives_of_one_that_left_is_known(recorder: Recorder) -> None:
    recorder.leaves = 1.0
    recorder.arrivals.saw = lambda _: None  # type: ignore[method-assign]
    await recorder.visit(1)
    assert len(recorder.arrivals.left) == 1
