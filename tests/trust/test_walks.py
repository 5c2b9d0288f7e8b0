"""The walks of docs/how-to and docs/guide: what they show in a terminal is what the program prints."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import aiohttp
import pytest
import pytest_asyncio

from fsproxy.clock import now as wall_clock
from fsproxy.config.vendor.relay import relay_to_yaml
from fsproxy.core.reasons import ReasonCode
from fsproxy.demo.curl import curl_lines
from fsproxy.state.sqlite.schema import STEPS
from support.detour import Detour
from support.operators_page import chromium, opened
from support.ports import free_ports
from support.raw_http import Scripted, scripted
from support.rig import page
from support.upstream import RecordingUpstream
from support.valkey import running_valkey
from support.walk import Walk, part_of, steps, walk, yaml_of

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

CODES = "how-to/reason-codes.md"
PAGE = {"OrgId": "o-SHOP-na1", "SessionId": "5d1c2f0a-0b7e-4d0e-9c39-6a2f7d1b8e01", "Url": "https://www.example.com/"}
BLOCKED: Mapping[ReasonCode, tuple[dict[str, Any], dict[str, str]]] = {
    ReasonCode.UNSPECIFIED: ({"AppId": "uid-5678"}, {}),
    ReasonCode.ACCOUNT_DOES_NOT_EXIST: ({"OrgId": "o-TYPO-na1"}, {}),
    ReasonCode.ACCOUNT_DISABLED: ({"OrgId": "o-OLD-na1"}, {}),
    ReasonCode.OVER_QUOTA: ({"OrgId": "o-SMALL-na1"}, {}),
    ReasonCode.DOMAIN_FILTER: ({"Url": "https://staging.example.com/"}, {}),
    ReasonCode.IP_FILTER: ({}, {"X-Forwarded-For": "203.0.113.9"}),
    ReasonCode.USER_AGENT: ({}, {"User-Agent": "Mozilla/5.0 (compatible; YandexBot/3.0)"}),
    ReasonCode.GEOGRAPHY: ({}, {"CF-IPCountry": "AQ"}),
    ReasonCode.TRAFFIC_RAMPING: ({"OrgId": "o-BETA-na1", "UserId": "1c7e42d0"}, {}),
    ReasonCode.INVALID_URL: ({"Url": "file:///C:/index.html"}, {}),
    ReasonCode.OPT_OUT_COOKIE: ({}, {"Cookie": "fs_optout=1"}),
    ReasonCode.INVALID_DATA_CAPTURE_SCRIPT: ({"CompiledTimestamp": 1_661_778_047}, {}),
    ReasonCode.USER_ACTIVELY_BEING_DELETED: ({"AppId": "uid-1234"}, {}),
}


async def send(walk: Walk, request_id: str, headers: Mapping[str, str], **fields: Any) -> int:
    """Send a page as a browser does, through a balancer that gives it an id; return the reason code, 0: captured."""
    body = page(**{**PAGE, "PageId": str(uuid5(NAMESPACE_URL, request_id)), **fields})
    whole = {"Origin": "https://www.example.com", "User-Agent": "Mozilla/5.0", "X-Forwarded-For": "198.51.100.77"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{walk.proxy.url}/rec/page",
            data=json.dumps(body),
            headers={**whole, "X-Request-Id": request_id, **headers},
        ) as response,
    ):
        answer = await response.json(content_type=None)
        return int(answer["reason_code"]) if response.status == 202 else 0


def headings(name: str) -> list[str]:
    return [f"## {title}" for title in re.findall(r"^## (.+)$", part_of(name, ""), re.MULTILINE)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def every_code() -> AsyncIterator[Walk]:
    async with (
        RecordingUpstream() as upstream,
        walk(CODES, yaml_of(CODES), int(upstream.url.rpartition(":")[2])) as running,
    ):
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser | None]:
    """One for all walks; None where there is none, but in CI."""
    if os.environ.get("CI") is None and shutil.which("chromium") is None:
        yield None
        return
    async with chromium() as running:
        yield running


async def test_there_is_a_walk_for_every_code() -> None:
    wanted = [f"## {code.value} {code.text}" for code in ReasonCode]
    assert [each for each in headings(CODES) if each[3] in "-0123456789"] == wanted
    links = re.findall(r"^\| \[(-?\d+)\]", part_of(CODES, ""), re.MULTILINE)
    assert links == [str(code.value) for code in ReasonCode]


@pytest.mark.parametrize("code", ReasonCode, ids=lambda code: code.text)
async def test_from_a_reason_code_to_its_cause(every_code: Walk, code: ReasonCode) -> None:
    heading = f"## {code.value} {code.text}"
    first, *_ = steps(CODES, heading)
    fields, headers = BLOCKED[code]
    if code is ReasonCode.OVER_QUOTA:
        assert await send(every_code, "before-it", {}, **fields, SessionId="another") == 0
    assert await send(every_code, first.command.split()[2], headers, **fields) == code
    await every_code.go(heading)


@pytest.mark.slow
async def test_from_a_reason_code_to_its_cause_on_the_page(every_code: Walk, browser: Browser | None) -> None:
    if browser is None:
        pytest.skip("no chromium")
    async with opened(browser, every_code.proxy.admin_url) as page:
        for code in ReasonCode:
            first, *_ = steps(CODES, f"## {code.value} {code.text}")
            shown = dict(re.findall(r"^  (\w+): +(.*)$", first.shown, re.MULTILINE))
            fields, headers = BLOCKED[code]
            if code is ReasonCode.OVER_QUOTA:
                await send(every_code, "before-that", {}, **fields, SessionId="another")
            assert await send(every_code, f"seen{code.value}", headers, **fields) == code
            await page.get_by_role("searchbox", name="Search").fill(f"seen{code.value}")
            row = page.locator(f'.decisions tbody tr[data-v="seen{code.value}"]')
            await row.wait_for()
            await row.dispatch_event("click")
            story = page.get_by_role("dialog", name=f"Blocked: {code.value} {code.text}")
            await story.wait_for()
            told = " ".join((await story.inner_text()).split())
            assert shown["rule"].partition(" (filter")[0] in told
            assert shown["meaning"] in told
            await page.keyboard.press("Escape")


async def test_from_a_session_to_the_rule_and_the_change_that_lets_it_in(browser: Browser | None) -> None:
    async with walk("how-to/session-blocked.md", None) as it:
        await it.go()
        await it.look(browser, search=next(iter(it.ids.values())))


async def test_the_tour() -> None:
    async with walk("guide/tour.md", None) as it:
        await it.go()


async def test_the_readme() -> None:
    async with walk("../README.md", None) as it:
        first, *_ = steps("../README.md")
        it.ids[first.command.split()[2]] = await blocked_by_the_demo(it)
        await it.go()


async def blocked_by_the_demo(it: Walk) -> str:
    """The id of the second request that the demo proposes."""
    printed = await it.run(curl_lines(it.proxy.port)[1])
    return re.findall(r"X-Request-Id: (\S+)", printed)[0]


async def test_from_a_missing_property_to_its_name(browser: Browser | None) -> None:
    async with walk("how-to/property-missing.md", None) as it:
        await it.go()
        await it.look(browser, search="6f1f2b7e-52a4-4b0e-9d0a-3f0f6c1d2e01")


async def test_limits_are_chosen_and_changed() -> None:
    page = "how-to/limits.md"
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        await it.go()


FAILURES = "how-to/failures.md"
PLAIN = 'upstream: {url: "http://127.0.0.1:9000"}\nstate: {persist: null}\n'
NONE: dict[str, str] = {}


async def test_a_dead_upstream_is_found(browser: Browser | None) -> None:
    (nobody,) = free_ports(1)
    async with walk(FAILURES, PLAIN + "mode: enforce\n", nobody) as it:
        assert await send(it, "2f6d81c0a3e7-1", NONE) == 0
        await it.go("## The upstream is dead")
        await it.look(browser, "## The upstream is dead")


async def test_a_lost_redis_is_found(browser: Browser | None) -> None:
    config = PLAIN.replace("persist: null", 'backend: redis, redis: {url: "redis://127.0.0.1:6379/0", timeout: 10s}')
    with running_valkey(maxmemory="100mb", maxmemory_policy="noeviction") as valkey:
        port = {"127.0.0.1:6379": f"127.0.0.1:{valkey.port}"}
        async with RecordingUpstream() as upstream, walk(FAILURES, config, port_of(upstream), **port) as it:
            assert await send(it, "before-it", NONE, SessionId="another") == 0
            while '"used": null' in await it.run("curl -s http://127.0.0.1:8081/readyz"):
                await asyncio.sleep(0.1)
            valkey.kill()
            assert await send(it, "2f6d81c0a3e7-2", NONE) == 0
            *lost, back = steps(FAILURES, "## Redis is lost")
            for step in lost:
                await it.take(step)
            await it.look(browser, "## Redis is lost")
            valkey.start()
            await it.take(back)


async def test_a_loop_is_found(browser: Browser | None) -> None:
    detour = Detour()
    async with scripted(detour.serve) as back, walk(FAILURES, PLAIN, port_of(back)) as it:
        detour.port = it.proxy.port
        assert await send(it, "2f6d81c0a3e7-3", NONE) == 0
        await it.go("## A loop")
        await it.look(browser, "## A loop")


async def test_a_refused_reload_is_found(browser: Browser | None) -> None:
    page = "how-to/reload.md"
    async with RecordingUpstream() as upstream, walk(page, PLAIN, port_of(upstream)) as it:
        ends = it.proxy.config_path.read_text().splitlines(keepends=True)[2:]
        it.proxy.config_path.write_text(it.here(yaml_of(page)) + "".join(ends))
        *_, mend, again = found = list(steps(page))
        for step in found[:-2]:
            await it.take(step)
        await it.look(browser)
        await it.take(mend)
        await it.take(again)


async def test_a_newer_versions_state_is_kept_aside_and_taken_up_on_the_way_forward() -> None:
    page = "how-to/upgrade.md"
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        file, options = it.proxy.folder / "fsproxy.sqlite", ("--config", str(it.proxy.config_path))
        assert await send(it, "before-it", NONE) == 0
        await it.proxy.stop()
        set_versions(file, 9)
        await it.proxy.start_again(*options)
        *found, forward = list(steps(page))
        for step in found:
            await it.take(step)
        await it.proxy.stop()
        (aside,) = file.parent.glob("*.v9")
        set_versions(aside.rename(aside.with_suffix(f".v{len(STEPS)}")), len(STEPS))
        await it.proxy.start_again(*options)
        await it.take(forward)


def set_versions(file: Path, version: int) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE fsproxy_schema SET version = ?, newest = ?", (version, version))
        connection.commit()


async def test_a_balancer_that_is_not_trusted_is_found(browser: Browser | None) -> None:
    page = "how-to/trusted-proxies.md"
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        for number in range(101):
            await send(it, f"n-{number}", NONE, SessionId=f"s-{number}")
        await it.go()
        await it.look(browser)


async def test_a_balancer_on_layer_4_names_its_clients() -> None:
    page = "how-to/proxy-protocol.md"
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        await it.go()


async def test_a_plan_is_learned_tried_and_enforced(browser: Browser | None) -> None:
    page = "how-to/plan.md"
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        found = list(steps(page))
        for step in found[:-7]:
            await it.take(step)
        await it.look(browser)
        for step in found[-7:]:
            await it.take(step)


async def test_the_kill_switch_keeps_privacy_on() -> None:
    page = "how-to/kill-switch.md"
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        await it.go()


@pytest.mark.parametrize("page", ["how-to/robots.md", "how-to/rules-by-page.md", "how-to/shared-rules.md"])
async def test_rules_do_what_the_page_says(page: str) -> None:
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        await it.go()


async def test_one_line_of_three_blocked_pages_is_written() -> None:
    page = "how-to/audit-volume.md"
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        while wall_clock() % 60 > 40:  # all within one minute
            await asyncio.sleep(0.5)
        await it.go()


async def test_a_user_is_deleted_at_once_and_an_address_blocked_for_a_day(browser: Browser | None) -> None:
    page = "how-to/lists.md"
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        *found, remove, again = list(steps(page))
        for step in found:
            await it.take(step)
        await it.look(browser)
        await it.take(remove)
        await it.take(again)


async def test_personal_data_is_found_counted_and_masked(browser: Browser | None) -> None:
    page = "how-to/redact.md"
    async with RecordingUpstream() as upstream, walk(page, yaml_of(page), port_of(upstream)) as it:
        *found, enforce, loaded, again, told = list(steps(page))
        for step in found:
            await it.take(step)
        await it.look(browser)
        for step in (enforce, loaded, again, told):
            await it.take(step)
        bodies = [each.body.decode() for each in upstream.received]
    said = re.findall(r"`([^`\n]*(?:[*]{3}|called)[^`\n]*)`", part_of(page, ""))
    assert len(said) == 3
    assert [each for each in said if each.replace('"', '\\"') not in bodies[-1] and each not in bodies[-1]] == []
    assert "ann@example.com" in bodies[0]


async def test_a_configuration_of_the_relay_moves_in_and_runs() -> None:
    page = "how-to/moving-from-relay.md"
    relay = yaml_of(page)
    made, _ = relay_to_yaml(relay, "relay.yaml", {"TRAFFIC_RELAY_TARGET": "http://127.0.0.1:9000"})
    # The walk has a port of its own.
    config = "".join(line for line in made.splitlines(keepends=True) if not line.startswith("listen:"))
    async with (
        RecordingUpstream() as upstream,
        walk(page, config + "state: {persist: null}\n", port_of(upstream)) as it,
    ):
        (it.proxy.folder / "relay.yaml").write_text(relay)
        await it.go()
        received = upstream.only()
        assert (received.target, received.value("Origin")) == ("/rec/page", "http://www.example.com")
        assert json.loads(received.body)["Url"] == "https://shop.example.com/from/**********?q="


def port_of(server: RecordingUpstream | Scripted) -> int:
    return int(server.url.rpartition(":")[2])
