"""Two proxies of two workers each over one Valkey judge as one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer
from support.workers import fresh_connections, running_workers, shared, visit

QUOTA, VISITORS, RUNS = 100, 300, 20


@pytest.mark.slow
async def test_four_processes_admit_exactly_the_quota_however_many_come_at_once(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """Twenty times from an empty store: never one more, never one fewer."""
    config = shared(upstream.url, valkey, filters={"quota": {"sessions": QUOTA}})
    admitted = []
    async with (
        running_workers(config, tmp_path) as one,
        running_workers(config, tmp_path) as other,
        fresh_connections() as http,
    ):
        for run in range(RUNS):
            assert valkey.command("FLUSHALL") == b"+OK\r\n"
            codes = await asyncio.gather(
                *(visit(http, (one, other)[number % 2], f"{run}-{number}") for number in range(VISITORS))
            )
            assert set(codes) == {None, 3}
            admitted.append(codes.count(None))
    assert admitted == [QUOTA] * RUNS
