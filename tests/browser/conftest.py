"""Chromium, and a proxy with something to show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

from support.operators_page import CONFIG, chromium, opened, traffic
from support.rig import Rig, running_rig

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


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
