"""The walk of docs/how-to/session-blocked.md: from a blocked page to the rule that blocks it and its line, on the operators' page.

With FSPROXY_SCREENSHOTS=docs it also takes the README's picture, docs/operators-page.png.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.rig import ORIGIN, Rig

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOTS = os.environ.get("FSPROXY_SCREENSHOTS")
SIZE = {"width": 1280, "height": 960}
LARGEST = 200 * 1024
"""Bytes of the picture, which stands in the repository."""

WITHOUT = """(shown, folder) => {
  const walker = document.createTreeWalker(shown, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replace(folder, "");
}"""


async def test_from_a_blocked_page_to_its_rule_and_line(browser: Browser, rig: Rig) -> None:
    from playwright.async_api import expect

    blocked = await rig.page(Url="https://staging.example.com/checkout", SessionId="session-of-the-walk")
    await rig.line(blocked)
    context = await browser.new_context(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
    page = await context.new_page()
    page.set_default_timeout(15_000)
    await page.goto(rig.proxy.admin_url + "/")
    await page.get_by_text("live", exact=True).wait_for()
    search = page.get_by_role("searchbox", name="Search")
    await search.fill(blocked.request_id)
    rows = page.locator("#decision-rows tr")
    await expect(rows).to_have_count(1)
    told = " ".join((await rows.first.inner_text()).split())
    for each in ("4 Domain Filter", "no-staging", "fsproxy.yaml:", "o-TEST-na1", "staging.example.com"):
        assert each in told
    await rows.first.get_by_role("button", name="Details of request").click()
    await page.get_by_role("button", name="Explain with the rules of now").click()
    verdict = page.locator("#why-result > :first-child")
    for each in ("Blocked: 4 Domain Filter", "by the rule no-staging in", f"{rig.proxy.config_path}:"):
        await expect(verdict).to_contain_text(each)
    assert await page.locator("#why-form [name=org]").input_value() == "o-TEST-na1"
    assert ORIGIN not in await page.locator("#why-form [name=url]").input_value()
    if SHOTS:
        await search.fill("")
        await expect(rows.nth(10)).to_be_attached()
        await search.blur()
        # The folder is this run's alone.
        await page.locator("#why-result").evaluate(WITHOUT, f"{rig.proxy.folder}/")
        await page.evaluate("scrollTo(0, 0)")
        file = Path(SHOTS) / "operators-page.png"
        await page.screenshot(path=file)
        assert file.stat().st_size <= LARGEST
    await context.close()
