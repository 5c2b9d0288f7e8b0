"""The list of decisions and the story of one: filters, links, pages, and what happens to it while somebody reads."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from support.operators_page import CONFIG, opened, texts
from support.rig import Rig, running_rig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROWS = ".decisions tbody tr"
SEARCH = "Search the decisions"


async def reasons(page: Page) -> list[str]:
    return await texts(page, f"{ROWS} .outcome")


def tab(page: Page, name: str) -> Any:
    return page.get_by_role("group", name="Outcome").get_by_role("button", name=re.compile(f"^{name}"))


async def test_what_was_blocked_is_not_buried_by_what_was_forwarded(page: Page) -> None:
    from playwright.async_api import expect

    assert set(await reasons(page)) >= {"5 IP Filter", "4 Domain Filter", "3 Over quota", "2 Account disabled"}
    assert "captured" not in await reasons(page)
    await tab(page, "All").click()
    await expect(page.locator(ROWS).first).to_be_visible()
    await expect(page.locator(".outcome.captured").nth(20)).to_be_visible()
    await tab(page, "Rejected").click()
    await page.get_by_text("Cart Viewed").first.wait_for()
    await tab(page, "Failed").click()
    await page.get_by_text("None of this kind of the last 2,000 that are kept.").wait_for()


async def test_a_search_finds_by_rule_and_id_and_says_when_nothing_fits(page: Page) -> None:
    from playwright.async_api import expect

    await page.get_by_role("searchbox", name=SEARCH).fill("no-staging")
    await expect(page.locator(ROWS)).to_have_count(3)
    assert set(await reasons(page)) == {"4 Domain Filter"}
    await page.wait_for_url("**#q=no-staging")
    await page.get_by_role("searchbox", name=SEARCH).fill("nobody at all")
    await page.get_by_text("with these filters.").wait_for()
    await page.get_by_role("button", name="Take the filters away").click()
    await expect(page.locator(ROWS).nth(5)).to_be_visible()
    assert await page.get_by_role("searchbox", name=SEARCH).input_value() == ""
    await page.wait_for_url(lambda url: "#" not in url)


async def test_a_search_for_a_whole_address_says_what_truncation_hides(page: Page) -> None:
    from playwright.async_api import expect

    await page.get_by_role("searchbox", name=SEARCH).fill("203.0.113.2")
    await expect(page.locator(ROWS)).to_have_count(4)
    told = " ".join((await page.locator("#decisions").inner_text()).split())
    assert "listed is all of 203.0.113.0, which stands for 256 addresses; any of them may be 203.0.113.2." in told


async def test_a_link_shows_a_colleague_the_same(browser: Browser, rig: Rig, page: Page) -> None:
    from playwright.async_api import expect

    await page.locator(".legend").get_by_role("button", name=re.compile("4 Domain Filter")).click()
    await page.get_by_role("searchbox", name=SEARCH).fill("staging")
    await page.wait_for_url("**#outcome=blocked&code=4&q=staging")
    await expect(page.locator(ROWS)).to_have_count(3)
    await page.locator(ROWS).nth(1).click()
    story = await page.locator("#story").inner_text()
    await page.wait_for_url("**&d=*")
    fragment = page.url[page.url.index("#") :]
    assert fragment.startswith("#outcome=blocked&code=4&q=staging&d=")
    async with opened(browser, rig.proxy.admin_url, fragment) as other:
        await other.locator("#story").get_by_text("Blocked: 4 Domain Filter").wait_for()
        await other.locator("#story").get_by_text("the same:").wait_for()
        assert (await other.locator("#story h2").inner_text()) in story
        await other.keyboard.press("Escape")
        await expect(other.locator(ROWS)).to_have_count(3)
        assert await other.get_by_role("searchbox", name=SEARCH).input_value() == "staging"
    async with opened(browser, rig.proxy.admin_url, "#d=nobody-1") as other:
        await other.get_by_role("heading", name="This request is not kept any more").wait_for()


async def test_the_story_says_what_was_decided_and_where_that_stands(page: Page) -> None:
    from playwright.async_api import expect

    await page.get_by_role("searchbox", name=SEARCH).fill("no-staging")
    await expect(page.locator(ROWS)).to_have_count(3)
    await page.locator(ROWS).first.click()
    drawer = page.get_by_role("dialog", name="Blocked: 4 Domain Filter")
    await drawer.get_by_text("the same:").wait_for()
    told = " ".join((await drawer.inner_text()).split())
    for each in ("staging.example.com", "no-staging", "fsproxy.yaml:", "202", "It was not asked.", "all of it ours"):
        assert each in told
    assert '"fsproxy.reason_code": 4' in await drawer.get_by_label("Audit line").inner_text()
    await page.keyboard.press("Escape")
    await drawer.wait_for(state="hidden")


async def test_ids_are_copied_with_a_click(browser: Browser, rig: Rig) -> None:
    async with opened(browser, rig.proxy.admin_url, permissions=["clipboard-read", "clipboard-write"]) as page:
        await page.locator(ROWS).first.click()
        copied = page.get_by_role("button", name=re.compile("Copy request id"))
        await copied.click()
        clipboard = "navigator.clipboard.readText()"
        assert await page.evaluate(clipboard) == await copied.get_attribute("data-v")
        await page.locator("#story").get_by_role("button", name="Copy link").click()
        assert await page.evaluate(clipboard) == await page.evaluate("location.href")
        await page.get_by_role("button", name="Copy the raw line").click()
        line = json.loads(await page.evaluate(clipboard))
        assert line["http.request.id"] == await copied.get_attribute("data-v")
        await page.keyboard.press("Escape")
        await page.locator("#decisions").get_by_role("button", name="Copy link").click()
        assert await page.evaluate(clipboard) == await page.evaluate("location.href")


async def test_the_drawer_goes_to_newer_and_older_ones_and_back_to_the_row(page: Page) -> None:
    ids = await page.locator(f"{ROWS} .open").evaluate_all("all => all.map(each => each.dataset.v)")
    await page.locator(f"{ROWS} .open").nth(1).click()
    request = page.get_by_role("button", name=re.compile("Copy request id"))
    await page.get_by_role("button", name="Older").click()
    assert await request.get_attribute("data-v") == ids[2]
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("ArrowUp")
    assert await request.get_attribute("data-v") == ids[0]
    assert await page.get_by_role("button", name="Newer").is_disabled()
    await page.keyboard.press("ArrowDown")
    await page.get_by_role("button", name="Close").click()
    assert await page.evaluate("document.activeElement.dataset.v") == ids[1]
    await page.wait_for_url(lambda url: "d=" not in url)


async def test_one_is_explained_from_its_story_and_its_rule_filters_the_list(page: Page) -> None:
    from playwright.async_api import expect

    await page.get_by_role("searchbox", name=SEARCH).fill("o-OFF-na1")
    await expect(page.locator(ROWS)).to_have_count(1)
    await page.locator(ROWS).click()
    await page.get_by_role("button", name="Explain with the rules of now").click()
    await page.locator("#answer").get_by_text("Blocked: 2 Account disabled").wait_for()
    assert await page.locator("#ask [name=org]").input_value() == "o-OFF-na1"
    await page.get_by_text("Judged by what the audit line holds").wait_for()
    await page.locator(ROWS).click()
    await page.get_by_role("button", name="Only this rule").click()
    await expect(page.get_by_role("searchbox", name=SEARCH)).to_have_value("org:disabled")
    await page.wait_for_url("**#code=2&q=org%3Adisabled")


async def test_what_depends_on_the_last_part_of_an_address_is_no_block(browser: Browser) -> None:
    async with running_rig({"filters": {"ip": {"block": ["203.0.113.7"]}}}) as own:
        blocked = await own.page({"X-Forwarded-For": "203.0.113.7"})
        assert blocked.status == 202
        async with opened(browser, own.proxy.admin_url) as page:
            await page.locator(ROWS).click()
            await page.locator("#story").get_by_text("cannot be known: ip").wait_for()
            await page.get_by_role("button", name="Explain with the rules of now").click()
            verdict = page.locator(".verdict.unknown")
            await verdict.get_by_text("? It cannot be known").wait_for()
            told = " ".join((await verdict.inner_text()).split())
            assert "This line keeps 203.0.113.0, which stands for 256 addresses." in told
            assert "5 IP Filter if ip:block:203.0.113.x hits the whole address;" in told
            assert "203.0.113.7" not in await page.locator("#answer").inner_text()
            assert "Enter the whole address" in told


async def test_keys_find_the_search_the_rows_and_the_story(page: Page) -> None:
    from playwright.async_api import expect

    await page.keyboard.press("/")
    assert await page.evaluate("document.activeElement.id") == "q"
    await page.keyboard.press("j")
    assert await page.get_by_role("searchbox", name=SEARCH).input_value() == "j"
    await page.get_by_role("searchbox", name=SEARCH).fill("")
    await expect(page.locator(ROWS).nth(5)).to_be_visible()
    await page.get_by_role("searchbox", name=SEARCH).blur()
    focused = "[...document.querySelectorAll('.decisions .open')].indexOf(document.activeElement)"
    for key, index in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        await page.keyboard.press(key)
        assert await page.evaluate(focused) == index
    await page.keyboard.press("Enter")
    await page.locator("#story").wait_for()
    assert await page.evaluate("document.activeElement.id") == "story-title"
    await page.keyboard.press("Escape")
    await expect(page.locator(".decisions .open").nth(1)).to_be_focused()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def long(browser: Browser) -> AsyncIterator[Rig]:
    """A proxy that has blocked 130 pages."""
    async with running_rig(CONFIG) as running:
        for number in range(130):
            await running.page({"User-Agent": "a YandexBot"}, SessionId=f"long-{number:03}")
        yield running


async def sessions(page: Page) -> list[str]:
    return await page.locator(f"{ROWS} td:last-child .mono").all_inner_texts()


async def test_older_ones_come_a_page_at_a_time(browser: Browser, long: Rig) -> None:
    from playwright.async_api import expect

    async with opened(browser, long.proxy.admin_url) as page:
        await page.get_by_text("100 of 130").wait_for()
        await page.get_by_role("button", name="30 older").click()
        await page.get_by_text("130 of 130").wait_for()
        assert await sessions(page) == [f"long-{number:03}" for number in reversed(range(130))]
        await expect(page.get_by_role("button", name="older")).to_have_count(0)


async def test_new_ones_wait_while_the_list_is_read(browser: Browser, long: Rig) -> None:
    from playwright.async_api import expect

    async with opened(browser, long.proxy.admin_url) as page:
        row = page.locator(ROWS).nth(3)
        await row.hover()
        first = (await sessions(page))[0]
        await long.page({"User-Agent": "a YandexBot"}, SessionId="while-hovered")
        await page.get_by_role("button", name="1 new").wait_for()
        assert (await sessions(page))[0] == first
        await page.get_by_role("button", name="1 new").click()
        await expect(page.locator(ROWS).first).to_contain_text("while-hovered")
        await page.locator(f"{ROWS} .open").nth(2).focus()
        await long.page({"User-Agent": "a YandexBot"}, SessionId="while-focused")
        await page.get_by_role("button", name="1 new").wait_for()
        await page.locator("#q").focus()
        await expect(page.locator(ROWS).first).to_contain_text("while-focused")
        await page.get_by_role("button", name="Pause").click()
        await long.page({"User-Agent": "a YandexBot"}, SessionId="while-paused")
        await page.get_by_role("button", name="1 new").wait_for()
        assert "while-paused" not in await sessions(page)
        await page.get_by_role("button", name="Go on").click()
        await expect(page.locator(ROWS).first).to_contain_text("while-paused")
