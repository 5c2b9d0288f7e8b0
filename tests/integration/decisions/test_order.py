"""The order of the filters, and shadows, which never hide a later real hit (rules.md 1)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.everything import FIELDS, FILTERS, HEADERS, ORDER, shadowed, worst_page
from support.rig import Rig, running_rig
from support.upstream import status

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = [name for name, _ in ORDER]
JUDGED = ORDER[1:]
"""Without the org's, whose mode no org can change."""


def _config() -> dict[str, Any]:
    listed: dict[str, Any] = {"o-OFF-na1": {"enabled": False}, "o-ALL-na1": {"filters": shadowed(*FILTERS)}}
    for place, (name, _) in enumerate(JUDGED):
        listed[f"o-UNTIL-{name}"] = {"filters": shadowed(*(each for each, _ in JUDGED[:place]))}
        listed[f"o-OFF-{name}"] = {"filters": {each: {"mode": "off"} for each, _ in JUDGED[:place]}}
        listed[f"o-ONLY-{name}"] = {"filters": {each: {"mode": "off"} for each in FILTERS if each != name}}
        listed[f"o-SHADOW-{name}"] = {
            "filters": {each: {"mode": "off" if each != name else "shadow"} for each in FILTERS}
        }
    return {"orgs": {"listed": listed}, "filters": FILTERS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(_config()) as running:
        yield running


async def test_the_org_is_judged_before_all_rules(rig: Rig) -> None:
    answer = await worst_page(rig, "o-OFF-na1")
    assert answer.json()["reason_code"] == 2
    assert (await rig.line(answer))["fsproxy.filter"] == "org"


@pytest.mark.parametrize("place", range(len(JUDGED)), ids=[name for name, _ in JUDGED])
async def test_of_all_filters_that_hit_the_first_that_is_enforced_blocks(rig: Rig, place: int) -> None:
    """Those before it are in shadow: they are noted in order, and hide nothing."""
    name, code = JUDGED[place]
    answer = await worst_page(rig, f"o-UNTIL-{name}")
    assert (answer.status, answer.json()["reason_code"]) == (202, code)
    assert rig.forwarded(answer) == []
    line = await rig.line(answer)
    assert (line["fsproxy.filter"], line["fsproxy.reason_code"]) == (name, code)
    noted = [(each["filter"], each["reason_code"]) for each in line.get("fsproxy.shadow", [])]
    assert noted == list(JUDGED[:place])
    assert all(each["rule.id"].startswith(each["filter"]) for each in line.get("fsproxy.shadow", []))


@pytest.mark.parametrize(("name", "code"), JUDGED)
async def test_a_filter_that_is_off_is_not_even_noted(rig: Rig, name: str, code: int) -> None:
    answer = await worst_page(rig, f"o-OFF-{name}")
    assert answer.json()["reason_code"] == code
    assert "fsproxy.shadow" not in await rig.line(answer)


@pytest.mark.parametrize(("name", "code"), JUDGED)
async def test_each_filter_blocks_alone_and_in_shadow_only_notes(rig: Rig, name: str, code: int) -> None:
    alone = await worst_page(rig, f"o-ONLY-{name}")
    assert alone.json()["reason_code"] == code
    shadow = await worst_page(rig, f"o-SHADOW-{name}")
    assert shadow.status == 200
    assert len(rig.forwarded(shadow)) == 1
    line = await rig.line(shadow)
    assert line["fsproxy.decision"] == "captured"
    assert [each["filter"] for each in line["fsproxy.shadow"]] == [name]
    assert "fsproxy.reason_code" not in line


async def test_when_all_are_shadows_nothing_is_blocked_and_all_is_noted(rig: Rig) -> None:
    answer = await worst_page(rig, "o-ALL-na1")
    assert answer.status == 200
    line = await rig.line(answer)
    assert [each["filter"] for each in line["fsproxy.shadow"]] == NAMES[1:]


async def test_decisions_are_counted_by_code_filter_and_mode(rig: Rig) -> None:
    name = "fsproxy_decisions_total"
    before = [
        await rig.counted(name, reason_code="5", filter="ip", mode="enforce"),
        await rig.counted(name, reason_code="4", filter="domain", mode="shadow"),
        await rig.counted(name, reason_code="0", filter="", mode=""),
    ]
    await rig.line(await worst_page(rig, "o-UNTIL-ip"))
    await rig.line(await worst_page(rig, "o-ALL-na1"))
    after = [
        await rig.counted(name, reason_code="5", filter="ip", mode="enforce"),
        await rig.counted(name, reason_code="4", filter="domain", mode="shadow"),
        await rig.counted(name, reason_code="0", filter="", mode=""),
    ]
    assert [new - old for old, new in zip(before, after, strict=True)] == [1, 2, 1]


async def test_top_level_shadow_blocks_nothing_and_notes_everything_where_privacy_rules_do_too() -> None:
    orgs = {"unlisted": "block", "listed": {"o-OFF-na1": {"enabled": False}}}
    privacy = {name: {**FILTERS[name], "mode": "shadow"} for name in ("opt_out", "deleting_user")}
    async with running_rig({"mode": "shadow", "orgs": orgs, "filters": {**FILTERS, **privacy}}) as rig:
        answer = await worst_page(rig, "o-OFF-na1")
        assert answer.status == 200
        line = await rig.line(answer)
        assert line["fsproxy.mode"] == "shadow"
        assert [(each["filter"], each["reason_code"]) for each in line["fsproxy.shadow"]] == list(ORDER)

        # A bundle of that very page, and one of an unlisted org.
        bundle = await rig.bundle(HEADERS, OrgId="o-OFF-na1")
        assert bundle.status == 200
        noted = [each["filter"] for each in (await rig.line(bundle))["fsproxy.shadow"]]
        assert noted == ["org", "domain", "ip", "user_agent"]
        unlisted = await rig.bundle(OrgId="o-WHO-na1")
        assert unlisted.status == 200
        assert [each["reason_code"] for each in (await rig.line(unlisted))["fsproxy.shadow"]] == [1]
        assert len(rig.upstream.received) == 3


async def test_top_level_bypass_without_privacy_judges_nothing_and_forwards_everything() -> None:
    async with running_rig({"mode": "bypass", "orgs": {"unlisted": "block"}, "filters": FILTERS}) as rig:
        rig.upstream.on("POST", "/rec/page", status(200, b"{}"))
        await rig.set_mode("bypass", privacy="off")
        page = await rig.page(HEADERS, **FIELDS)
        no_page = await rig.send("/rec/page", b"not a page")
        bundle = await rig.bundle(HEADERS)
        assert [each.status for each in (page, no_page, bundle)] == [200, 200, 200]
        assert rig.forwarded(no_page)[0].body == b"not a page"
        for answer in (page, no_page, bundle):
            line = await rig.line(answer)
            assert line["fsproxy.mode"] == "bypass"
            assert "fsproxy.shadow" not in line
        assert "fsproxy_decisions_total{" not in (await rig.admin("/metrics"))[1]
