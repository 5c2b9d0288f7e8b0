"""Four generations of recorders, each with a visit of two pages as it sends them (wire.md 1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

from support.rig import Answer, Rig

STARTED = 1_795_287_341_564
"""Unix milliseconds; nothing depends on them."""


async def _own_ids(rig: Rig, org: str, compiled: int, **missing: None) -> list[Answer]:
    """Builds up to 2023: the page names no session, bundles and cookie carry ids that the recorder made itself."""
    user, session, page = str(uuid4()), str(uuid4()), str(uuid4())
    cookie = {"Cookie": f"theme=dark; fs_uid=#{org}#{user}:{session}:{STARTED}:{STARTED}:1#/1826823341"}
    nothing = {"SessionId": None, "PageId": None, "SessionKeyHash": None, "PageKeyHash": None, **missing}
    first = await rig.page(OrgId=org, UserId="", CompiledTimestamp=compiled, **nothing)
    bundle = await rig.bundle(cookie, OrgId=org, UserId=user, SessionId=session, PageId=page)
    second = await rig.page(cookie, OrgId=org, UserId=user, CompiledTimestamp=compiled, **nothing)
    return [first, bundle, second]


async def _answered_ids(rig: Rig, org: str, compiled: int, **missing: None) -> list[Answer]:
    """Builds since 2025: what the answer says is used from then on, in bundles and in the next page."""
    first = await rig.page(OrgId=org, UserId="", CompiledTimestamp=compiled, **missing)
    if first.status != 200:
        return [first]
    ids = first.json()
    user, session = ids["UserUUID"], ids["SessionUUID"]
    bundle = await rig.bundle(OrgId=org, UserId=user, SessionId=session, PageId=ids["PageUUID"])
    second = await rig.page(OrgId=org, UserId=user, SessionId=session, CompiledTimestamp=compiled, **missing)
    return [first, bundle, second]


async def build_2021(rig: Rig, org: str) -> list[Answer]:
    """Also without a SnippetVersion."""
    return await _own_ids(rig, org, 1_630_000_000, SnippetVersion=None, TabId=None)


async def build_2022(rig: Rig, org: str) -> list[Answer]:
    """Also without a TabId."""
    return await _own_ids(rig, org, 1_661_778_047, TabId=None)


async def build_2023(rig: Rig, org: str) -> list[Answer]:
    """The last that does not say its session."""
    return await _own_ids(rig, org, 1_683_814_955)


async def build_2025(rig: Rig, org: str) -> list[Answer]:
    """Without the keys' hashes."""
    return await _answered_ids(rig, org, 1_740_864_065, SessionKeyHash=None, PageKeyHash=None)


async def build_2026(rig: Rig, org: str) -> list[Answer]:
    """All fields."""
    return await _answered_ids(rig, org, 1_770_727_426)


BUILDS: tuple[Callable[[Rig, str], Awaitable[list[Answer]]], ...] = (
    build_2021,
    build_2022,
    build_2023,
    build_2025,
    build_2026,
)
