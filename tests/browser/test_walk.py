"""The walk of docs/how-to/session-blocked.md: from a blocked page to the rule that blocks it and its line, on the operators' page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.operators_page import opened
from support.rig import ORIGIN, Rig

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")
SIZE = {"width": 1280, "height": 960}


async def test_from_a_blocked_page_to_its_rule_and_line(browser: Browser, rig: Rig) -> None:
    from playwright.async_api import expect

    blocked = await rig.page(Url="https://staging.example.com/checkout", SessionId="session-of-the-walk")
    await rig.line(blocked)
    async with opened(browser, rig.proxy.admin_url, viewport=SIZE, color_scheme="light") as page:
        await page.get_by_role("searchbox", name="Search").fill(blocked.request_id)
        rows = page.locator(".decisions tbody tr")
        await expect(rows).to_have_count(1)
        told = " ".join((await rows.first.inner_text()).split())
        for each in ("4 Domain Filter", "no-staging", "o-TEST-na1", "staging.example.com"):
            assert each in told
        await rows.first.click()
        story = page.get_by_role("dialog", name="Blocked: 4 Domain Filter")
        await expect(story.locator(".src")).to_contain_text("staging.example.com")
        for each in ("no-staging", "fsproxy.yaml:", "It was not asked."):
            await expect(story).to_contain_text(each)
        await page.get_by_role("button", name="Explain with the rules of now").click()
        verdict = page.locator("#answer > :first-child")
        for each in ("Blocked: 4 Domain Filter", "by no-staging in", "fsproxy.yaml:"):
            await expect(verdict).to_contain_text(each)
        assert await page.locator("#ask [name=org]").input_value() == "o-TEST-na1"
        assert ORIGIN not in await page.locator("#ask [name=url]").input_value()
