"""The operators' page in Chromium: numbers, the chart, why, usage, and the switches."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from support.operators_page import opened, text, texts
from support.rig import ORIGIN, Rig, running_rig

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="module")
OLD_SCRIPT = json.dumps({"OrgId": "o-TEST-na1", "Url": f"{ORIGIN}/", "CompiledTimestamp": 1_661_778_047})


async def explain(page: Page, **fields: str) -> str:
    await page.get_by_role("button", name="Clear").click()
    await page.locator("#ask-more").evaluate("each => { each.open = true; }")
    for name, value in fields.items():
        await page.locator(f"#ask [name={name}]").fill(value)
    await page.get_by_role("button", name="Explain", exact=True).click()
    return " ".join((await page.locator("#answer > :first-child").inner_text()).split())


async def test_it_is_live_and_shows_blocks_by_reason(page: Page, rig: Rig) -> None:
    from playwright.async_api import expect

    legend = await text(page, ".legend li")
    for each in (
        "5 IP Filter 4",
        "4 Domain Filter 3",
        "3 Over quota 2",
        "2 Account disabled 1",
        "captured",
        "failed 0",
    ):
        assert each in legend
    assert [each.split()[0] for each in await texts(page, ".legend li:has(.c:not(:empty))")] == [
        *map(str, range(1, 13)),
        "-1",
    ]
    await rig.page({"User-Agent": "a YandexBot"}, SessionId="s-only-just-now")
    await page.get_by_text("s-only-just-now").wait_for()
    await page.get_by_text("6 User Agent").first.wait_for()
    await expect(page.locator(".legend [data-v='6'] .n")).to_have_text("2")


async def test_the_tiles_tell_the_shares_and_the_state_of_upstream_and_store(page: Page) -> None:
    tiles = {each.split()[0]: each for each in await texts(page, ".tile")}
    assert list(tiles) == ["Requests", "Blocked", "Rejected", "Failed", "Latency", "Upstream", "Store"]
    assert re.search(r"Blocked [\d.]+% \d+ pages", tiles["Blocked"])
    assert "0.0% 0 requests" in tiles["Failed"]
    assert "Up since" in tiles["Upstream"]
    assert "Memory in this process alone" in tiles["Store"]


async def test_a_tile_chooses_the_list(page: Page) -> None:
    from playwright.async_api import expect

    listed = page.get_by_role("group", name="Outcome").get_by_role("button", name="Rejected")
    count = (await listed.inner_text()).split()[-1]
    assert count != "0", "a bundle lost some of its calls"
    tile = page.get_by_role("button", name=re.compile("^Rejected .* requests?"))
    await expect(tile).to_contain_text(re.compile(rf"\b{count} request"))
    await tile.click()
    await expect(page.get_by_role("group", name="Outcome").get_by_role("button", pressed=True)).to_contain_text(
        "Rejected"
    )
    await page.wait_for_url("**#outcome=rejected")


async def test_the_chart_is_read_and_a_bar_is_chosen_by_keyboard(page: Page) -> None:
    from playwright.async_api import expect

    chart = page.get_by_role("slider")
    await chart.focus()
    await page.keyboard.press("End")
    # The traffic may be that of two minutes, and one of them may have no such block.
    while "5 IP Filter" not in await page.locator("#tip").inner_text():
        assert await chart.get_attribute("aria-valuenow") != "0"
        await page.keyboard.press("ArrowLeft")
    told = await chart.get_attribute("aria-valuetext") or ""
    assert re.search(r"\d\d:\d\d UTC: \d+ captured, [1-9]\d* blocked, \d+ failed", told)
    now = int(await chart.get_attribute("aria-valuenow") or "")
    await page.keyboard.press("PageDown")
    assert await chart.get_attribute("aria-valuenow") == str(now - 10)
    await page.keyboard.press("Home")
    assert await chart.get_attribute("aria-valuenow") == "0"
    await page.keyboard.press("Enter")
    await page.get_by_text("None of this kind").wait_for()
    await page.wait_for_url(re.compile(r"at=\d{4}-\d\d-\d\dT\d\d%3A\d\d$"))
    await page.keyboard.press("Escape")
    await expect(page.locator(".decisions tbody tr").first).to_be_visible()
    await page.wait_for_url(lambda url: "#" not in url)
    assert await page.evaluate("document.activeElement.id") == "scrub"


async def test_a_click_on_a_bar_lists_it_and_another_one_lists_all(page: Page) -> None:
    box = await page.locator("#scrub").bounding_box()
    assert box is not None
    step = (box["width"] - 42) / 60

    async def click(bar: int) -> None:
        await page.mouse.click(box["x"] + 38 + step * (bar + 0.5), box["y"] + 150)

    await click(2)
    await page.get_by_text("None of this kind").wait_for()
    assert await page.locator("#chart .chosen").count() == 1
    await click(2)
    await page.wait_for_selector(".decisions tbody tr")
    assert await page.locator("#chart .chosen").count() == 0
    await click(2)
    await page.get_by_role("button", name=re.compile("at .*, take this filter away")).click()
    await page.wait_for_selector(".decisions tbody tr")
    assert await page.evaluate("document.activeElement.id") == "q"


async def test_a_reason_is_shown_alone_and_another_click_shows_all(page: Page) -> None:
    from playwright.async_api import expect

    reason = page.locator(".legend").get_by_role("button", name=re.compile("4 Domain Filter"))
    await reason.click()
    await page.get_by_role("heading", name="Blocked with 4 Domain Filter, by minute").wait_for()
    await expect(page.locator(".decisions tbody tr")).to_have_count(3)
    assert await page.locator("#chart .bar").count() == await page.locator("#chart .bar.code-4").count() > 0
    await page.wait_for_url("**#outcome=blocked&code=4")
    await reason.click()
    await page.get_by_role("heading", name="Blocked pages by minute").wait_for()
    assert await page.locator("#chart .bar.code-5").count() > 0


async def test_a_day_is_drawn_by_quarters_of_an_hour_and_requests_are_counted_too(page: Page) -> None:
    await page.get_by_role("button", name="24 h").click()
    await page.get_by_role("heading", name="Blocked pages by 15 minutes").wait_for()
    assert await page.get_by_role("slider").get_attribute("aria-valuemax") == "95"
    await page.get_by_role("button", name="All requests").click()
    await page.get_by_role("heading", name="Blocked requests by 15 minutes").wait_for()
    assert "captured or forwarded" in await text(page, ".legend li")
    await page.wait_for_url("**#range=24h&count=requests")


async def test_a_time_below_the_newest_bar_is_not_cut_off(page: Page) -> None:
    cut = """async () => {
        const {model} = await import("./page/model.js"), {chartCard, plot} = await import("./page/chart.js");
        const {status} = model, edge = (each) => each.getBoundingClientRect().right;
        const draw = (time) => {
            model.status = {...status, time};
            chartCard();
            plot();
        };
        draw(Math.floor(status.time / 600) * 600);
        const texts = [...document.querySelectorAll("#chart text")];
        const found = texts.filter((each) => edge(each) > edge(document.querySelector("#chart")));
        draw(status.time);
        return found.map((each) => each.textContent);
    }"""
    assert await page.evaluate(cut) == []


async def test_the_chart_is_of_one_org_where_one_is_chosen(page: Page) -> None:
    from playwright.async_api import expect

    await page.get_by_role("combobox", name="Org").select_option("o-BLOG-na1")
    await expect(page.locator(".decisions tbody tr")).to_have_count(2)
    await expect(page.locator(".legend [data-v='5'] .n")).to_have_text("0")
    await expect(page.locator(".legend [data-v='3'] .n")).to_have_text("2")
    assert [each.split()[0] for each in await texts(page, ".use")] == ["o-BLOG-na1"]
    await page.wait_for_url("**#org=o-BLOG-na1")


async def test_what_visitors_send_is_shown_as_text(page: Page) -> None:
    assert "<img src=x onerror=alert(1)>" in await text(page, ".decisions td")
    assert "<b>bold</b>" in await text(page, ".errors td")
    assert await page.locator(".decisions img, .errors bdi b, .names bdi b").count() == 0


async def test_the_browser_itself_refuses_markup_in_texts_and_styles_in_markup(browser: Browser, rig: Rig) -> None:
    page = await browser.new_page()
    await page.goto(rig.proxy.admin_url)
    await page.wait_for_selector(".decisions tbody tr")
    refused = await page.evaluate(
        "() => { try { document.body.innerHTML = '<p>'; } catch (fault) { return fault.name; } }"
    )
    assert refused == "TypeError"
    assert await page.locator("[style]:not(#tip, .track, .track i)").count() == 0
    await page.close()


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"org": "o-OFF-na1"}, "Blocked: 2 Account disabled by org:disabled in"),
        ({"org": "o-BLOG-na1"}, "Blocked: 3 Over quota by quota:sessions in"),
        ({"url": "https://staging.example.com/"}, "Blocked: 4 Domain Filter by no-staging in"),
        ({"ip": "203.0.113.7"}, "Blocked: 5 IP Filter by ip:block:203.0.113.0/24 in"),
        ({"user_agent": "a YandexBot"}, "Blocked: 6 User Agent by user_agent:block:YandexBot in"),
        ({"url": "javascript:alert(1)"}, "Blocked: 9 Invalid URL by url:scheme, a default"),
        ({"cookies": "a=b; fs_optout=1"}, "Blocked: 10 Opt Out Cookie by opt_out"),
        ({"org": "o-WHO-na1"}, "Blocked: 1 Account does not exist by org:unlisted in"),
        ({"org": "o-GEO-na1", "country": "AQ"}, "Blocked: 7 Geography by geo:never:AQ in"),
        ({"org": "o-RAMP-na1"}, "Blocked: 8 Traffic Ramping by ramping:share in"),
        ({"request": OLD_SCRIPT}, "Blocked: 11 Invalid Data Capture Script by script:min_compiled in"),
        ({"app_id": "uid-deleted"}, "Blocked: 12 User actively being deleted by deleting_user:listed in"),
        ({"app_id": "uid-blocked"}, "Blocked: -1 Unspecified by blocked_user:block:"),
        ({"country": "AQ"}, "✓ Captured"),
        ({"request": "{"}, "! The recorded request is not JSON."),
        ({"ip": "10.0.0.300"}, "! ip: not an address"),
    ],
)
async def test_why_is_answered_with_the_rule_and_its_line(page: Page, fields: Mapping[str, str], verdict: str) -> None:
    usual = {} if "request" in fields else {"org": "o-TEST-na1", "url": f"{ORIGIN}/"}
    said = await explain(page, **{**usual, **fields})
    assert said.startswith(verdict)
    if verdict.endswith(" in"):
        assert "fsproxy.yaml:" in said


async def test_a_shadow_rule_is_marked_in_the_trace(page: Page) -> None:
    assert await explain(page, org="o-TEST-na1", url=f"{ORIGIN}/", country="AQ") == "✓ Captured"
    geo = next(each for each in await texts(page, ".trace li") if " geo " in f" {each} ")
    assert "would block (shadow) geo:never:AQ" in geo


async def test_rejections_usage_and_shadow_rules_are_shown(page: Page) -> None:
    await page.wait_for_selector(".use")
    assert any("CardinalityExceeded One Too Many" in each for each in await texts(page, ".errors tr"))
    assert any(each.startswith("geo:never:AQ 7 Geography 3 pages") for each in await texts(page, ".shadows tr"))
    shop = next(each for each in await texts(page, ".use") if each.startswith("o-SHOP-na1"))
    assert "84 % 21 of 25 sessions" in shop
    assert "Event names 5, full" in shop
    meter = page.get_by_role("meter", name="Sessions of o-SHOP-na1")
    assert await meter.get_attribute("aria-valuenow") == "21"
    assert await page.locator(".track.warn").count() >= 1


async def test_new_names_and_refused_ones_are_told_and_stay_open_while_the_page_lives(page: Page, rig: Rig) -> None:
    shop = page.locator(".use", has_text="o-SHOP-na1")
    await shop.get_by_text("Newest names, and those refused").click()
    names = await texts(page, ".use details[open] li")
    told = {each.rpartition(" ")[0] for each in names}
    assert told >= {"One Too Many", "<b>bold</b>", "Signed Up", "plan_str"}
    await rig.page(OrgId="o-SHOP-na1", UserId="u-22", SessionId="s-22")
    await shop.get_by_text("22 of 25").wait_for()
    assert await texts(page, ".use details[open] li") == names


async def test_what_has_not_changed_is_left_alone(page: Page, rig: Rig) -> None:
    await page.wait_for_selector(".errors tbody tr")
    await page.evaluate("document.querySelector('.errors tbody tr').dataset.mine = 'yes'")
    await rig.page({"User-Agent": "a YandexBot"}, SessionId="s-leaves-errors-alone")
    await page.get_by_text("s-leaves-errors-alone").wait_for()
    assert await page.locator(".errors tr[data-mine]").count() == 1


async def test_the_kill_switch_asks_first_and_then_acts(page: Page, rig: Rig) -> None:
    await page.get_by_role("button", name="Bypass", exact=True).click()
    await page.get_by_role("button", name="Cancel").click()
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "enforce"}
    await page.get_by_role("button", name="Bypass", exact=True).click()
    await page.get_by_role("button", name="Switch to bypass").click()
    await page.locator("#alerts").get_by_text("The mode is bypass: nothing is decided").wait_for()
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "bypass"}
    assert await page.get_by_role("button", name="Bypass", exact=True).get_attribute("aria-pressed") == "true"
    await page.get_by_role("button", name="Shadow").click()
    await page.get_by_role("button", name="Switch to shadow").click()
    await page.locator("#alerts").get_by_text("The mode is shadow: nothing is blocked").wait_for()
    await page.get_by_role("button", name="Enforce").click()
    await page.get_by_role("button", name="Switch to enforce").click()
    await page.locator("#alerts").get_by_text("The mode is").wait_for(state="detached")
    await page.locator("#note").get_by_text("Switched to enforce.").wait_for()
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "enforce"}


async def test_faults_of_a_reload_are_shown_and_the_old_rules_stay(browser: Browser) -> None:
    async with running_rig() as own, opened(browser, own.proxy.admin_url) as page:
        await page.get_by_text("generation 1 in force").wait_for()
        own.proxy.config_path.write_text("mode: strict\ncolour: red\n")
        await page.get_by_role("button", name="Reload").click()
        await page.locator("#note").get_by_text("Not used: ").wait_for()
        await page.get_by_text("The newest configuration is not used").first.wait_for()
        assert any("fsproxy.yaml:1:" in each for each in await texts(page, "#config .alert li"))
        await page.get_by_text("generation 1 in force").wait_for()
        own.proxy.write_config({"upstream": {"url": own.upstream.url}})
        await page.get_by_role("button", name="Reload").click()
        await page.locator("#note").get_by_text(re.compile("Generation [23] is in force.")).wait_for()
        await page.get_by_text("The newest configuration is not used").first.wait_for(state="detached")


async def test_the_theme_is_the_systems_or_the_one_that_is_chosen(page: Page) -> None:
    scheme = "getComputedStyle(document.documentElement).colorScheme"
    assert await page.evaluate(scheme) == "light dark"
    await page.get_by_role("button", name="Theme: as the system").click()
    assert await page.evaluate(scheme) == "dark"
    await page.reload()
    await page.get_by_role("button", name="Theme: dark").click()
    assert await page.evaluate(scheme) == "light"
    await page.get_by_role("button", name="Theme: light").click()
    assert await page.evaluate(scheme) == "light dark"
