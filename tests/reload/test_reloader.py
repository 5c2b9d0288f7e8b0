"""Generations that follow each other under load, on the test's own event loop."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from fsproxy.config.schema import ModeSwitch, TopMode
from fsproxy.core.model import Instant
from fsproxy.reload.build_generation import Source
from fsproxy.reload.reloader import Reloader
from support.descriptors import no_descriptors
from support.in_process import InProcessProxy, in_process
from support.raw_http import eventually
from support.upstream import RecordingUpstream

BAD = "filters: {ip: {block: [999.1.1.1]}}\nupstream: {url: nonsense}\nunknown: 1\n"
PAGE = json.dumps({"OrgId": "o-1", "UserId": "", "SessionId": "s", "PageId": "p", "Url": "https://example.com/"})


class Reloading:
    """A data plane and its reloader, without the watch: a test says when to load."""

    def __init__(self, proxy: InProcessProxy, reloader: Reloader, path: Path, http: aiohttp.ClientSession) -> None:
        self.proxy = proxy
        self.reloader = reloader
        self.path = path
        self.http = http

    @property
    def number(self) -> int:
        return self.proxy.data_plane.generation.number

    async def load(self, config: dict[str, Any] | str) -> dict[str, object]:
        self.path.write_text(config if isinstance(config, str) else json.dumps(config))
        return await self.reloader.reload()

    async def look(self) -> None:
        """As the watch does when something may have changed."""
        self.reloader.ask()
        task = self.reloader._task
        assert task is not None
        await task

    async def page(self) -> int:
        async with self.http.post(f"{self.proxy.url}/rec/page", data=PAGE) as response:
            await response.read()
            return response.status

    def gauge(self, name: str) -> float:
        return self.proxy.metrics.gauges[name][1]()


@asynccontextmanager
async def reloading(config: dict[str, Any], folder: Path) -> AsyncIterator[Reloading]:
    path = folder / "fsproxy.yaml"
    path.write_text(json.dumps(config))
    async with in_process(config) as proxy, aiohttp.ClientSession() as http:
        reloader = Reloader(
            proxy.data_plane.generation.config, Source(path, {}), lambda: proxy.data_plane, proxy.metrics
        )
        yield Reloading(proxy, reloader, path, http)
        await reloader.close()


def config(upstream: RecordingUpstream, folder: Path, number: int = 1, **more: Any) -> dict[str, Any]:
    """A configuration that blocks every page by a rule that is named after the generation it is to be."""
    return {
        "upstream": {"url": upstream.url},
        "filters": {"ip": {"block": [{"pattern": "127.0.0.1", "id": f"rule-{number}"}]}},
        "audit": {"to": str(folder / "audit.log")},
        "state": {"persist": None},
        **more,
    }


def audit_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "audit.log").read_text().splitlines()]


async def test_twenty_swaps_under_load_fail_no_request_and_mix_no_decision(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    """Half of the files are bad: they change nothing."""
    statuses: list[int] = []
    async with reloading(config(upstream, tmp_path), tmp_path) as one:
        over = asyncio.Event()

        async def visit() -> None:
            while not over.is_set():
                statuses.append(await one.page())

        async with asyncio.TaskGroup() as visitors:
            for _ in range(4):
                visitors.create_task(visit())
            for _ in range(10):
                outcome = await one.load(config(upstream, tmp_path, one.number + 1))
                assert (outcome["generation"], outcome["errors"]) == (one.number, [])
                before = one.number
                outcome = await one.load(BAD)
                assert (outcome["generation"], outcome["error_count"], one.number) == (before, 3, before)
            over.set()
        assert one.number == 11
    lines = audit_lines(tmp_path)
    assert statuses
    assert set(statuses) == {202}
    assert len(lines) == len(statuses)
    assert all(line["rule.id"] == f"rule-{line['fsproxy.generation']}" for line in lines)
    assert {line["fsproxy.generation"] for line in lines} == set(range(1, 12))


async def test_a_bad_file_keeps_the_rules_and_says_every_fault_once(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    async with reloading(config(upstream, tmp_path), tmp_path) as one:
        loaded_at = one.gauge("config_loaded_timestamp_seconds")
        with capture_logs() as logs:
            await one.load(BAD)
            one.reloader.ask()  # nothing has changed since: nothing is said again
            await one.reloader._task  # type: ignore[misc]
        faults = [line["event"] for line in logs if "column" in line]
        assert len(faults) == 3
        assert any("999.1.1.1" in fault for fault in faults)
        assert one.gauge("config_errors") == 3
        assert one.gauge("config_loaded_timestamp_seconds") == loaded_at
        errors = one.reloader.state()["errors"]
        assert len(errors) == 3  # type: ignore[arg-type]
        assert "999.1.1.1" not in str(errors)
        assert await one.page() == 202
        await one.load(config(upstream, tmp_path))
        assert one.gauge("config_errors") == 0
        assert one.gauge("config_loaded_timestamp_seconds") >= loaded_at


async def test_a_list_that_was_missing_is_waited_for(upstream: RecordingUpstream, tmp_path: Path) -> None:
    listed = config(upstream, tmp_path) | {"filters": {"ip": {"block": ["file:ips.txt"]}}}
    async with reloading(config(upstream, tmp_path), tmp_path) as one:
        outcome = await one.load(listed)
        assert outcome["error_count"] == 1
        (tmp_path / "ips.txt").write_text("10.0.0.1\n")
        one.reloader.ask()
        await one.reloader._task  # type: ignore[misc]
        assert one.number == 2
        assert await one.page() == 200


async def test_without_descriptors_nothing_is_loaded_and_nothing_is_at_fault(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    async with reloading(config(upstream, tmp_path), tmp_path) as one:
        await one.load(config(upstream, tmp_path, 2))
        with capture_logs() as logs:
            for _ in range(3):
                with no_descriptors():
                    await one.look()
                await one.look()
        assert (one.number, one.reloader.state()["errors"], logs) == (2, [], [])


async def test_a_reload_for_which_there_were_no_descriptors_is_tried_again_by_the_next_look(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    async with reloading(config(upstream, tmp_path), tmp_path) as one:
        await one.load(config(upstream, tmp_path, 2))
        with no_descriptors():
            outcome = await one.reloader.reload()
        assert (outcome["generation"], outcome["error_count"]) == (2, 1)
        await one.look()
        assert (one.number, one.reloader.state()["errors"]) == (2, [])
        one.path.write_text(json.dumps(config(upstream, tmp_path, 3)))
        with no_descriptors():
            await one.reloader.reload()
        await one.look()
        assert (one.number, one.reloader.state()["errors"]) == (3, [])


async def test_a_change_that_is_taken_back_is_no_new_generation(upstream: RecordingUpstream, tmp_path: Path) -> None:
    async with reloading(config(upstream, tmp_path), tmp_path) as one:
        await one.load(config(upstream, tmp_path, 2))
        in_use = one.path.read_text()
        for text in (BAD, None):
            one.path.unlink()
            if text is not None:
                one.path.write_text(text)
            await one.look()
            assert one.gauge("config_errors") > 0
            one.path.write_text(in_use)
            await one.look()
            assert (one.number, one.gauge("config_errors")) == (2, 0)
        one.path.write_text(json.dumps(config(upstream, tmp_path, 3)))
        await one.look()
        assert one.number == 3


async def test_changes_in_quick_succession_are_one(upstream: RecordingUpstream, tmp_path: Path) -> None:
    async with reloading(config(upstream, tmp_path), tmp_path) as one:
        one.path.write_text(json.dumps(config(upstream, tmp_path, 2)))
        await asyncio.gather(*(one.reloader.reload() for _ in range(20)))
        assert one.number <= 3
        for _ in range(5):
            one.reloader.ask()
        await one.reloader.reload()
        assert one.number <= 4


async def test_a_mode_that_was_asked_for_outlives_a_reload(upstream: RecordingUpstream, tmp_path: Path) -> None:
    async with reloading(config(upstream, tmp_path), tmp_path) as one:
        one.reloader.set_mode(ModeSwitch(TopMode.BYPASS))
        await one.load(config(upstream, tmp_path, 2))
        assert (one.number, one.proxy.data_plane.generation.mode) == (2, TopMode.BYPASS)
        assert await one.page() == 200
        loading = asyncio.create_task(one.load(config(upstream, tmp_path, 3)))
        one.reloader.set_mode(ModeSwitch(TopMode.ENFORCE))
        await loading
        assert (one.number, one.proxy.data_plane.generation.mode) == (3, TopMode.ENFORCE)
        assert await one.page() == 202


async def test_what_needs_a_restart_is_named_once_and_keeps_its_value(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    more = {
        "server": {"keepalive": "5s", "max_body": "1KB"},
        "admin": {"token": "secret"},
        "listen": {"port": 1},
        "state": {"persist": {"path": str(tmp_path / "x")}},
    }
    changed = config(upstream, tmp_path, 2, **more)
    changed["audit"] = {"to": "stderr", "client_ip": "none"}
    async with reloading(config(upstream, tmp_path), tmp_path) as one:
        before = one.proxy.data_plane.generation.config
        await one.load(changed)
        await one.load(changed)
        now = one.proxy.data_plane.generation.config
        assert (now.server, now.admin, now.listen, now.state) == (
            before.server, before.admin, before.listen, before.state,
        )  # fmt: skip
        assert (now.audit.to, now.audit.client_ip) == (before.audit.to, "none")
        assert await one.page() == 202
        named = one.reloader.state()["restart_needed_for"]
        assert set(named) == {
            "listen.port", "admin.token", "server.keepalive", "server.max_body", "state.persist", "audit.to",
        }  # fmt: skip
        (told,) = one.reloader.conditions(Instant(1.0))
        assert told.text == f"a restart is needed for changes of {', '.join(named)}"
    assert "client.ip" not in audit_lines(tmp_path)[-1]


async def test_a_generation_is_freed_as_soon_as_no_request_holds_it(
    upstream: RecordingUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsproxy.reload.retired.FREE_SECONDS", 0.01)
    open_to_all = config(upstream, tmp_path) | {"filters": {}}
    async with reloading(open_to_all, tmp_path) as one:
        assert await one.page() == 200
        upstream.hold()
        waiting = asyncio.create_task(one.page())
        await upstream.arrived(2)
        first = id(one.proxy.data_plane.generation)
        await one.load(config(upstream, tmp_path, 2))
        await one.load(config(upstream, tmp_path, 3))
        await eventually(lambda: [id(each) for each in one.reloader._retired._held] == [first])
        upstream.release()
        assert await waiting == 200
        assert await one.page() == 202
        await eventually(lambda: not one.reloader._retired)


async def test_another_upstream_and_other_timeouts_are_used_at_once(tmp_path: Path) -> None:
    def to(upstream: RecordingUpstream, response: str) -> dict[str, Any]:
        whole = config(upstream, tmp_path)
        return whole | {"filters": {}, "upstream": {"url": upstream.url, "timeouts": {"response": response}}}

    async with RecordingUpstream() as first, RecordingUpstream() as second:
        async with reloading(to(first, "30s"), tmp_path) as one:
            assert await one.page() == 200
            await one.load(to(first, "50ms"))
            first.hold()
            assert await one.page() == 504
            first.release()
            first.hold()
            await one.load(to(first, "30s"))
            waiting = asyncio.create_task(one.page())
            await first.arrived(3)
            await one.load(to(second, "30s"))
            assert await one.page() == 200
            first.release()
            assert await waiting == 200
        assert (len(first.received), len(second.received)) == (3, 1)


async def test_garbage_is_collected_before_a_reload_exempts_what_lives(
    upstream: RecordingUpstream, tmp_path: Path
) -> None:
    """Objects that hold each other are for the collector, which is not to see them any more afterwards."""

    class Knot:
        def __init__(self) -> None:
            self.itself = self

    async with reloading(config(upstream, tmp_path), tmp_path) as it:
        gc.collect()
        gc.disable()
        try:
            gone = weakref.ref(Knot())
            await it.load(config(upstream, tmp_path, 2))
            gc.collect()
            assert it.number == 2
            assert gone() is None
        finally:
            gc.enable()
