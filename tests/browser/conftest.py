"""Chromium, and a proxy with something to show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest_asyncio

from support.call_samples import bundle, first, user
from support.rig import Rig, running_rig
from support.tools import missing, tool

if TYPE_CHECKING:
    from playwright.async_api import Browser

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
