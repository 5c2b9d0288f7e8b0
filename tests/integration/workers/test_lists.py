"""Lists that change at run time: in force on every worker when the answer comes, and soon on every instance of one Redis."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp

from support.proxy import RunningProxy, running_proxy
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer
from support.workers import POLL, counted, fresh_connections, pids, running_workers, shared

PAGE = {"OrgId": "o-1", "UserId": "", "Url": "https://example.com/"}


async def change(http: aiohttp.ClientSession, proxy: RunningProxy, **wish: Any) -> dict[str, Any]:
    async with http.post(f"{proxy.admin_url}/api/lists/deleting_user", json=wish) as response:
        assert response.status == 200, await response.text()
        found: dict[str, Any] = await response.json()
        return found


async def codes(http: aiohttp.ClientSession, proxy: RunningProxy, uid: str, times: int = 1) -> set[int | None]:
    """What pages of a user get, each over a connection of its own."""
    found = set()
    for number in range(times):
        page = {**PAGE, "AppId": uid, "SessionId": f"{uid}-{number}", "PageId": f"p-{uid}-{number}"}
        async with http.post(f"{proxy.url}/rec/page", data=json.dumps(page)) as response:
            found.add((await response.json(content_type=None)).get("reason_code"))
    return found


async def test_all_workers_at_once_and_other_instances_soon(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    one_process = {**shared(upstream.url, valkey), "workers": 1}
    async with (
        fresh_connections() as http,
        running_workers(shared(upstream.url, valkey), tmp_path) as workers,
        running_proxy(one_process) as other,
    ):
        session = "/rec/bundle/v2?OrgId=o-1&SessionId=ann-0&UserId=&PageId=q&Seq=1"
        assert await codes(http, other, "ann") == {None}
        answer = await change(http, workers, add=["ann"], **{"for": "1h"})
        assert (answer["added"], answer["count"], answer["not_kept"]) == (1, 1, None)
        assert answer["workers"] == {"configured": 2, "answered": 2}
        assert await codes(http, workers, "ann", 12) == {12}
        for _ in range(6):  # of a session that another instance has seen
            async with http.post(workers.url + session, data=b'{"Seq":1,"When":0,"Evts":[]}') as response:
                assert (response.status, (await response.json(content_type=None))["reason_code"]) == (202, 12)
        async with asyncio.timeout(60):
            while await codes(http, other, "ann") != {12}:
                await asyncio.sleep(POLL)
        assert await counted(http, workers, 'fsproxy_run_time_list_entries{list="deleting_user"}') == 1
        async with http.get(f"{workers.admin_url}/api/config") as response:
            assert [each["count"] for each in (await response.json())["lists"]] == [1]
        assert (await change(http, other, remove=["ann"]))["removed"] == 1
        async with asyncio.timeout(60):
            while await codes(http, workers, "ann", 6) != {None}:
                await asyncio.sleep(POLL)

        valkey.kill()
        answer = await change(http, workers, add=["ben"], **{"for": "1h"})
        assert answer["not_kept"].startswith("Redis does not answer")
        assert await codes(http, workers, "ben", 12) == {12}
        before = await pids(http, workers)
        os.kill(before["1"], signal.SIGKILL)
        async with asyncio.timeout(60):
            while (await pids(http, workers)).get("1", before["1"]) == before["1"]:
                await asyncio.sleep(POLL)
            # The one in its place has it from the other one, a moment after it listens.
            while await codes(http, workers, "ben", 12) != {12}:
                await asyncio.sleep(POLL)
        valkey.start()
        async with asyncio.timeout(60):
            while await codes(http, other, "ben") != {12}:
                await asyncio.sleep(POLL)
