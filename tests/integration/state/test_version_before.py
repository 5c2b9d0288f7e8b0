"""An upgrade from the version before, and a rollback to it: nobody's capture, and no limit, notices."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from fsproxy.cli import main
from support.proxy import RunningProxy, running_proxy
from support.upstream import RecordingUpstream
from support.valkey import running_valkey
from support.version_before import unpacked

ORG, OTHER = "o-1", "o-2"
NAMES = 2


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("before"))


def config(upstream: RecordingUpstream, state: dict[str, Any], share: str = "100%") -> dict[str, Any]:
    return {
        "upstream": {"url": upstream.url},
        "filters": {"quota": {"sessions": 3}},
        "client_api": {"cardinality": {"event_names": NAMES}},
        "orgs": {"listed": {ORG: {}, OTHER: {"filters": {"quota": {"sessions": None}, "ramping": {"share": share}}}}},
        "state": state,
    }


async def visit(http: aiohttp.ClientSession, proxy: RunningProxy, session: str, **facts: str) -> int | None:
    """A page; the reason code that it was blocked with, None when it was captured."""
    page = {"OrgId": ORG, "UserId": "", "SessionId": session, "PageId": f"p-{session}", "Url": "https://example.com/"}
    async with http.post(f"{proxy.url}/rec/page", data=json.dumps(page | facts)) as response:
        answer = await response.json(content_type=None)
        assert response.status in {200, 202}
        code: int | None = answer.get("reason_code")
        return code


async def event(http: aiohttp.ClientSession, proxy: RunningProxy, name: str) -> int:
    """The status that a direct call with an event of this name gets."""
    call = {"name": name, "properties": {}}
    async with http.post(f"{proxy.url}/client/event?OrgId={ORG}&SessionId=s1", data=json.dumps(call)) as response:
        return response.status


async def list_user(http: aiohttp.ClientSession, proxy: RunningProxy, uid: str) -> None:
    wish = {"add": [uid], "for": "1h"}
    async with http.post(f"{proxy.admin_url}/api/lists/deleting_user", json=wish) as response:
        assert response.status == 200
        assert (await response.json())["not_kept"] is None


async def remember(http: aiohttp.ClientSession, proxy: RunningProxy) -> None:
    """Leave something of each kind of state that outlives a restart."""
    assert [await visit(http, proxy, name) for name in ("s1", "s2")] == [None, None]
    assert await visit(http, proxy, "s-in", OrgId=OTHER, UserId="visitor") is None
    assert [await event(http, proxy, name) for name in ("Bought", "Sold", "Lent")] == [200, 200, 400]
    await list_user(http, proxy, "ann")


async def check(http: aiohttp.ClientSession, proxy: RunningProxy) -> None:
    """See that what ``remember`` left is known, with one unit of the quota spent since."""
    assert await visit(http, proxy, "s1") is None
    assert await visit(http, proxy, "s3") is None
    assert await visit(http, proxy, "s4") == 3
    assert await visit(http, proxy, "s-in", OrgId=OTHER, UserId="visitor") is None
    assert await visit(http, proxy, "s5", AppId="ann") == 12
    assert [await event(http, proxy, name) for name in ("Bought", "Lent")] == [200, 400]


async def test_the_state_file_survives_an_upgrade_and_a_rollback(
    upstream: RecordingUpstream, before: Path, tmp_path: Path
) -> None:
    state = {"persist": {"path": str(tmp_path / "fsproxy.sqlite"), "every": "100ms"}}
    old = {"PYTHONPATH": str(before)}
    async with aiohttp.ClientSession() as http:
        async with running_proxy(config(upstream, state), old) as proxy:
            await remember(http, proxy)
        # The visitor was let in once, so that a smaller share does not end that (rules.md 1).
        async with running_proxy(config(upstream, state, "0%")) as proxy:
            await check(http, proxy)
        async with running_proxy(config(upstream, state, "0%"), old) as proxy:
            # The version before serves, whatever it makes of the file.
            assert await visit(http, proxy, "s1") in {None, 3}
        async with running_proxy(config(upstream, state, "0%")) as proxy:
            assert await visit(http, proxy, "s5", AppId="ann") == 12
            assert await visit(http, proxy, "s4") == 3
            assert await visit(http, proxy, "s-in", OrgId=OTHER, UserId="visitor") is None


async def test_both_versions_count_in_one_redis_during_a_rolling_upgrade(
    upstream: RecordingUpstream, before: Path
) -> None:
    with running_valkey() as valkey:
        await one_redis(upstream, before, {"backend": "redis", "redis": {"url": valkey.url}})


async def one_redis(upstream: RecordingUpstream, before: Path, state: dict[str, Any]) -> None:
    async with (
        aiohttp.ClientSession() as http,
        running_proxy(config(upstream, state), {"PYTHONPATH": str(before)}) as older,
        running_proxy(config(upstream, state, "0%")) as newer,
    ):
        await remember(http, older)
        async with asyncio.timeout(60):
            while await visit(http, newer, "s-ann", AppId="ann", OrgId=OTHER, UserId="ann") != 12:
                await asyncio.sleep(0.05)
        await check(http, newer)
        assert await visit(http, older, "s3") is None
        assert await visit(http, older, "s6") == 3
        await list_user(http, newer, "bob")
        async with asyncio.timeout(60):
            while await visit(http, older, "s-bob", AppId="bob", OrgId=OTHER, UserId="bob") != 12:
                await asyncio.sleep(0.05)


def test_the_configuration_of_the_version_before_is_taken(before: Path) -> None:
    result = CliRunner().invoke(main, ["check", "--no-host", str(before / "config" / "fsproxy.yaml")])
    assert result.exit_code == 0, result.output
