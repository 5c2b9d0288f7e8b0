"""The API that tries a configuration on live traffic: what it takes, what it refuses, and what it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from fsproxy.admin.server import create_admin
from fsproxy.admin.single import SingleBackend
from fsproxy.config.schema import AdminConfig, ModeSwitch, TopMode
from fsproxy.reload.reloader import Reloader
from support.in_process import InProcessProxy, in_process
from support.rig import AGENT, ORIGIN, page
from support.upstream import RecordingUpstream

BLOCKS = {"filters": {"ip": {"block": ["10.0.0.0/8"]}}}
_ids = count(1)


@dataclass
class Bench:
    proxy: InProcessProxy
    reloader: Reloader
    http: aiohttp.ClientSession
    admin: TestClient[Any, Any]
    upstream: str

    async def page(self, address: str = "198.51.100.77", **fields: Any) -> int:
        headers = {"Origin": ORIGIN, "User-Agent": AGENT, "X-Forwarded-For": address, "X-Request-Id": f"r-{next(_ids)}"}
        async with self.http.post(f"{self.proxy.url}/rec/page", json=page(**fields), headers=headers) as response:
            await response.read()
        await self.proxy.idle()
        return response.status

    async def ask(self, method: str = "GET", path: str = "/api/try", **more: Any) -> tuple[int, dict[str, Any]]:
        async with self.admin.request(method, path, **more) as response:
            return response.status, await response.json()

    async def begin(self, rules: dict[str, Any], **more: Any) -> tuple[int, dict[str, Any]]:
        """Try these rules on all requests."""
        text = json.dumps({"upstream": {"url": self.upstream}, **rules})
        whole = json.dumps({"config": text, "name": "new.yaml", "share": 1, **more}).encode()
        return await self.ask("POST", data=BytesIO(whole), headers={"Content-Type": "application/json"})


@asynccontextmanager
async def bench(upstream: RecordingUpstream, rules: dict[str, Any] | None = None) -> AsyncIterator[Bench]:
    async with in_process({"upstream": {"url": upstream.url}, **(rules or {})}) as proxy:
        reloader = Reloader(proxy.data_plane.generation.config, None, lambda: proxy.data_plane, proxy.metrics)
        names = {"instance": "this", "passage": "that"}
        backend = SingleBackend(reloader, proxy.metrics, stop=asyncio.Event(), **names)
        backend.use(proxy.data_plane)
        app = create_admin(AdminConfig(), backend)
        async with TestClient(TestServer(app)) as admin, aiohttp.ClientSession() as http:
            try:
                yield Bench(proxy, reloader, http, admin, upstream.url)
            finally:
                await reloader.close()


async def test_what_would_change_is_answered_while_it_runs_and_after_it(upstream: RecordingUpstream) -> None:
    async with bench(upstream) as b:
        assert (await b.ask())[1]["state"] == "none"
        status, begun = await b.begin(BLOCKS)
        assert (status, begun["state"], begun["name"], begun["for"], begun["share"]) == (
            200,
            "running",
            "new.yaml",
            600,
            1,
        )
        assert 0 < begun["left"] <= 600
        assert await b.page("10.1.2.3") == 200
        assert await b.page() == 200
        for method, state in (("GET", "running"), ("DELETE", "ended"), ("GET", "ended"), ("DELETE", "ended")):
            status, found = await b.ask(method)
            assert (status, found["state"], found["pages"], found["changed"]) == (200, state, 2, 1)
            (change,) = found["changes"]
            assert (change["pages"], change["uploads"], change["calls"]) == (1, 0, 0)
            assert change["old"] == {"code": None, "rule": ""}
            assert change["new"] == {"code": 5, "rule": "ip:block:10.0.0.0/8"}
            assert change["examples"] == [f"r-{upstream.received[0].value('X-Request-Id').partition('-')[2]}"]  # type: ignore[union-attr]
        assert found["ended_because"] == "it was stopped"
        await b.page("10.1.2.3")
        assert (await b.ask())[1]["pages"] == 2


async def test_one_is_tried_at_a_time(upstream: RecordingUpstream) -> None:
    async with bench(upstream) as b:
        assert (await b.begin(BLOCKS))[0] == 200
        status, refused = await b.begin({}, name="other.yaml")
        assert status == 409
        assert "new.yaml is being tried" in refused["error"]
        await b.ask("DELETE")
        assert (await b.begin({}, name="other.yaml"))[1]["name"] == "other.yaml"


async def test_faults_come_back_as_check_tells_them_and_nothing_is_tried(upstream: RecordingUpstream) -> None:
    async with bench(upstream) as b:
        text = "upstream: {url: http://127.0.0.1:1}\nmode: shaddow\nfilters: {ip: {block: [1.2.3]}}\n"
        status, found = await b.ask("POST", json={"config": text, "name": "new.yaml"})
        assert (status, found["fault_count"]) == (400, 2)
        assert found["faults"][0]["text"].startswith("new.yaml:2:7: mode: ")
        assert "mode: shaddow\n" in found["faults"][0]["excerpt"]
        assert (await b.ask())[1]["state"] == "none"


async def test_lists_and_variables_come_with_it_and_nothing_is_read_for_it(upstream: RecordingUpstream) -> None:
    async with bench(upstream) as b:
        rules = {"filters": {"ip": {"block": ["file:lists/bad.txt", "${BAD}"]}}}
        sent = {"lists": {"lists/bad.txt": "# ours\n10.0.0.0/8\n"}, "environ": {"BAD": "192.0.2.1"}}
        assert (await b.begin(rules, **sent))[0] == 200
        await b.page("10.1.2.3")
        await b.page("192.0.2.1")
        assert (await b.ask("DELETE"))[1]["changed"] == 2
        status, found = await b.begin({"filters": {"ip": {"block": ["file:/etc/passwd", "${HOME}"]}}})
        assert status == 400
        texts = [each["text"] for each in found["faults"]]
        assert len(texts) == 2
        assert "was not sent with the configuration" in texts[0]
        assert "HOME, which is not set" in texts[1]


async def test_what_is_no_question_is_refused(upstream: RecordingUpstream) -> None:
    async with bench(upstream) as b:
        assert (await b.ask("POST", data="{}"))[0] == 400
        for wrong in (
            {},
            {"config": 1},
            {"config": "", "share": 0},
            {"config": "", "for": 0},
            {"config": "", "more": 1},
        ):
            assert (await b.ask("POST", json=wrong))[0] == 400


async def test_it_ends_by_itself(upstream: RecordingUpstream) -> None:
    async with bench(upstream) as b:
        await b.begin(BLOCKS, **{"for": 1})
        async with asyncio.timeout(60):
            while (found := (await b.ask())[1])["state"] == "running":
                await asyncio.sleep(0.05)
        assert (found["ended_because"], found["left"]) == ("its time is over", None)


async def test_another_mode_ends_it_and_under_bypass_none_begins(upstream: RecordingUpstream) -> None:
    async with bench(upstream) as b:
        await b.begin(BLOCKS)
        b.reloader.set_mode(ModeSwitch(TopMode.BYPASS))
        assert (await b.ask())[1]["ended_because"] == "the mode was changed"
        status, found = await b.begin(BLOCKS)
        assert (status, "bypass" in found["error"]) == (409, True)


async def test_a_candidate_that_is_too_large_is_refused(
    upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsproxy.admin.trial_api.MOST_CANDIDATE", 2 * 1024 * 1024)
    async with bench(upstream) as b:
        status, found = await b.begin({}, lists={"many.txt": "x" * 3 * 1024 * 1024})
        assert (status, found["error"]) == (413, "a configuration with its lists may have 2 MB")


async def test_a_large_candidate_fits(upstream: RecordingUpstream) -> None:
    async with bench(upstream) as b:
        lines = "\n".join(f"10.{n >> 8 & 255}.{n & 255}.{n % 250}" for n in range(100_000))
        assert len(lines) > 1024 * 1024
        rules = {"filters": {"ip": {"block": ["file:many.txt"]}}}
        assert (await b.begin(rules, lists={"many.txt": lines}))[0] == 200
