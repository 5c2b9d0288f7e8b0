"""A trial costs no request: what is not drawn is not judged, and a fault of the candidate's is counted and survived."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from fsproxy.clock import now
from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.limits.operations import LedgerDownError
from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import ListChange, entry_of
from fsproxy.proxy.trial.candidate import Candidate
from fsproxy.proxy.trial.trial import FAULT, STORE_DOWN, Trial
from fsproxy.state.looking import LookingLedger
from support.call_samples import bundle, first
from support.in_process import InProcessProxy, generation, in_process
from support.rig import page
from support.sockets import bundle_frame, event, page_frame
from support.upstream import RecordingUpstream

BLOCKS = {"filters": {"ip": {"block": ["127.0.0.1"]}}}
STRICT = {"client_api": {"cardinality": {"event_names": 0}}}


@asynccontextmanager
async def tried(
    upstream: RecordingUpstream, rules: dict[str, Any], share: float = 1.0, draws: list[float] | None = None
) -> AsyncIterator[tuple[InProcessProxy, Trial, aiohttp.ClientSession]]:
    """A proxy that tries these rules."""
    config = {"upstream": {"url": upstream.url}}
    async with in_process(config) as proxy, aiohttp.ClientSession() as http:
        judges = proxy.data_plane.judges
        candidate = Candidate(generation({**config, **rules}, proxy.base, 2), judges.stores, judges.limits, 1.0)
        drawn = iter(draws or [])
        trial = Trial(judges, candidate, share, address_mask("full"), lambda: next(drawn, 0.0))
        trial.start()
        yield proxy, trial, http
        trial.stop()


async def visit(proxy: InProcessProxy, http: aiohttp.ClientSession, **fields: Any) -> int:
    async with http.post(f"{proxy.url}/rec/page", data=json.dumps(page(**fields))) as response:
        await response.read()
    await proxy.idle()
    return response.status


async def test_only_what_is_drawn_is_judged(upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = 0
    usual = Candidate.request

    async def counted(self: Candidate, *args: Any) -> Any:
        nonlocal judged
        judged += 1
        return await usual(self, *args)

    monkeypatch.setattr(Candidate, "request", counted)
    async with tried(upstream, BLOCKS, 0.25, [0.24, 0.25, 0.9, 0.1]) as (proxy, trial, http):
        for _ in range(4):
            assert await visit(proxy, http) == 200
        assert (judged, trial.tally.pages, trial.tally.changed) == (2, 2, 2)


async def test_without_a_trial_nothing_stands_before_a_request(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        pages, uploads = proxy.data_plane.judges.pages, proxy.data_plane.judges.uploads
        usual = pages.answer, uploads.answer
        assert usual == (pages.decide_and_answer, uploads.decide_and_answer)
    async with tried(upstream, BLOCKS) as (proxy, trial, _):
        pages = proxy.data_plane.judges.pages
        assert pages.answer != pages.decide_and_answer
        trial.stop()
        assert pages.answer == pages.decide_and_answer
        assert proxy.data_plane.judges.sockets.trial is None


async def test_a_fault_of_the_candidate_costs_no_request(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("a fault of ours")

    async with tried(upstream, BLOCKS) as (proxy, trial, http):
        monkeypatch.setattr("fsproxy.proxy.trial.candidate.begun_by", broken)
        with capture_logs() as logs:
            assert [await visit(proxy, http) for _ in range(3)] == [200, 200, 200]
        assert trial.tally.undecidable == {FAULT: 3}
        assert len([each for each in logs if "could not be judged" in each["event"]]) == 1


async def test_what_the_store_does_not_answer_is_undecidable(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> Any:
        raise LedgerDownError

    async with tried(upstream, BLOCKS | {"filters": {}}) as (proxy, trial, http):
        monkeypatch.setattr(LookingLedger, "ask", down)
        assert await visit(proxy, http) == 200
        assert (trial.tally.pages, trial.tally.undecidable) == (0, {STORE_DOWN: 1})


async def test_a_list_that_changes_at_run_time_is_no_difference(upstream: RecordingUpstream) -> None:
    async with tried(upstream, {}) as (proxy, trial, http):
        at = now()
        listed = (entry_of(FilterName.DELETING_USER, "ann"),)
        assert await visit(proxy, http, AppId="ann") == 200
        await proxy.data_plane.listing.change(ListChange(FilterName.DELETING_USER, listed, (), at + 60, at))
        assert [await visit(proxy, http, AppId=uid) for uid in ("ann", "ben")] == [202, 200]
        assert (trial.tally.pages, trial.tally.changed, trial.tally.undecidable) == (3, 0, {})


async def test_frames_of_a_socket_are_judged_as_requests_are(upstream: RecordingUpstream) -> None:
    async with tried(upstream, BLOCKS | STRICT) as (proxy, trial, http):
        async with http.ws_connect(f"{proxy.url}/rec/sock?OrgId=o-1") as socket:
            await socket.send_str(page_frame(1))
            await socket.receive(60)
            await socket.send_str(bundle_frame(event("Bought", {"a_int": 1}), seq=2))
            await socket.receive(60)
        await proxy.idle()
        tally = trial.tally
        assert (tally.pages, tally.changed, tally.uploads, tally.uploads_changed) == (1, 1, 1, 1)
        (change,) = tally.changes.values()
        assert (change.new.code, change.pages, change.uploads) == (5, 1, 1)


async def test_calls_are_compared_one_by_one(upstream: RecordingUpstream) -> None:
    async with tried(upstream, STRICT) as (proxy, trial, http):
        body = bundle(first("Bought", {"a_int": 1}), first("Seen", {"b": 1}))
        async with http.post(f"{proxy.url}/rec/bundle/v2?OrgId=o-1&SessionId=s&PageId=p", data=body) as response:
            assert response.status == 200
        await proxy.idle()
        assert (trial.tally.calls, trial.tally.calls_changed, trial.tally.uploads_changed) == (2, 2, 0)
        found = {(each.old.code, each.new.code, each.new.rule) for each in trial.tally.changes.values()}
        assert (None, "CardinalityExceeded", "event Bought") in found


async def test_what_would_no_longer_be_read_counts_as_forwarded(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url}, **BLOCKS}) as proxy, aiohttp.ClientSession() as http:
        judges = proxy.data_plane.judges
        for rules in ({"mode": "bypass"}, {"routes": {"page": ["/other"]}}):
            config = {"upstream": {"url": upstream.url}, **BLOCKS, **rules}
            candidate = Candidate(generation(config, proxy.base, 2), judges.stores, judges.limits, 1.0)
            trial = Trial(judges, candidate, 1.0, address_mask("full"))
            trial.start()
            assert await visit(proxy, http) == 202
            trial.stop()
            (change,) = trial.tally.changes.values()
            assert (change.old.code, change.new.code) == (5, None)
