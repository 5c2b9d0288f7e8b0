"""The upstream fails in every way; recorders retry on the 502 that they are told, and nothing is lost by it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import pytest

from integration.faults.scene import PATIENT, QUICK, scene
from support.faulty_link import Fault

KEEPS_ALIVE = {502, None}
"""What an upload may be told while the upstream is down; None: its answer was cut, and so was the connection."""
BREAKS = (
    Fault.REFUSE,
    Fault.RESET_AT_ONCE,
    Fault.RESET,
    Fault.LOSE_ANSWER,
    Fault.CUT,
    Fault.RESET_IN_ANSWER,
    Fault.HANG,
    Fault.GARBAGE,
)


@pytest.mark.parametrize("fault", BREAKS)
async def test_an_upstream_that_fails_ends_no_recording_and_loses_nothing(fault: Fault) -> None:
    async with scene(fault) as it, it.recording(refused=frozenset({502, 504, None})):
        for _ in range(2):
            await it.break_link(fault)
            await it.more_delivered(10)
        assert set(it.journal.retries) <= KEEPS_ALIVE
        if fault is not Fault.LOSE_ANSWER:
            assert it.journal.retries.total()


async def test_a_page_waits_for_an_upstream_that_refuses_and_is_recorded_after_all() -> None:
    async with scene("page_retry") as it, it.recording():
        await it.break_link(Fault.REFUSE, 10)
        await it.more_delivered(10)


async def test_a_slow_upstream_costs_neither_a_page_nor_an_upload() -> None:
    async with scene("slow", {"upstream": PATIENT}) as it, it.recording():
        await it.break_link(Fault.SLOW, 60)
        assert not it.journal.retries


@pytest.mark.parametrize("mode", ["enforce", "shadow", "bypass"])
async def test_an_upstream_that_flaps_in_every_way_ends_no_recording(mode: str) -> None:
    """Bodies are streamed under bypass, and go on as they are in all modes but the first."""
    chances = Random(mode)
    config = {"mode": mode, "upstream": {**QUICK, "max_connections": 4}}
    async with scene(f"flapping {mode}", config) as it:
        it.arrivals.cleaned = mode == "enforce"
        async with it.recording(refused=frozenset({502, 503, 504, None})):
            for fault in chances.sample((*BREAKS, Fault.SLOW), k=6):
                await it.break_link(fault, chances.randrange(1, 6))
                await it.more_delivered(chances.randrange(1, 10))
            assert set(it.journal.retries) <= KEEPS_ALIVE


async def test_a_proxy_that_has_too_many_connections_tells_uploads_to_come_again() -> None:
    """Each recorder holds a connection; beyond a tenth over the limit they are dropped."""
    config = {"server": {"max_connections": 12}}
    async with scene("overload", config) as it, it.recording(recorders=10, refused=frozenset({503, None})):
        idle = []
        for _ in range(8):
            with suppress(OSError):  # it may be one of those that are dropped
                idle.append((await asyncio.open_connection("127.0.0.1", it.proxy.port))[1])
        await it.more_retried(20)
        for each in idle:
            each.close()
        await it.more_delivered(20)
        assert set(it.journal.retries) <= KEEPS_ALIVE
