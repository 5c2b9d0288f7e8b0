"""The program ends, is killed, replaced, reloaded; recorders keep what they could not deliver and go on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from integration.faults.scene import PATIENT, QUICK, scene
from support.faulty_link import Fault
from support.valkey import ValkeyServer, running_valkey
from support.workers import pids, replaced

GAP = frozenset({None})
"""While nobody listens a page is not recorded: its browser has nobody to ask."""


def two_workers(valkey: ValkeyServer) -> dict[str, Any]:
    return {"workers": 2, "state": {"backend": "redis", "redis": {"url": valkey.url, "timeout": "2s"}}}


async def test_a_restart_ends_no_recording() -> None:
    async with scene("restart") as it, it.recording(refused=GAP):
        for _ in range(2):
            it.proxy.signal(signal.SIGTERM)
            await it.proxy.start_again()
            await it.more_delivered(20)


async def test_a_restart_while_requests_are_under_way_lets_them_end() -> None:
    """The upstream is slow, so that some always are."""
    async with scene("drain", {"upstream": {**QUICK, "timeouts": {"response": "10s"}}}) as it:
        async with it.recording(refused=GAP):
            it.upstream.hold()
            await it.until(lambda: len(it.upstream.received) > 3)
            it.proxy.signal(signal.SIGTERM)
            it.upstream.release()
            await it.proxy.start_again()
            await it.more_delivered(20)
        assert set(it.journal.retries) <= GAP


async def test_a_drain_that_runs_out_of_time_tells_uploads_to_come_again() -> None:
    config = {"server": {"drain": "200ms"}, "upstream": {**QUICK, "timeouts": {"response": "10s"}}}
    async with scene("cut short", config) as it, it.recording(refused=frozenset({None, 502, 503})):
        it.upstream.hold()
        await it.until(lambda: len(it.upstream.received) > 3)
        it.proxy.signal(signal.SIGTERM)
        await it.until(lambda: it.journal.retries[502] > 0)
        it.upstream.release()
        await it.proxy.start_again()
        await it.more_delivered(20)


async def test_sigkill_and_a_start_end_no_recording() -> None:
    async with scene("kill") as it, it.recording(refused=GAP):
        for _ in range(2):
            await it.proxy.kill()
            await it.more_retried(3)
            await it.proxy.start_again()
            await it.more_delivered(20)
        assert set(it.journal.retries) == GAP


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_take_over_loses_not_even_a_page(workers: int) -> None:
    with running_valkey() as valkey:
        config = {**two_workers(valkey), "workers": workers}
        async with scene("take-over", config) as it, it.recording(recorders=4):
            await it.proxy.start_again("--take-over")
            await it.more_delivered(20)


async def test_sigkill_in_the_middle_of_a_take_over_ends_no_recording() -> None:
    async with scene("killed while taken over") as it, it.recording(refused=GAP):
        old = it.proxy.process
        starting = asyncio.create_task(it.proxy.start_again("--take-over"))
        await it.until(lambda: it.proxy.process is not old)
        old.kill()
        with pytest.raises(AssertionError, match="exit status -9"):
            await starting
        it.proxy.killed = False
        await it.more_delivered(20)


@pytest.mark.slow
async def test_a_worker_that_is_killed_ends_no_recording() -> None:
    with running_valkey() as valkey:
        async with scene("workers", two_workers(valkey)) as it, it.recording(refused=GAP):
            before = await pids(it.http, it.proxy)
            os.kill(before["1"], signal.SIGKILL)
            await replaced(it.http, it.proxy, before)
            await it.more_delivered(20)
        assert set(it.journal.retries) <= GAP


async def test_a_configuration_that_changes_all_the_time_half_of_it_bad_is_not_felt() -> None:
    async with scene("reload", {"upstream": PATIENT}) as it, it.recording():
        good = json.loads(it.proxy.config_path.read_text())
        for number in range(6):
            before = await it.ready()
            if number % 2:
                it.proxy.config_path.write_text("upstream: {url: [")
                while not (await it.ready())["config"]["errors"]:
                    await asyncio.sleep(0.02)
            else:
                it.proxy.write_config({**good, "filters": {"ip": {"block": [f"203.0.113.{number}"]}}})
                while (await it.ready())["generation"] == before["generation"]:
                    await asyncio.sleep(0.02)
            await it.more_delivered(5)
        assert not it.journal.retries


async def test_another_upstream_by_reload_while_the_first_is_gone_takes_what_was_kept() -> None:
    async with scene("moved by reload") as it, it.recording():
        whole = json.loads(it.proxy.config_path.read_text())
        await it.link.set(Fault.REFUSE)
        await it.more_retried(5)
        it.proxy.write_config({**whole, "upstream": {**whole["upstream"], "url": it.upstream.url}})
        await it.more_delivered(20)
