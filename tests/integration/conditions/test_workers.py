"""With several workers, a cause is one line of the log each way, which says how many of them have it."""

from __future__ import annotations

from pathlib import Path

from support.told import begun, ended
from support.upstream import RecordingUpstream
from support.valkey import running_valkey
from support.workers import fresh_connections, running_workers, shared, visit


async def test_a_store_that_all_workers_lose_is_told_once_each_way(tmp_path: Path) -> None:
    with running_valkey() as valkey:
        async with (
            RecordingUpstream() as upstream,
            fresh_connections() as http,
            running_workers(shared(upstream.url, valkey), tmp_path) as proxy,
        ):
            for number in range(6):
                assert await visit(http, proxy, f"s-{number}") is None
            valkey.kill()
            line = await begun(proxy, "store")
            assert str(line["fsproxy.more"]).endswith("In 2 of 2 workers.")
            valkey.start()
            await ended(proxy, "store")
