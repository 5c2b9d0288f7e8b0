"""Lists that change at run time, on one process: policies know of them only while they have entries."""

from __future__ import annotations

import asyncio
import json

import aiohttp

from fsproxy.clock import now
from fsproxy.core.model import FilterName
from fsproxy.core.run_time_lists import ListChange, entry_of
from fsproxy.proxy.data_plane import DataPlane
from support.in_process import generation, in_process
from support.rig import page
from support.upstream import RecordingUpstream

USERS, IP = FilterName.DELETING_USER, FilterName.IP


async def change(data_plane: DataPlane, name: FilterName, *add: str, remove: str = "", life: float = 60.0) -> None:
    at = now()
    removed = (entry_of(name, remove),) if remove else ()
    added = tuple(entry_of(name, each) for each in add)
    await data_plane.listing.change(ListChange(name, added, removed, at + life, at))


async def test_a_list_without_entries_costs_nothing_and_one_with_entries_alone_what_it_must(
    upstream: RecordingUpstream,
) -> None:
    config = {"upstream": {"url": upstream.url}}
    async with in_process(config) as proxy:
        data_plane = proxy.data_plane
        before = data_plane.generation
        assert not before.run_time
        await change(data_plane, IP, "192.0.2.1")
        assert data_plane.generation.run_time.keys() == {IP}
        assert data_plane.generation.snapshot.default.deleting_user is None, "so no session's uid is asked for"
        with_one = data_plane.generation
        await change(data_plane, IP, "192.0.2.2")
        assert data_plane.generation is with_one, "a further entry is only looked up"
        await change(data_plane, USERS, "ann")
        assert data_plane.generation.snapshot.default.deleting_user is not None
        # A reload that began before knows of neither, and gets both.
        data_plane.apply(generation(config, proxy.base, 2))
        assert (data_plane.generation.number, data_plane.generation.run_time.keys()) == (2, {IP, USERS})
        for name, entry in ((IP, "192.0.2.1"), (IP, "192.0.2.2"), (USERS, "ann")):
            await change(data_plane, name, remove=entry)
        assert not data_plane.generation.run_time
        names = [each.name for each in data_plane.generation.snapshot.default.on_page]
        assert names == [each.name for each in before.snapshot.default.on_page]


async def test_entries_that_end_take_their_list_out_of_the_policies(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy:
        await change(proxy.data_plane, USERS, "ann", life=0.2)
        await proxy.data_plane.listing.start()
        async with asyncio.timeout(60):
            while proxy.data_plane.generation.run_time:
                await asyncio.sleep(0.02)
        assert len(proxy.data_plane.listing.lists) == 0
        await proxy.data_plane.listing.close()


async def test_the_first_user_who_is_listed_under_bypass_is_stopped_too(upstream: RecordingUpstream) -> None:
    async with in_process({"upstream": {"url": upstream.url}}) as proxy, aiohttp.ClientSession() as http:
        proxy.data_plane.bypass(privacy=True)
        statuses = []
        for listed in (False, True):
            if listed:
                await change(proxy.data_plane, USERS, "ann")
                await change(proxy.data_plane, IP, "127.0.0.1")
            for uid in ("ann", "ben"):
                async with http.post(f"{proxy.url}/rec/page", data=json.dumps(page(AppId=uid))) as response:
                    statuses.append(response.status)
        assert statuses == [200, 200, 202, 200], "of the lists, that of users being deleted alone protects visitors"
