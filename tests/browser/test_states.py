"""The page's states: just started, incident, server away, token asked, several workers, a try, a reload held back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.operators_page import PHONE, axe, opened, text, texts
from support.proxy import POLL
from support.rig import JSON, running_rig
from support.upstream import RecordingUpstream
from support.valkey import running_valkey
from support.workers import fresh_connections, pids, running_workers, shared, visit

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROWS = ".decisions tbody tr"


# -- just started


async def test_before_the_first_request_it_says_what_is_ready_or_waited_for_and_how_to_send_one(
    browser: Browser,
) -> None:
    async with running_rig() as own, opened(browser, own.proxy.admin_url) as page:
        await page.get_by_role("heading", name="Ready, and waiting for the first request").wait_for()
        start = await text(page, "#start")
        assert own.upstream.url in start
        assert f"http://127.0.0.1:{own.proxy.port}/rec/page" in start
        assert any(re.match("Blocked \u2013 of pages", each) for each in await texts(page, ".tile"))
        assert (
            await page.locator("#decisions, #traffic, #usage, #errors, #shadow, #trial").locator("visible=true").count()
            == 0
        )
        await own.page(SessionId="the-first-one")
        await page.get_by_text("the-first-one").wait_for()
        waits = json.dumps({"error": "the program is starting: compiling the rules"})
        answer = {"status": 503, "content_type": "application/json", "body": waits}
        await page.route("**/api/status", lambda route: route.fulfill(**answer))
        await page.reload()
        await page.get_by_text("The program is starting: compiling the rules").first.wait_for()
        await page.unroute("**/api/status")
        await page.get_by_text("the-first-one").wait_for()
        assert await page.locator("#start").count() == 0


# -- incident


async def test_when_the_upstream_fails_it_says_so_since_when_and_lists_what_failed(browser: Browser) -> None:
    async with running_rig() as own:
        await own.page()
        await own.upstream.refuse()
        for _ in range(12):
            await own.page()
        async with asyncio.timeout(60):
            while json.loads((await own.admin("/api/status"))[1])["upstream"]["state"] != "failing":
                await asyncio.sleep(POLL)
        async with opened(browser, own.proxy.admin_url) as page:
            await page.locator(".alert.bad").first.wait_for()
            assert re.search(r"since \d\d:\d\d:\d\d UTC", await text(page, "#alerts"))
            assert f":{own.upstream.port}" in await text(page, "#alerts")
            tiles = {each.split()[0]: each for each in await texts(page, ".tile.bad")}
            assert set(tiles) == {"Failed", "Upstream"}
            assert "12 requests" in tiles["Failed"]
            assert "Failing" in tiles["Upstream"]
            await page.wait_for_url("**#outcome=failed")
            assert len(await texts(page, ROWS)) == 12
            assert all(each.startswith("upstream refused") for each in await texts(page, f"{ROWS} .outcome"))
            assert await page.locator("#chart rect.fail").count() >= 1
            assert await axe(page) == []
            await page.get_by_role("button", name=re.compile("^Blocked")).first.click()
            await page.get_by_role("button", name="List the failed").click()
            await page.wait_for_selector(f"{ROWS} .outcome.failed")
        async with opened(browser, own.proxy.admin_url, viewport=PHONE) as phone:
            await phone.locator(".tile.first").wait_for()
            boxes = [await each.bounding_box() for each in await phone.locator(".tile").all()]
            tops = [box["y"] for box in boxes if box is not None]
            assert tops.index(min(tops)) == 5, "the failing one is first"


# -- the server is away


async def test_while_the_server_is_away_what_is_shown_is_dimmed_and_buttons_are_off(browser: Browser) -> None:
    from playwright.async_api import expect

    async with running_rig() as own, opened(browser, own.proxy.admin_url) as page:
        await own.page(SessionId="before")
        await page.get_by_text("before").first.wait_for()
        own.proxy.process.send_signal(signal.SIGSTOP)
        try:
            await page.get_by_text("No answer from the admin port for").first.wait_for()
            await page.locator("main.stale").wait_for()
            await page.get_by_text("What stands below is as of then; buttons are off.").wait_for()
            for name in ("Bypass", "Reload", "Explain"):
                await expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
            grey = "getComputedStyle(document.querySelector('.columns')).filter"
            assert await page.evaluate(grey) == "grayscale(1)"
            assert await axe(page) == []
            assert "before" in await text(page, ROWS), "what was known stays"
            # A try of the page's own gets no answer either; "Try now" gives it up and begins another.
            await page.get_by_text("Trying now.").wait_for()
            async with page.expect_request("**/api/status"):
                await page.get_by_role("button", name="Try now").click()
        finally:
            own.proxy.process.send_signal(signal.SIGCONT)
        # The rows may come to lie under the pointer, and are held then.
        await page.mouse.move(0, 0)
        await page.locator("main:not(.stale)").wait_for()
        await expect(page.get_by_role("button", name="Reload")).to_be_enabled()
        await own.page(SessionId="after")
        await page.get_by_text("after").first.wait_for()


async def test_a_question_that_gets_no_answer_is_given_up_and_asked_again(browser: Browser) -> None:
    async def never(route: Route) -> None:
        """Leave the question open."""

    async with running_rig() as own, opened(browser, own.proxy.admin_url) as page:
        await own.page(SessionId="seen")
        await page.get_by_text("seen").first.wait_for()
        # The first one of a page that is opened.
        await page.route("**/api/status", never, times=1)
        await page.reload()
        await page.get_by_text("seen").first.wait_for()
        # One of those that are asked where there are too many streams.
        full = {"status": 503, "content_type": "application/json", "body": "{}"}
        await page.route("**/api/events", lambda route: route.fulfill(**full))
        await page.reload()
        await page.get_by_text("seen").first.wait_for()
        await page.route("**/api/status", never)
        await page.get_by_text("No answer from the admin port for").first.wait_for()
        await page.unroute("**/api/status")
        await page.locator("main:not(.stale)").wait_for()
        # One of many: the rest of the page goes on.
        await page.unroute("**/api/events")
        await page.route("**/api/usage", never)
        await page.reload()
        await page.get_by_text("seen").first.wait_for()
        await page.get_by_text("Not all of this page could be asked: no answer in time").first.wait_for()
        assert await page.locator("main.stale").count() == 0


# -- the token


async def test_a_token_is_asked_for_and_kept_until_the_tab_is_closed(browser: Browser) -> None:
    async with running_rig({"admin": {"token": "right"}}) as own, opened(browser, own.proxy.admin_url) as page:
        await own.page()
        await page.get_by_role("textbox", name="Token").fill("wrong")
        await page.keyboard.press("Enter")
        await page.get_by_text("This is not the token.").wait_for()
        assert await page.get_by_role("textbox", name="Token").get_attribute("aria-invalid") == "true"
        assert await page.evaluate("document.activeElement.id") == "token"
        assert not await page.locator("#traffic, #controls").locator("visible=true").count()
        await page.get_by_role("textbox", name="Token").fill("right")
        await page.keyboard.press("Enter")
        await page.locator(ROWS).first.wait_for()
        await page.reload()
        await page.locator(ROWS).first.wait_for()
        assert "right" not in page.url
        assert await page.evaluate("[JSON.stringify(localStorage), document.cookie]") == ["{}", ""]
        other = await page.context.new_page()
        await other.goto(own.proxy.admin_url + "/")
        await other.get_by_role("textbox", name="Token").wait_for()


async def test_with_the_read_only_token_everything_is_shown_and_the_switches_are_off(browser: Browser) -> None:
    from playwright.async_api import expect

    tokens = {"token": "whole", "read_token": "reader"}
    async with running_rig({"admin": tokens}) as own, opened(browser, own.proxy.admin_url) as page:
        may = {}
        for token in tokens.values():
            _, told = await own.admin("/api/status", Authorization=f"Bearer {token}")
            may[token] = json.loads(told)["may_change"]
        assert may == {"whole": True, "reader": False}
        await own.page()
        await page.get_by_role("textbox", name="Token").fill("reader")
        await page.keyboard.press("Enter")
        await page.locator(ROWS).first.wait_for()
        for name in ("Bypass", "Reload"):
            await expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
        await page.locator("#ask [name=url]").fill("https://www.example.com/")
        await page.get_by_role("button", name="Explain", exact=True).click()
        await page.get_by_text("✓ Captured").wait_for()


# -- several workers


async def test_it_shows_several_workers_as_one_and_says_when_one_is_missing(browser: Browser, tmp_path: Path) -> None:
    from playwright.async_api import expect

    with running_valkey() as valkey:
        async with (
            RecordingUpstream() as upstream,
            running_workers(shared(upstream.url, valkey, filters={"quota": {"sessions": 40}}), tmp_path) as proxy,
            fresh_connections() as http,
            opened(browser, proxy.admin_url, "#outcome=all") as page,
        ):
            for number in range(35):
                assert await visit(http, proxy, f"s-{number}") is None
            await expect(page.locator(".legend [data-v=all] .n")).to_have_text("35")
            await page.get_by_text("35 of 40").wait_for()
            await page.get_by_text("2 workers").first.wait_for()
            await expect(page.locator(ROWS)).to_have_count(35)
            assert re.search("Store Up ?Redis since", await text(page, ".tile:last-child"))
            await page.locator(".use .track.warn").wait_for()
            await page.locator(ROWS).first.click()
            await page.locator("#story").get_by_text("Worker").wait_for()
            await page.keyboard.press("Escape")
            valkey.kill()
            await page.locator(".tile.bad", has_text="Store").wait_for()
            await page.get_by_text("what is used is not known").wait_for()
            victim = (await pids(http, proxy))["1"]
            os.kill(victim, signal.SIGSTOP)
            try:
                await page.get_by_text("1 of 2 workers: not all is shown").wait_for()
                await page.locator("#alerts").get_by_text("Worker 1 of 2 does not answer").wait_for()
            finally:
                os.kill(victim, signal.SIGCONT)
            await page.get_by_text("1 of 2 workers: not all is shown").wait_for(state="detached")
            await expect(page.locator(".legend [data-v=all] .n")).to_have_text("35")


# -- a configuration that is tried


async def test_a_try_is_shown_while_it_runs_and_how_it_ended(browser: Browser) -> None:
    from playwright.async_api import expect

    async with running_rig() as own, opened(browser, own.proxy.admin_url, "#outcome=all") as page:
        await own.page()
        await page.locator(ROWS).first.wait_for()
        assert await page.locator("#trial").locator("visible=true").count() == 0
        candidate = {**json.loads(own.proxy.config_path.read_text()), "filters": {"ip": {"block": ["203.0.113.0/24"]}}}
        asked = {"config": json.dumps(candidate), "name": "candidate.yaml", "for": 600, "share": 1}
        status, told = await own.admin("/api/try", "POST", json.dumps(asked).encode(), **JSON)
        assert status == 200, told
        for number in range(3):
            await own.page({"X-Forwarded-For": f"203.0.113.{number}"})
        await own.page()
        panel = page.locator("#trial")
        await panel.get_by_role("heading", name="Try: candidate.yaml on live traffic").wait_for()
        await expect(panel).to_contain_text("3 of 4 pages (75.0 %) would be decided otherwise")
        await expect(panel).to_contain_text("all of the traffic")
        assert await axe(page) == []
        await expect(panel.locator("tbody tr")).to_have_count(1)
        change = " ".join((await panel.locator("tbody tr").inner_text()).split())
        assert "captured → 5 IP Filter ip:block:203.0.113.0/24" in change
        await expect(panel.locator(".badge")).to_contain_text("of 10:00")
        await panel.locator("tbody").get_by_role("button").first.click()
        await page.locator("#story").get_by_role("heading", name="Captured").wait_for()
        await page.keyboard.press("Escape")
        await panel.get_by_role("button", name="Stop").click()
        await expect(panel.locator(".badge")).to_have_text("ended")
        await expect(panel).to_contain_text("Ended: it was stopped.")
        await expect(panel).to_contain_text("3 of 4 pages")
        await panel.get_by_role("button", name="Put away").click()
        await expect(panel).to_be_hidden()


# -- a reload that is held back


async def test_a_reload_that_is_held_back_says_what_it_would_change_and_is_taken_when_asked(browser: Browser) -> None:
    from playwright.async_api import expect

    usual = {"reload": {"max_change": "5%"}}
    async with running_rig(usual) as own, opened(browser, own.proxy.admin_url, "#outcome=all") as page:
        for number in range(20):
            await own.page({"X-Forwarded-For": "203.0.113.9" if number < 5 else "198.51.100.9"})
        await page.locator(ROWS).first.wait_for()
        new = {**json.loads(own.proxy.config_path.read_text()), "filters": {"ip": {"block": ["203.0.113.0/24"]}}}
        own.proxy.config_path.write_text(json.dumps(new))
        await page.get_by_role("button", name="Reload", exact=True).click()
        await expect(page.locator("#note")).to_have_text("Held back: see Configuration.")
        await page.get_by_role("link", name="reload held back").click()
        held = page.locator("#held-back")
        await expect(held).to_contain_text("it would change 25.0 % of 20 pages, more than reload.max_change: 5%.")
        await expect(page.get_by_text("generation 1 in force")).to_be_in_viewport()
        await held.get_by_role("button", name="What changes").click()
        change = " ".join((await held.locator("tbody tr").inner_text()).split())
        assert change.startswith("5 captured → 5 IP Filter ip:block:203.0.113.0/24")
        assert await axe(page) == []
        await page.set_viewport_size(PHONE)
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        await held.get_by_role("button", name="Load it anyway").click()
        await page.get_by_role("button", name="Load it", exact=True).click()
        await expect(page.locator("#note")).to_have_text("Generation 2 is in force.")
        await expect(page.get_by_text("generation 2 in force")).to_be_visible(timeout=15_000)
        await expect(held).to_have_count(0)
        await expect(page.get_by_role("link", name="reload held back")).to_have_count(0)
