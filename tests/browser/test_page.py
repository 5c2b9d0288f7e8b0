"""The operators' page in Chromium: what an engineer in an incident sees, finds and switches."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from support.rig import ORIGIN, Rig, running_rig
from support.upstream import RecordingUpstream
from support.valkey import running_valkey
from support.workers import fresh_connections, pids, running_workers, shared, visit

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Page

pytestmark = pytest.mark.asyncio(loop_scope="module")
DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
OLD_SCRIPT = json.dumps({"OrgId": "o-TEST-na1", "Url": f"{ORIGIN}/", "CompiledTimestamp": 1_661_778_047})
SHOTS = os.environ.get("FSPROXY_SCREENSHOTS")
"""A folder for screenshots, when they are wanted."""


def is_fault(line: ConsoleMessage) -> bool:
    """Chromium also calls an answer that says what is wrong an error."""
    return line.type == "error" and not re.search(r"with a status of (400|401|422)", line.text)


@asynccontextmanager
async def opened(browser: Browser, url: str, **options: Any) -> AsyncIterator[Page]:
    """The page of an admin port; leaving the block asserts that it ran without a fault and asked nobody else."""
    context = await browser.new_context(**{"viewport": DESKTOP, **options})
    page = await context.new_page()
    page.set_default_timeout(15_000)
    faults: list[str] = []
    elsewhere: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.on("console", lambda line: faults.append(line.text) if is_fault(line) else None)
    page.on("dialog", lambda dialog: faults.append(f"a dialog: {dialog.message}"))
    page.on(
        "request", lambda request: None if request.url.startswith((url, "data:")) else elsewhere.append(request.url)
    )
    await page.goto(url + "/")
    yield page
    assert faults == []
    assert elsewhere == []
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, rig: Rig) -> AsyncIterator[Page]:
    async with opened(browser, rig.proxy.admin_url) as shown:
        await shown.wait_for_selector("#decision-rows tr")
        yield shown


async def texts(page: Page, selector: str) -> list[str]:
    return [" ".join(each.split()) for each in await page.locator(selector).all_inner_texts()]


async def explain(page: Page, **fields: str) -> str:
    await page.get_by_role("button", name="Clear").click()
    for name, value in fields.items():
        if name in {"app_id", "user_id", "request"} and not await page.locator("#why details").get_attribute("open"):
            await page.locator("#why details").evaluate("each => { each.open = true; }")
        await page.locator(f"#why-form [name={name}]").fill(value)
    await page.get_by_role("button", name="Explain", exact=True).click()
    return " ".join((await page.locator("#why-result > :first-child").inner_text()).split())


async def test_it_is_live_and_shows_blocks_by_reason(page: Page, rig: Rig) -> None:
    await page.get_by_text("live", exact=True).wait_for()
    legend = " ".join(await texts(page, "#legend li"))
    for text in ("Captured", "IP Filter (5) 4", "Domain Filter (4) 3", "Over quota (3) 2", "Account disabled (2) 1"):
        assert text in legend
    await rig.page({"User-Agent": "a YandexBot"}, SessionId="s-only-just-now")
    await page.get_by_text("s-only-just-now").wait_for()
    await page.get_by_text("User Agent (6) 2").wait_for()
    await page.get_by_role("button", name="Blocks and failures").click()
    assert "Captured" not in " ".join(await texts(page, "#legend li"))


async def test_a_minutes_numbers_are_read_by_keyboard(page: Page) -> None:
    await page.get_by_text("live", exact=True).wait_for()
    await page.locator("#chart").focus()
    for _ in range(3):
        await page.keyboard.press("ArrowRight")
        if "Captured" in await page.locator("#readout").inner_text():
            break
        await page.keyboard.press("ArrowLeft")
    assert "IP Filter (5) 4" in await page.locator("#readout").inner_text()


async def test_what_visitors_send_is_shown_as_text(page: Page) -> None:
    assert "<img src=x onerror=alert(1)>" in " ".join(await texts(page, "#decision-rows td"))
    assert "<b>bold</b>" in " ".join(await texts(page, "#error-rows td"))
    assert await page.locator("#decision-rows img, #error-rows b").count() == 0


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"org": "o-OFF-na1"}, "Blocked: 2 Account disabled by the rule org:disabled in"),
        ({"org": "o-BLOG-na1"}, "Blocked: 3 Over quota by the rule quota:sessions in"),
        ({"url": "https://staging.example.com/"}, "Blocked: 4 Domain Filter by the rule no-staging in"),
        ({"ip": "203.0.113.7"}, "Blocked: 5 IP Filter by the rule ip:block:203.0.113.0/24 in"),
        ({"user_agent": "a YandexBot"}, "Blocked: 6 User Agent by the rule user_agent:block:YandexBot in"),
        ({"url": "javascript:alert(1)"}, "Blocked: 9 Invalid URL by the rule url:scheme, a default"),
        ({"cookies": "a=b; fs_optout=1"}, "Blocked: 10 Opt Out Cookie by the rule"),
        ({"org": "o-WHO-na1"}, "Blocked: 1 Account does not exist by the rule org:unlisted in"),
        ({"org": "o-GEO-na1", "country": "AQ"}, "Blocked: 7 Geography by the rule geo:never:AQ in"),
        ({"org": "o-RAMP-na1"}, "Blocked: 8 Traffic Ramping by the rule ramping:share in"),
        ({"request": OLD_SCRIPT}, "Blocked: 11 Invalid Data Capture Script by the rule script:min_compiled in"),
        ({"app_id": "uid-deleted"}, "Blocked: 12 User actively being deleted by the rule deleting_user:listed in"),
        ({"app_id": "uid-blocked"}, "Blocked: -1 Unspecified by the rule blocked_user:block:"),
        ({"country": "AQ"}, "Captured"),
        ({"request": "{"}, "The recorded request is not JSON."),
        ({"ip": "10.0.0.300"}, "ip: not an address"),
    ],
)
async def test_why_is_answered_with_the_rule_and_its_line(page: Page, fields: Mapping[str, str], verdict: str) -> None:
    usual = {} if "request" in fields else {"org": "o-TEST-na1", "url": f"{ORIGIN}/"}
    said = await explain(page, **{**usual, **fields})
    assert said.startswith(verdict)
    if verdict.endswith(" in"):
        assert "fsproxy.yaml:" in said


async def test_a_shadow_rule_is_marked_in_the_trace(page: Page) -> None:
    assert await explain(page, org="o-TEST-na1", url=f"{ORIGIN}/", country="AQ") == "Captured"
    geo = next(each for each in await texts(page, ".trace li") if " geo " in f" {each} ")
    assert "would block (shadow) geo:never:AQ" in geo


async def test_decisions_are_searched_and_one_is_explained_from_its_details(page: Page) -> None:
    from playwright.async_api import expect

    await page.get_by_role("searchbox", name="Search").fill("no-staging")
    await expect(page.locator("#decision-rows tr")).to_have_count(3)
    assert all("4 Domain Filter" in each for each in await texts(page, "#decision-rows tr"))
    await page.get_by_role("searchbox", name="Search").fill("nobody at all")
    await page.get_by_text("No decision fits").wait_for()
    await page.get_by_role("searchbox", name="Search").fill("")
    await page.get_by_role("combobox", name="Outcome").select_option("2")
    await expect(page.locator("#decision-rows tr")).to_have_count(1)
    await page.get_by_role("button", name="Details of request").click()
    assert '"fsproxy.reason_code": 2' in await page.locator("#line-text").inner_text()
    await page.get_by_role("button", name="Explain with the rules of now").click()
    await page.get_by_text("Blocked: 2 Account disabled").wait_for()
    assert await page.locator("#why-form [name=org]").input_value() == "o-OFF-na1"
    await page.get_by_text("Judged by what the audit line holds").wait_for()


async def test_rejections_usage_and_shadow_rules_are_shown(page: Page) -> None:
    await page.wait_for_selector("#usage-rows li")
    assert any("CardinalityExceeded One Too Many" in each for each in await texts(page, "#error-rows tr"))
    assert any(each.startswith("geo:never:AQ 7 Geography 3 3") for each in await texts(page, "#shadow-rows tr"))
    shop = next(each for each in await texts(page, "#usage-rows li") if each.startswith("o-SHOP-na1"))
    assert "Sessions 21 of 25, 84 %" in shop
    assert "Event names 5 of 5, used up" in shop
    meter = page.get_by_role("meter", name="Sessions of o-SHOP-na1")
    assert await meter.get_attribute("aria-valuenow") == "21"
    assert await page.locator(".use.warn").count() >= 1


async def test_new_names_and_refused_ones_are_told_and_stay_open_while_the_page_lives(page: Page, rig: Rig) -> None:
    shop = page.locator("#usage-rows > li", has_text="o-SHOP-na1")
    await shop.get_by_text("Newest names, and those refused").click()
    names = await texts(page, "#usage-rows details[open] li")
    told = {each.rpartition(" ")[0] for each in names}
    assert told >= {"One Too Many", "<b>bold</b>", "Signed Up", "plan_str"}
    assert await page.locator("#usage-rows b").count() == 0
    await page.locator("#chart").focus()  # what holds the focus is not rebuilt
    await rig.page(OrgId="o-SHOP-na1", UserId="u-22", SessionId="s-22")
    await shop.get_by_text("22 of 25").wait_for()
    assert await texts(page, "#usage-rows details[open] li") == names


async def test_a_list_that_has_not_changed_is_left_alone(page: Page) -> None:
    await page.wait_for_selector("#error-rows tr")
    await page.evaluate("document.querySelector('#error-rows tr').dataset.mine = 'yes'")
    await page.evaluate("showErrors()")
    assert await page.locator("#error-rows tr[data-mine]").count() == 1


async def test_the_kill_switch_asks_first_and_then_acts(page: Page, rig: Rig) -> None:
    await page.get_by_text("live", exact=True).wait_for()
    await page.get_by_role("button", name="Bypass").click()
    await page.get_by_role("button", name="Cancel").click()
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "enforce"}
    await page.get_by_role("button", name="Bypass").click()
    await page.get_by_role("button", name="Switch to bypass").click()
    await page.get_by_text("Bypass: nothing is judged").wait_for()
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "bypass"}
    assert await page.get_by_role("button", name="Bypass").get_attribute("aria-pressed") == "true"
    await page.get_by_role("button", name="Enforce").click()
    await page.get_by_role("button", name="Switch to enforce").click()
    await page.get_by_text("Bypass: nothing is judged").wait_for(state="detached")
    await page.get_by_text("Switched to enforce.").wait_for()
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "enforce"}


async def test_faults_of_a_reload_are_shown_and_the_old_rules_stay(browser: Browser) -> None:
    async with running_rig() as own, opened(browser, own.proxy.admin_url) as page:
        await page.get_by_text("live", exact=True).wait_for()
        own.proxy.config_path.write_text("mode: strict\ncolour: red\n")
        await page.get_by_role("button", name="Reload rules").click()
        await page.get_by_text("The newest configuration is not used; generation 1 stays in force").wait_for()
        assert any("fsproxy.yaml:1:" in each for each in await texts(page, "#alerts li"))
        await page.get_by_text("Not used: ").wait_for()
        own.proxy.write_config({"upstream": {"url": own.upstream.url}})
        await page.get_by_role("button", name="Reload rules").click()
        await page.get_by_text("Generation 2 is in force.").wait_for()
        await page.get_by_text("The newest configuration is not used").wait_for(state="detached")


async def test_a_token_is_asked_for_and_kept_in_memory_alone(browser: Browser) -> None:
    async with running_rig({"admin": {"token": "right"}}) as own, opened(browser, own.proxy.admin_url) as page:
        await page.get_by_role("textbox", name="Token").fill("wrong")
        await page.keyboard.press("Enter")
        await page.get_by_text("This token is not the right one.").wait_for()
        assert not await page.locator("#traffic").is_visible()
        await page.get_by_role("textbox", name="Token").fill("right")
        await page.keyboard.press("Enter")
        await page.get_by_text("live", exact=True).wait_for()
        assert await page.locator("#traffic").is_visible()
        assert await page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        await page.reload()
        await page.get_by_role("textbox", name="Token").wait_for()


async def test_it_shows_several_workers_as_one_and_says_when_one_is_missing(browser: Browser, tmp_path: Path) -> None:
    with running_valkey() as valkey:
        async with (
            RecordingUpstream() as upstream,
            running_workers(shared(upstream.url, valkey, filters={"quota": {"sessions": 40}}), tmp_path) as proxy,
            fresh_connections() as http,
            opened(browser, proxy.admin_url) as page,
        ):
            await page.get_by_text("live", exact=True).wait_for()
            await page.get_by_text("2 workers", exact=True).wait_for()
            for number in range(35):
                assert await visit(http, proxy, f"s-{number}") is None
            await page.get_by_text("Captured 35").wait_for()
            await page.get_by_text("35 of 40").wait_for()
            assert len(await texts(page, "#decision-rows tr")) == 35
            await page.locator("#usage-rows .use.warn").wait_for()
            valkey.kill()
            await page.get_by_text("The store of the limits is down.").wait_for()
            await page.get_by_text("unknown, of 40").wait_for()
            victim = (await pids(http, proxy))["1"]
            os.kill(victim, signal.SIGSTOP)
            try:
                await page.get_by_text("1 of 2 workers: not all is shown").wait_for()
                await page.get_by_text("1 of 2 workers do not answer").wait_for()
                if SHOTS:
                    await page.screenshot(path=Path(SHOTS) / "page-workers.png", full_page=True)
            finally:
                os.kill(victim, signal.SIGCONT)
            await page.get_by_text("2 workers", exact=True).wait_for()
            await page.get_by_text("Captured 35").wait_for()


async def test_everything_that_can_be_used_has_a_name_and_is_reached_by_tab(page: Page) -> None:
    nameless = await page.evaluate(
        """[...document.querySelectorAll('button, input, select, textarea, [role=meter], dialog, section')].filter((each) =>
            !each.textContent.trim() && !each.labels?.length && !each.getAttribute('aria-label')
            && !each.getAttribute('aria-labelledby')).map((each) => each.outerHTML)"""
    )
    assert nameless == []
    await page.locator("body").focus()
    await page.keyboard.press("Tab")
    assert "Skip to" in await page.evaluate("document.activeElement.textContent")
    seen = set()
    for _ in range(25):
        await page.keyboard.press("Tab")
        seen.add(
            await page.evaluate(
                "document.activeElement.name || document.activeElement.id || document.activeElement.textContent"
            )
        )
    assert {"Bypass", "reload", "chart", "url", "ip", "Explain", "q", "pause"} <= seen


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
    if (!walker.currentNode.data.trim() || each.closest('svg, script, style') || !each.checkVisibility()) continue;
    const [a, b] = [light(numbers(getComputedStyle(each).color)), light(behind(each))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) weak.push([walker.currentNode.data.trim(), ratio]);
  }
  return weak;
}
"""


TOO_WIDE = """
() => [...document.querySelectorAll('.scroll')].filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.getAttribute('aria-labelledby'))
"""


@pytest.mark.parametrize(
    ("name", "scheme", "size"), [("light", "light", DESKTOP), ("dark", "dark", DESKTOP), ("phone", "dark", PHONE)]
)
async def test_it_is_readable_in_both_themes_and_at_phone_width(
    browser: Browser, rig: Rig, name: str, scheme: str, size: dict[str, int]
) -> None:
    """Every text has a contrast of 4.5 at least, and nothing stands beyond the right edge."""
    async with opened(browser, rig.proxy.admin_url, viewport=size, color_scheme=scheme) as page:
        await page.locator("#usage-rows summary").first.click()
        await explain(page, org="o-TEST-na1", url="https://staging.example.com/checkout")
        await page.wait_for_selector(".verdict")
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert await page.evaluate(TOO_WIDE) == []
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / f"page-{name}.png", full_page=True)
