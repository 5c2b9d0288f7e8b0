"""All of it in one run; and what comes again because of it counts once."""

from __future__ import annotations

import asyncio
import json
from random import Random

import pytest

from integration.faults.scene import scene
from support.faulty_link import Fault
from support.valkey import running_valkey

LINKS = (Fault.REFUSE, Fault.RESET, Fault.LOSE_ANSWER, Fault.CUT, Fault.HANG, Fault.GARBAGE)
STEPS = ("link", "link", "store", "good reload", "bad reload", "kill", "take over")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_everything_in_the_middle_of_everything_ends_no_recording(seed: int) -> None:
    chances = Random(seed)
    with running_valkey() as valkey:
        state = {"backend": "redis", "redis": {"url": valkey.url, "timeout": "100ms"}}
        async with scene(f"everything {seed}", {"state": state}) as it:
            good = json.loads(it.proxy.config_path.read_text())
            async with it.recording(refused=frozenset({None, 502, 503, 504})):
                for step in chances.sample(STEPS, k=len(STEPS)):
                    match step:
                        case "link":
                            await it.break_link(chances.choice(LINKS), 3)
                        case "store":
                            valkey.kill()
                            await it.more_delivered(5)
                            valkey.start()
                        case "good reload":
                            it.proxy.write_config({**good, "filters": {"ip": {"block": ["203.0.113.0/24"]}}})
                        case "bad reload":
                            it.proxy.config_path.write_text("upstream: {url: [")
                            await it.until(lambda: "configuration is not used" in it.proxy.log_text())
                            it.proxy.write_config(good)
                        case "kill":
                            await it.proxy.kill()
                            await it.proxy.start_again()
                        case "take over":
                            await it.proxy.start_again("--take-over")
                    await it.more_delivered(5)


MANY, CALLS = 30, 6
"""Bundles, and valid calls in each: two of three are events."""


async def test_calls_that_come_again_after_an_outage_are_neither_counted_twice_nor_cut() -> None:
    """A session may make as many calls as it does: half of its events counted twice would cost others."""
    most = f"{MANY * CALLS}/h"
    config = {"client_api": {"rate": {"event": [most], "user": [most]}}}
    async with scene("repeats", config) as it:
        recorder = it.recorder(1, calls=CALLS, leaves=0.0)
        async with asyncio.TaskGroup() as group:
            visit = group.create_task(recorder.visit(MANY))
            for _ in range(4):
                await it.more_delivered(2)
                await it.break_link(Fault.LOSE_ANSWER, 4)
        assert visit.result()
        await recorder.finish()
        assert it.journal.retries[502] >= 10
        await it.check()
