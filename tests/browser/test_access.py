"""Who may use the page: both themes, every width, keyboard and screen reader. axe-core finds nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.operators_page import DESKTOP, PHONE, axe, opened
from support.rig import Rig, running_rig

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOTS = os.environ.get("FSPROXY_SCREENSHOTS")
"""A folder for screenshots, when they are wanted."""
THEMES = pytest.mark.parametrize(
    ("name", "scheme", "size"), [("light", "light", DESKTOP), ("dark", "dark", DESKTOP), ("phone", "dark", PHONE)]
)

CONTRAST = """
() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((each) => each / 255).map((each) => each <= .03928 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4)
    .reduce((sum, each, index) => sum + each * [.2126, .7152, .0722][index], 0);
  const behind = (each) => { for (; each; each = each.parentElement) { const rgb = numbers(getComputedStyle(each).backgroundColor); if (rgb.length < 4 || rgb[3] > 0) return rgb; } return [255, 255, 255]; };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const each = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || each.closest('svg') || !each.checkVisibility()) continue;
    const [a, b] = [light(numbers(getComputedStyle(each).color)), light(behind(each))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 5.5) weak.push([walker.currentNode.data.trim(), ratio]);
  }
  return weak;
}
"""
"""Texts with less contrast than the design's 5.6 (rounding aside)."""
SIZES = """
() => [...new Set([...document.querySelectorAll('body *')].filter((each) => each.checkVisibility() && each.textContent.trim())
  .map((each) => getComputedStyle(each).fontSize))]
"""


async def everything(page: Page) -> None:
    """Opens and shows whatever the page has."""
    await page.wait_for_selector(".use summary")
    await page.locator("#ask [name=url]").fill("https://staging.example.com/checkout")
    await page.locator("#ask [name=org]").fill("o-TEST-na1")
    await page.get_by_role("button", name="Explain", exact=True).click()
    await page.wait_for_selector(".verdict")
    for summary in await page.locator("main summary").all():
        await summary.click()


@THEMES
async def test_it_is_readable_in_both_themes_and_at_phone_width(
    browser: Browser, rig: Rig, name: str, scheme: str, size: dict[str, int]
) -> None:
    async with opened(browser, rig.proxy.admin_url, viewport=size, color_scheme=scheme) as page:
        await everything(page)
        assert await page.evaluate(CONTRAST) == []
        assert set(await page.evaluate(SIZES)) <= {"12px", "13px", "16px", "20px", "26px"}
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / f"page-{name}.png", full_page=True)


@THEMES
async def test_axe_finds_nothing(browser: Browser, rig: Rig, name: str, scheme: str, size: dict[str, int]) -> None:
    async with opened(browser, rig.proxy.admin_url, viewport=size, color_scheme=scheme) as page:
        await everything(page)
        assert await axe(page) == []
        await page.locator(".decisions .open").first.click()
        await page.locator("#story h2").wait_for()
        assert await axe(page) == []
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Bypass", exact=True).click()
        assert await axe(page) == []


async def test_axe_finds_nothing_before_the_first_request_and_where_a_token_is_asked(browser: Browser) -> None:
    async with running_rig({"admin": {"token": "right"}}) as own, opened(browser, own.proxy.admin_url) as page:
        await page.get_by_role("textbox", name="Token").wait_for()
        assert await axe(page) == []
        await page.get_by_role("textbox", name="Token").fill("right")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="Ready, and waiting for the first request").wait_for()
        assert await axe(page) == []


async def test_nothing_is_wider_than_the_window(browser: Browser, rig: Rig) -> None:
    async with opened(browser, rig.proxy.admin_url) as page:
        await everything(page)
        for width in (320, 390, 600, 761, 1000, 1280, 1600, 1920):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width


async def test_targets_are_large_enough(browser: Browser, rig: Rig) -> None:
    small = """(least) => [...document.querySelectorAll('button, input, select, textarea, summary')].filter((each) => each.checkVisibility()
        && each.getBoundingClientRect().height < least).map((each) => each.outerHTML)"""
    async with opened(browser, rig.proxy.admin_url) as page:
        await everything(page)
        # The time of a row stands for the whole row, which is a target by itself.
        assert [each for each in await page.evaluate(small, 24) if 'class="open"' not in each] == []


async def test_everything_that_can_be_used_has_a_name_and_is_reached_by_tab(page: Page) -> None:
    nameless = await page.evaluate(
        """[...document.querySelectorAll('button, input, select, textarea, [role=meter], [role=slider], section')].filter((each) =>
            !each.textContent.trim() && !each.labels?.length && !each.getAttribute('aria-label')
            && !each.getAttribute('aria-labelledby')).map((each) => each.outerHTML)"""
    )
    assert nameless == []
    await page.locator("body").focus()
    await page.keyboard.press("Tab")
    assert "Skip to" in await page.evaluate("document.activeElement.textContent")
    seen = set()
    for _ in range(45):
        await page.keyboard.press("Tab")
        seen.add(
            await page.evaluate(
                "document.activeElement.name || document.activeElement.id || document.activeElement.textContent"
            )
        )
    assert {"org", "Bypass", "Reload", "theme", "scrub", "Pages", "q", "Pause"} <= seen


async def test_what_begins_and_ends_is_said_once(page: Page, rig: Rig) -> None:
    """Texts that change every second would be read again and again."""
    said = await page.evaluate_handle(
        """() => { const said = []; new MutationObserver(() => said.push(document.getElementById('announce').textContent))
            .observe(document.getElementById('announce'), {childList: true, characterData: true, subtree: true}); return said; }"""
    )
    assert await page.locator("[aria-live], [role=status], [role=alert]").evaluate_all(
        "all => all.map(each => each.id)"
    ) == ["answer", "announce"]
    await rig.set_mode("shadow")
    await page.locator("#alerts").get_by_text("The mode is shadow").wait_for()
    await rig.set_mode("enforce")
    await page.locator("#alerts").get_by_text("The mode is shadow").wait_for(state="detached")
    shadow = "The mode is shadow: nothing is blocked but by privacy rules"
    assert await said.json_value() == [shadow, f"Over: {shadow}"]


async def test_a_click_and_a_focus_survive_what_is_drawn_each_second(page: Page, rig: Rig) -> None:
    from playwright.async_api import expect

    await expect(page.locator("#alerts .alert")).to_have_count(0)  # of the test before
    tile = page.locator(".tile[data-v=failed]")
    box = await tile.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 20, box["y"] + 20)
    await page.mouse.down()
    before = await page.locator("#live").inner_text()
    await expect(page.locator("#live")).not_to_have_text(before)
    await page.mouse.up()
    await page.wait_for_url("**#outcome=failed")
    assert await page.evaluate("document.activeElement.dataset.v") == "failed"
