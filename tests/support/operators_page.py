"""The operators' page in Chromium, and traffic for it to show."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

from support.call_samples import bundle, first, user
from support.rig import Rig
from support.tools import missing, tool

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage, Page

WAIT = 60_000.0
"""Milliseconds that anything on the page may take: a busy machine takes its time."""
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
CONFIG: dict[str, Any] = {
    "orgs": {
        "unlisted": "block",
        "listed": {
            "o-TEST-na1": {},
            "o-GEO-na1": {"filters": {"geo": {"mode": "enforce"}}},
            "o-RAMP-na1": {"filters": {"ramping": {"share": "0%"}}},
            "o-SHOP-na1": {"filters": {"quota": {"sessions": 25}}},
            "o-BLOG-na1": {"filters": {"quota": {"sessions": 3}}},
            "o-OFF-na1": {"enabled": False},
        },
    },
    "filters": {
        "script": {"min_compiled": "2023-08-03"},
        "deleting_user": {"block": ["uid-deleted"]},
        "blocked_user": {"block": ["uid-blocked"]},
        "ip": {"block": ["203.0.113.0/24"]},
        "domain": {"rules": [{"block": "staging.example.com", "id": "no-staging"}]},
        "user_agent": {"block": ["YandexBot"]},
        "geo": {"mode": "shadow", "never": ["AQ"]},
    },
    "client_api": {"cardinality": {"event_names": 5, "user_properties": 4, "event_properties": 10}},
}


_EXPECTED = re.compile(r"with a status of (400|401|403|404|409|422|503)|ERR_(CONNECTION|EMPTY|INCOMPLETE)")
"""Chromium also calls an answer that says what is wrong an error, and a server that is away."""


def _is_fault(line: ConsoleMessage) -> bool:
    return line.type == "error" and not _EXPECTED.search(line.text)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser; without it the test is skipped, and fails in CI."""
    try:
        from playwright.async_api import async_playwright, expect
    except ImportError:
        missing("playwright (the extra fsproxy[browser])")
    path = tool("chromium")
    expect.set_options(timeout=WAIT)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield running
        await running.close()


@asynccontextmanager
async def opened(browser: Browser, url: str, fragment: str = "", **options: Any) -> AsyncIterator[Page]:
    """The page of an admin port; leaving the block asserts that it ran without a fault and asked nobody else."""
    context = await browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", **options})
    page = await context.new_page()
    page.set_default_timeout(WAIT)
    faults: list[str] = []
    elsewhere: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.on("console", lambda line: faults.append(line.text) if _is_fault(line) else None)
    page.on("dialog", lambda dialog: faults.append(f"a dialog: {dialog.message}"))
    page.on(
        "request", lambda request: None if request.url.startswith((url, "data:")) else elsewhere.append(request.url)
    )
    await page.goto(f"{url}/{fragment}")
    yield page
    assert faults == []
    assert elsewhere == []
    await context.close()


AXE = "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((each) => [each.id, each.nodes.map((node) => node.html)]))"


async def axe(page: Page) -> list[Any]:
    """What axe-core finds wrong with the page as it is."""
    try:
        script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
    except ModuleNotFoundError:
        missing("axe-playwright-python (the extra fsproxy[browser])")
    await page.evaluate(script)
    found: list[Any] = await page.evaluate(AXE)
    return found


async def texts(page: Page, selector: str) -> list[str]:
    """The texts of all elements that are found, each on one line."""
    return [" ".join(each.split()) for each in await page.locator(selector).all_inner_texts()]


async def text(page: Page, selector: str) -> str:
    """All that they say, as one line."""
    return " ".join(await texts(page, selector))


async def traffic(rig: Rig) -> None:
    """A little of everything."""
    for number in range(21):
        await rig.page(OrgId="o-SHOP-na1", UserId=f"u-{number}", SessionId=f"s-{number}")
    for number in range(5):
        await rig.page(OrgId="o-BLOG-na1", UserId=f"b-{number}", SessionId=f"b-{number}")
    for number in range(4):
        await rig.page({"X-Forwarded-For": f"203.0.113.{number}"})
    for _ in range(3):
        await rig.page(Url="https://staging.example.com/login")
        await rig.page({"CF-IPCountry": "AQ"})
    await rig.page({"User-Agent": "a YandexBot"})
    await rig.page(OrgId="o-OFF-na1")
    await rig.page(Url="javascript:alert(1)")
    await rig.page(OrgId="<img src=x onerror=alert(1)>")
    await rig.bundle()
    names = ["Order Completed", "Cart Viewed", "Signed Up", "<b>bold</b>", "Page Seen", "One Too Many"]
    calls = [first(name, {"price_int": "ten", "a b": 1}, when=number) for number, name in enumerate(names)]
    await rig.bundle(body=bundle(*calls, user({"plan_str": "gold"})), OrgId="o-SHOP-na1")
