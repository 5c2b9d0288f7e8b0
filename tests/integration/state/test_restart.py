"""What a running proxy remembers over a restart and over kill -9 (rules.md 5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from support.arrivals import Arrivals
from support.proxy import RunningProxy, running_proxy
from support.recorder import Journal, Recorder
from support.upstream import RecordingUpstream

EVERY = 0.1


def config(upstream: RecordingUpstream, path: str) -> dict[str, Any]:
    return {
        "upstream": {"url": upstream.url},
        "filters": {"quota": {"sessions": 2}},
        "state": {"persist": {"path": path, "every": "100ms"}},
    }


async def visit(http: aiohttp.ClientSession, proxy: RunningProxy, session: str) -> int | None:
    """A new session's first page; the reason code it was blocked with, None when it was captured."""
    page = {"OrgId": "o-1", "UserId": "", "SessionId": session, "PageId": f"p-{session}", "Url": "https://example.com/"}
    async with http.post(f"{proxy.url}/rec/page", data=json.dumps(page)) as response:
        answer = await response.json(content_type=None)
        assert response.status in {200, 202}
        code: int | None = answer.get("reason_code")
        return code


async def ready(http: aiohttp.ClientSession, proxy: RunningProxy) -> Mapping[str, Any]:
    async with http.get(f"{proxy.admin_url}/readyz") as response:
        body: Mapping[str, Any] = await response.json()
        return body


async def test_a_restart_gives_nobody_a_second_quota(upstream: RecordingUpstream, tmp_path: Path) -> None:
    settings = config(upstream, str(tmp_path / "state" / "fsproxy.sqlite"))
    async with aiohttp.ClientSession() as http:
        async with running_proxy(settings) as proxy:
            assert [await visit(http, proxy, name) for name in ("s1", "s2", "s3")] == [None, None, 3]
        async with running_proxy(settings) as proxy:
            assert [await visit(http, proxy, name) for name in ("s1", "s4")] == [None, 3]
            assert (await ready(http, proxy))["store"]["persist"]["path"].endswith("fsproxy.sqlite")


async def test_kill_9_forgets_one_interval_at_most(upstream: RecordingUpstream, tmp_path: Path) -> None:
    settings = config(upstream, str(tmp_path / "fsproxy.sqlite"))
    async with aiohttp.ClientSession() as http:
        async with running_proxy(settings) as proxy:
            assert [await visit(http, proxy, name) for name in ("s1", "s2")] == [None, None]
            answered = (await ready(http, proxy))["store"]["persist"].get("written", 0)
            async with asyncio.timeout(120):
                # Two writes that began after the answers; each is an interval after the other.
                while await visit(http, proxy, "s1") is None:
                    written = (await ready(http, proxy))["store"]["persist"].get("written", 0)
                    if written > answered + 2 * EVERY:
                        break
            await proxy.kill()
        async with running_proxy(settings) as proxy:
            assert [await visit(http, proxy, name) for name in ("s1", "s4")] == [None, 3]


async def test_a_place_that_cannot_be_written_costs_no_request(upstream: RecordingUpstream, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    settings = config(upstream, str(tmp_path / "file" / "fsproxy.sqlite"))
    async with aiohttp.ClientSession() as http, running_proxy(settings) as proxy:
        assert [await visit(http, proxy, name) for name in ("s1", "s2", "s3")] == [None, None, 3]
        kept = (await ready(http, proxy))["store"]["persist"]
        assert kept["state"] == "failing"
        assert kept["reason"]
        async with http.get(f"{proxy.admin_url}/metrics") as response:
            counts = [line for line in (await response.text()).splitlines() if line.startswith("fsproxy_persist_fail")]
        assert float(counts[0].split()[1]) >= 1
        assert proxy.log_text().count("cannot be written: ") == 1


@pytest.mark.parametrize("says_time", [True, False])
async def test_a_page_that_was_held_up_and_outlives_a_restart_loses_no_call(
    upstream: RecordingUpstream, *, says_time: bool
) -> None:
    """A call every 5 s of the page's own time. The clock that a restart forgets begins anew with what comes then."""
    settings = {"upstream": {"url": upstream.url}, "state": {"persist": None}}
    arrivals, journal = Arrivals(), Journal()
    arrivals.attach(upstream)
    async with aiohttp.ClientSession() as http:
        async with running_proxy(settings) as proxy:
            recorder = Recorder(http, proxy.url, arrivals, journal, Random(1), calls=1, pause=0.0, leaves=0.0)
            recorder.says_time, recorder.held_up = says_time, 3
            assert await recorder.visit(10)
        async with running_proxy(settings) as proxy:
            recorder.url = proxy.url
            assert await recorder.go_on(10)
            assert await recorder.restart(5)
            await recorder.finish()
    assert (arrivals.faults, journal.ended, journal.calls) == ([], [], 25)
