"""The configuration is swapped while requests go on: none fails, and none is decided by two configurations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from support import swaps
from support.proxy import POLL
from support.rig import Rig, running_rig

SWAPS = 30
VISITORS = 4
HEADERS = {"Origin": f"https://{swaps.HOST}", "X-Forwarded-For": swaps.ADDRESS, "User-Agent": swaps.AGENT}


def write(rig: Rig, sections: Mapping[str, Any] | str) -> None:
    if isinstance(sections, str):
        new = rig.proxy.config_path.with_suffix(".new")
        new.write_text(sections)
        new.replace(rig.proxy.config_path)
    else:
        rig.proxy.write_config({**sections, "upstream": {"url": rig.upstream.url, "page_retry": "1ms"}})


async def reloaded(rig: Rig, generation: int, *, faulty: bool) -> None:
    """Waits until what was written last is known, and that this generation judges."""
    async with asyncio.timeout(120):
        while True:
            body = json.loads((await rig.admin("/readyz"))[1])
            if body["generation"] == generation and bool(body["config"]["errors"]) is faulty:
                return
            await asyncio.sleep(POLL)


async def visits(rig: Rig, visitor: int, done: asyncio.Event) -> set[tuple[int, int, int]]:
    """Pages that are blocked, and pages and bundles that are not, one after the other; their statuses."""
    found = set()
    number = 0
    while not done.is_set():
        number += 1
        ids = {"PageId": f"p-{visitor}-{number}", "SessionId": f"s-{visitor}-{number}"}
        fields = {"Url": f"https://{swaps.HOST}/", **ids}
        blocked = await rig.page(HEADERS, OrgId=swaps.BLOCKED, **fields)
        passed = await rig.page(HEADERS, OrgId=swaps.SHADOWED, **fields)
        upload = await rig.bundle(HEADERS, OrgId=swaps.SHADOWED, **ids)
        found.add((blocked.status, passed.status, upload.status))
    return found


async def test_no_request_fails_and_none_is_decided_by_two_configurations() -> None:
    async with running_rig(swaps.good(0)) as rig:
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(visits(rig, visitor, done)) for visitor in range(VISITORS)]
            swap_of = {1: 0}
            for number in range(1, SWAPS + 1):
                if number % 2:
                    write(rig, swaps.good(number))
                    swap_of[len(swap_of) + 1] = number
                else:
                    write(rig, swaps.bad(number // 2))
                await reloaded(rig, len(swap_of), faulty=number % 2 == 0)
            done.set()
        assert [each.result() for each in running] == [{(202, 200, 200)}] * VISITORS
        lines = await rig.proxy.audit(len(rig.sent))
    assert sorted(line["http.request.id"] for line in lines) == sorted(rig.sent)
    assert swaps.faults(lines, swap_of) == []
    assert len({line["fsproxy.generation"] for line in lines}) > SWAPS // 4
