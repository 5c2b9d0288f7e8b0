"""Chromium, and a proxy with something to show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

from support.operators_page import CONFIG, opened, traffic
from support.rig import Rig, running_rig
from support.tools import missing, tool

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        missing("playwright (the extra fsproxy[browser])")
    path = tool("chromium")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield running
        await running.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(CONFIG) as running:
        await traffic(running)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, rig: Rig) -> AsyncIterator[Page]:
    """The page, with its list of blocked requests."""
    async with opened(browser, rig.proxy.admin_url) as shown:
        await shown.wait_for_selector(".decisions tbody tr")
        yield shown
