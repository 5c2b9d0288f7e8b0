"""Privacy rules stay on whatever the mode, unless that is asked for by name (rules.md 8)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from support.rig import Rig, running_rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPTED_OUT, BLOCKED = {"Cookie": "fs_optout=1"}, {"X-Forwarded-For": "203.0.113.9"}
CONFIG: dict[str, Any] = {
    "filters": {"ip": {"block": ["203.0.113.0/24"]}, "deleting_user": {"block": ["uid-1234"]}, "on_error": "block"},
    "audit": {"share": {"other": "100%"}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(CONFIG) as running:
        yield running


async def codes(rig: Rig) -> list[int]:
    """What becomes of a visitor who opted out, of one who is being deleted, and of one at a blocked address."""
    answers = [await rig.page(OPTED_OUT), await rig.page(AppId="uid-1234"), await rig.page(BLOCKED)]
    return [each.json()["reason_code"] if each.status == 202 else 0 for each in answers]


async def test_bypass_and_shadow_keep_them_and_privacy_off_alone_ends_them(rig: Rig) -> None:
    for body, wanted, kept in (
        ({"mode": "bypass"}, [10, 12, 0], ["opt_out", "deleting_user"]),
        ({"mode": "bypass", "privacy": "off"}, [0, 0, 0], []),
        ({"mode": "bypass"}, [10, 12, 0], ["opt_out", "deleting_user"]),
        ({"mode": "shadow"}, [10, 12, 0], ["opt_out", "deleting_user"]),
        ({"mode": "enforce"}, [10, 12, 5], ["opt_out", "deleting_user"]),
    ):
        await rig.set_mode(**body)
        assert await codes(rig) == wanted, body
        state = json.loads((await rig.admin("/readyz"))[1])
        assert (state["mode"], state["privacy"]) == (body["mode"], kept)
        status = json.loads((await rig.admin("/api/status"))[1])
        assert status["privacy_rules"] == kept
        assert ("visitors with an opt-out cookie are not captured" in status["privacy"]) is bool(kept)
        line = await rig.line(await rig.page())
        assert line.get("fsproxy.privacy") == (None if body["mode"] == "enforce" else kept)
        assert line["fsproxy.mode"] == body["mode"]


async def test_under_bypass_uploads_of_who_is_being_deleted_stop_and_all_others_go_on(rig: Rig) -> None:
    await rig.set_mode("bypass")
    session = str(uuid4())
    assert (await rig.bundle(SessionId=session)).status == 200
    assert (await rig.page(AppId="uid-1234", SessionId=session)).status == 202
    assert (await rig.bundle(SessionId=session)).status == 202
    page = str(uuid4())
    assert (await rig.page(OPTED_OUT, PageId=page)).status == 202
    assert (await rig.bundle(PageId=page)).status == 202
    assert (await rig.bundle(BLOCKED)).status == 200
    # What cannot be read goes up, to an upstream that cannot read it either; and its headers count.
    sent = await rig.send("/rec/page", b"no page")
    assert [each.body for each in rig.forwarded(sent)] == [b"no page"]
    assert (await rig.send("/rec/page", b"no page", OPTED_OUT)).status == 202
    await rig.set_mode("enforce")


async def test_a_block_of_another_rule_does_not_hold_in_shadow(rig: Rig) -> None:
    page = str(uuid4())
    assert (await rig.page(BLOCKED, PageId=page)).status == 202
    assert (await rig.bundle(PageId=page)).status == 202
    await rig.set_mode("shadow")
    assert (await rig.bundle(PageId=page)).status == 200
    await rig.set_mode("enforce")
