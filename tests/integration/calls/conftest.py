"""One proxy for all cases of this folder, with orgs for every mode and for small limits."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from integration.calls.rig import Rig
from support.proxy import running_proxy
from support.upstream import RecordingUpstream

SMALL = {"user_properties": 3, "event_names": 2, "event_properties": 4}
EACH = 30
"""Orgs of each kind: a case takes one that no other uses."""
KINDS: dict[str, dict[str, Any]] = {
    "small": {"cardinality": SMALL},
    "shadow": {"mode": "shadow", "cardinality": SMALL},
    "off": {"mode": "off", "cardinality": SMALL},
    "names-shadow": {"cardinality": {"mode": "shadow", **SMALL}},
    "names-off": {"cardinality": {"mode": "off", **SMALL}},
    "rate-shadow": {"rate": {"mode": "shadow"}},
    "rate-off": {"rate": {"mode": "off"}},
    "block": {"on_uninspectable": "block"},
    "hyphen": {"property_name": {"allow_hyphen": True}},
    "current": {"limits": "current"},
}
_numbers = itertools.count()
OrgOf = Callable[[str], str]


@pytest.fixture
def org_of() -> OrgOf:
    """Gives an org of a kind that no other case uses."""
    return lambda kind: f"{kind}-{next(_numbers) % EACH}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rig() -> AsyncIterator[Rig]:
    """The proxy in enforce mode."""
    listed = {f"{kind}-{number}": {"client_api": api} for kind, api in KINDS.items() for number in range(EACH)}
    async for each in _rig({"orgs": {"listed": listed}, "server": {"max_decompressed": "8MB"}}):
        yield each


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shadow_rig() -> AsyncIterator[Rig]:
    """The proxy under the top-level ``mode: shadow``, with small limits and ``on_uninspectable: block``."""
    api = {"cardinality": SMALL, "on_uninspectable": "block"}
    async for each in _rig({"mode": "shadow", "client_api": api}):
        yield each


async def _rig(config: dict[str, Any]) -> AsyncIterator[Rig]:
    async with (
        RecordingUpstream() as upstream,
        running_proxy({"upstream": {"url": upstream.url}, **config}) as proxy,
        aiohttp.ClientSession(auto_decompress=False) as client,
    ):
        yield Rig(proxy, upstream, client)
        assert "Traceback" not in proxy.log_text(), proxy.log_text()
