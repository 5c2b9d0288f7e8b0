"""All processes of an instance have one name in ``CDN-Loop``, and so has the program that takes it over."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.proxy import running_proxy
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer
from support.workers import fresh_connections, ready, running_workers, shared, visit

MOST_TRIES = 500


def names(upstream: RecordingUpstream) -> set[str | None]:
    """What the requests so far say that they have passed."""
    return {each.value("CDN-Loop") for each in upstream.received}


async def test_workers_share_their_name(upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path) -> None:
    async with running_workers(shared(upstream.url, valkey), tmp_path) as proxy, fresh_connections() as http:
        for number in range(MOST_TRIES):
            await visit(http, proxy, f"s-{number}")
            if len({line["fsproxy.worker"] for line in proxy.audit_lines()}) == 2:
                break
        else:
            pytest.fail("one worker was given all connections")
        (name,) = names(upstream)
        assert name == (await ready(http, proxy))["passage"]
    async with running_proxy({"upstream": {"url": upstream.url}}) as another, fresh_connections() as http:
        await visit(http, another, "s-1")
        assert len(names(upstream)) == 2, "another instance has a name of its own"


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_name_goes_on_with_who_takes_over(
    upstream: RecordingUpstream, valkey: ValkeyServer, workers: int
) -> None:
    async with running_proxy(shared(upstream.url, valkey, workers=workers)) as proxy, fresh_connections() as http:
        await visit(http, proxy, "s-1")
        before = await ready(http, proxy)
        await proxy.start_again("--take-over")
        after = await ready(http, proxy)
        assert after["instance"] != before["instance"]
        await visit(http, proxy, "s-2")
        assert names(upstream) == {before["passage"]} == {after["passage"]}
