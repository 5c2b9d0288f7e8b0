"""``fsproxy try`` against a running proxy: what it prints, how it ends, and with which status."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.commands import Command
from support.rig import Rig, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKEN = "s3cret-token"
BLOCKS = {"filters": {"ip": {"block": ["10.0.0.0/8"]}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig({"admin": {"token": TOKEN}}) as running:
        yield running


async def begin(
    rig: Rig, folder: Path, rules: Mapping[str, Any], *options: str, env: Mapping[str, str] | None = None
) -> Command:
    """Try these rules on all traffic."""
    file = folder / "new.yaml"
    admin = {"port": rig.proxy.admin_port, "token": TOKEN}
    file.write_text(json.dumps({"upstream": {"url": rig.upstream.url}, "admin": admin, **rules}))
    return await Command.begin(folder, "try", str(file), "--share", "100%", *options, env=env)


async def state(rig: Rig) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((await rig.admin("/api/try", Authorization=f"Bearer {TOKEN}"))[1])
    return found


async def until(rig: Rig, wanted: str) -> dict[str, Any]:
    async with asyncio.timeout(120):
        while (found := await state(rig))["state"] != wanted:
            await asyncio.sleep(0.05)
    return found


async def test_what_would_change_is_printed_when_it_is_interrupted_and_the_trial_ends(rig: Rig, tmp_path: Path) -> None:
    command = await begin(rig, tmp_path, BLOCKS)
    await until(rig, "running")
    for number in range(6):
        await rig.page({"X-Forwarded-For": f"10.0.0.{number + 1}"})
    await rig.page()
    command.process.send_signal(signal.SIGINT)
    status, out, err = await command.ended()
    assert (status, err) == (3, "")
    head, pages, row, examples, fixed = out.splitlines()
    assert head == "new.yaml, 100% of the traffic: it was stopped"
    assert pages == "7 pages: 6 (85.7 %) change"
    assert " ".join(row.split()) == "6 captured -> 5 IP Filter ip:block:10.0.0.0/8 all from 10.0.0.0/24"
    assert examples.split()[:2] == ["for", "example"]
    assert fixed.startswith("Not tried, as only a restart changes them: ")
    assert (await state(rig))["ended_because"] == "it was stopped"


async def test_without_a_change_the_status_is_0_and_the_document_is_that_of_the_api(rig: Rig, tmp_path: Path) -> None:
    command = await begin(rig, tmp_path, {}, "--for", "2s", "--json")
    await until(rig, "running")
    await rig.page({"X-Forwarded-For": "10.0.0.1"})
    status, out, err = await command.ended()
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found == await state(rig)
    assert (found["pages"], found["changed"], found["ended_because"]) == (1, 0, "its time is over")


async def test_a_document_without_a_judged_request_is_no_success(rig: Rig, tmp_path: Path) -> None:
    status, out, err = await (await begin(rig, tmp_path, BLOCKS, "--for", "1s", "--json")).ended()
    assert (status, json.loads(out)["pages"]) == (1, 0)
    assert "no page and no upload was judged" in err


async def test_lists_and_variables_are_read_where_the_command_runs(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("10.0.0.0/8\n")
    rules = {"filters": {"ip": {"block": ["file:bad.txt", "${BAD}"]}}}
    command = await begin(rig, tmp_path, rules, "--for", "2s", "--json", env={"BAD": "192.0.2.1"})
    await until(rig, "running")
    await rig.page({"X-Forwarded-For": "10.0.0.1"})
    await rig.page({"X-Forwarded-For": "192.0.2.1"})
    status, out, _ = await command.ended()
    assert (status, json.loads(out)["changed"]) == (3, 2)


async def test_a_second_one_is_refused_and_leaves_the_first_alone(rig: Rig, tmp_path: Path) -> None:
    first = await begin(rig, tmp_path, {})
    await until(rig, "running")
    status, out, err = await (await begin(rig, tmp_path, BLOCKS)).ended()
    assert (status, out) == (1, "")
    assert "409: new.yaml is being tried" in err
    assert (await state(rig))["state"] == "running"
    first.process.send_signal(signal.SIGTERM)
    status, out, _ = await first.ended()
    assert (status, out.splitlines()[1]) == (1, "0 pages: none was judged"), (
        "no change was found, as nothing was judged"
    )
    await until(rig, "ended")


async def test_a_fault_is_told_as_check_tells_it(rig: Rig, tmp_path: Path) -> None:
    status, out, err = await (await begin(rig, tmp_path, {"mode": "shaddow"})).ended()
    assert (status, out) == (1, "")
    assert "did you mean shadow" in err
    assert "1 fault was found" in err


async def test_a_fault_that_only_the_proxys_machine_shows_comes_back(rig: Rig, tmp_path: Path) -> None:
    geo = {"filters": {"geo": {"never": ["FR"], "source": {"database": "/nowhere/geo.mmdb", "country": "country"}}}}
    status, out, err = await (await begin(rig, tmp_path, geo)).ended()
    assert (status, out) == (1, "")
    assert "filters.geo.source.database" in err
    assert "the configuration has 1 fault" in err


async def test_a_token_that_no_header_can_carry_is_told(rig: Rig, tmp_path: Path) -> None:
    env = {"FSPROXY_ADMIN_TOKEN": f"{TOKEN}\nX-More: 1"}
    status, out, err = await (await begin(rig, tmp_path, {}, env=env)).ended()
    assert (status, out) == (1, "")
    assert err == "Error: FSPROXY_ADMIN_TOKEN has control characters: a token is a text on one line\n"


@pytest.mark.parametrize("env", [{}, {"FSPROXY_ADMIN_TOKEN": "wrong"}])
async def test_the_token_of_the_file_is_for_its_own_address_alone(
    rig: Rig, tmp_path: Path, env: dict[str, str]
) -> None:
    admin = ("--admin", rig.proxy.admin_url)
    status, _, err = await (await begin(rig, tmp_path, {}, *admin, env=env)).ended()
    assert (status, "401" in err) == (1, True)
    right = {"FSPROXY_ADMIN_TOKEN": f"{TOKEN}\n"}  # as a file of secrets has it
    _, out, err = await (await begin(rig, tmp_path, {}, *admin, "--for", "1s", env=right)).ended()
    assert (out.splitlines()[0], err) == ("new.yaml, 100% of the traffic: its time is over", "")


async def test_a_proxy_that_is_not_there_is_told(rig: Rig, tmp_path: Path) -> None:
    status, _, err = await (await begin(rig, tmp_path, {}, "--admin", "http://127.0.0.1:1")).ended()
    assert (status, "http://127.0.0.1:1 is not reached" in err) == (1, True)


@pytest.mark.parametrize(
    "options",
    [
        ("--for", "0s"),
        ("--for", "2d"),
        ("--for", "x"),
        ("--share", "0%"),
        ("--share", "200%"),
        ("--admin", "nowhere"),
        ("--admin", "http://h/path"),
    ],
)
async def test_what_means_nothing_is_wrong_usage(rig: Rig, tmp_path: Path, options: tuple[str, str]) -> None:
    status, _, err = await (await begin(rig, tmp_path, {}, *options)).ended()
    assert (status, options[0] in err) == (2, True)


async def test_a_reload_ends_it_and_the_command_says_so(rig: Rig, tmp_path: Path) -> None:
    command = await begin(rig, tmp_path, {}, "--json")
    await until(rig, "running")
    rig.proxy.write_config(
        {"upstream": {"url": rig.upstream.url}, "admin": {"token": TOKEN}, "orgs": {"listed": {"o-9": {}}}}
    )
    status, out, _ = await command.ended()
    assert (status, json.loads(out)["ended_because"]) == (1, "another configuration was loaded")


async def test_the_end_of_the_proxy_ends_it_and_the_command_says_so(tmp_path: Path) -> None:
    async with running_rig({"admin": {"token": TOKEN}}) as rig:
        command = await begin(rig, tmp_path, {}, "--json")
        await until(rig, "running")
        rig.upstream.hold()
        page = asyncio.get_running_loop().create_task(rig.page())
        await rig.upstream.arrived()
        rig.proxy.signal(signal.SIGTERM)
        status, out, _ = await command.ended()
        assert (status, json.loads(out)["ended_because"]) == (1, "the program stops")
        rig.upstream.release()
        await page
