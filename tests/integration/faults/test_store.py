"""The shared store is lost, restarted, or slow in the middle: the limits may rest, recordings do not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from integration.faults.scene import PATIENT, Scene, scene
from support.valkey import DelayingProxy, ValkeyServer, running_valkey


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


def over(url: str) -> dict[str, Any]:
    """A quota that is never reached, so that pages ask the store as well."""
    state = {"backend": "redis", "redis": {"url": url, "timeout": "100ms"}}
    return {"upstream": PATIENT, "state": state, "filters": {"quota": {"sessions": 1_000_000}}}


DOWN = re.compile(r"(?<!over: )the store 127.0.0.1:[0-9]+ is down: ")
BACK = re.compile(r"over: the store 127.0.0.1:[0-9]+ is down: ")


def is_told(it: Scene, what: re.Pattern[str]) -> bool:
    """Whether the log says so."""
    return what.search(it.proxy.log_text()) is not None


async def test_a_store_that_is_killed_and_starts_empty_is_not_felt(valkey: ValkeyServer) -> None:
    async with scene("store killed", over(valkey.url)) as it, it.recording():
        for _ in range(2):
            valkey.kill()
            await it.until(lambda: is_told(it, DOWN))
            await it.more_delivered(20)
            valkey.start()
            await it.more_delivered(20)
        assert not it.journal.retries


async def test_a_store_that_hangs_is_not_felt(valkey: ValkeyServer) -> None:
    async with scene("store hangs", over(valkey.url)) as it, it.recording():
        valkey.pause()
        await it.until(lambda: is_told(it, DOWN))
        await it.more_delivered(20)
        valkey.resume()
        await it.until(lambda: is_told(it, BACK))
        await it.more_delivered(20)
        assert not it.journal.retries


async def test_a_store_that_is_slow_then_too_slow_is_not_felt(valkey: ValkeyServer) -> None:
    async with DelayingProxy(valkey.port) as slow, scene("store slow", over(slow.url)) as it, it.recording():
        for seconds in (0.01, 0.5, 0.0):
            slow.delay = seconds
            await it.more_delivered(20)
        await it.until(lambda: is_told(it, DOWN))
        await it.until(lambda: is_told(it, BACK))
        assert not it.journal.retries


async def test_a_store_that_is_full_is_not_felt(valkey: ValkeyServer) -> None:
    async with scene("store full", over(valkey.url)) as it, it.recording():
        assert valkey.command("CONFIG", "SET", "maxmemory", "1") == b"+OK\r\n"
        await it.until(lambda: is_told(it, DOWN))
        await it.more_delivered(20)
        assert valkey.command("CONFIG", "SET", "maxmemory", "0") == b"+OK\r\n"
        await it.until(lambda: is_told(it, BACK))
        await it.more_delivered(20)
        assert not it.journal.retries
