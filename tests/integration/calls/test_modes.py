"""``client_api.mode``, the limits' own modes, per org, and the top-level ``mode: shadow``."""

from __future__ import annotations

from typing import Any

import pytest

from integration.calls.conftest import OrgOf
from integration.calls.rig import Rig, bundle_of, calls_of, first, fresh

pytestmark = pytest.mark.asyncio(loop_scope="session")

BAD = {"x_int": "x", "1_str": "x", "kept_int": 1}


def said(line: dict[str, Any], which: str) -> list[tuple[str, str | None]]:
    listed = [(each["code"], each.get("property")) for each in line.get(f"fsproxy.{which}", [])]
    assert line.get(f"fsproxy.{which}_count", 0) == len(listed)
    return listed


async def everything(rig: Rig, org: str) -> list[tuple[Any, bytes]]:
    """Requests that break every kind of rule, with what was sent."""
    session = fresh("s")
    bundle = bundle_of(
        first("", {}),
        first("a", BAD),
        *(first("a", {"kept_int": 1}, n) for n in range(12)),
        first("b", {}),
        first("c", {}),
    )
    sent: list[tuple[Any, bytes]] = [
        (await rig.upload(bundle, OrgId=org, SessionId=session, PageId=fresh("p"), zipped=zipped), bundle)
        for zipped in ("", "query", "header")
    ]
    sent.append((await rig.upload(bundle, OrgId=org, SessionId=fresh("s"), path="/rec/event"), bundle))
    for call, body in (
        ("event", b'{"name":"","properties":{}}'),
        ("event", b'{"name":"zzz","properties":{"x_int":"x"}}'),
        ("event", b"not JSON"),
        ("identify", b'{"uid":"null"}'),
        ("setUserVars", b'{"a_int":"x"}'),
        ("setUserVars", b'{"a_str":"' + b"x" * 525_000 + b'"}'),
    ):
        sent.append((await rig.direct(call, body, OrgId=org, SessionId=session), body))
    valid = b'{"a_int":1}'
    return sent + [(await rig.direct("setUserVars", valid, OrgId=org, SessionId=session), valid) for _ in range(8)]


async def test_shadow_changes_nothing_on_the_wire_and_the_line_says_what_would_be_cut(rig: Rig, org_of: OrgOf) -> None:
    codes: set[str] = set()
    for got, body in await everything(rig, org_of("shadow")):
        assert got.status == 200
        assert got.sent == body
        assert "FSProxy-Rejected" not in got.headers
        line = await rig.line_of(got)
        assert said(line, "rejections") == []
        assert line["fsproxy.decision"] == "forwarded"
        codes |= {code for code, _ in said(line, "shadow_rejections")}
    assert codes >= {
        "InvalidEventName", "InvalidValue", "InvalidPropertyName", "RateLimited", "CardinalityExceeded",
        "InvalidJson", "InvalidId", "TooBigToParse",
    }  # fmt: skip


async def test_off_looks_at_nothing(rig: Rig, org_of: OrgOf) -> None:
    for got, body in await everything(rig, org_of("off")):
        assert got.status == 200
        assert got.sent == body
        line = await rig.line_of(got)
        assert said(line, "rejections") == said(line, "shadow_rejections") == []


async def test_the_top_level_shadow_caps_everything(shadow_rig: Rig) -> None:
    for got, body in await everything(shadow_rig, fresh("o")):
        assert got.status == 200
        assert got.sent == body
        assert said(await shadow_rig.line_of(got), "rejections") == []
    for body in (b"not a bundle", b"\x1f\x8bcorrupt"):
        got = await shadow_rig.upload(body)
        assert got.sent == body


async def test_names_in_shadow_are_told_and_pass_while_rules_are_enforced(rig: Rig, org_of: OrgOf) -> None:
    org = org_of("names-shadow")
    got = await rig.upload(bundle_of(*(first(name, BAD) for name in "abc")), OrgId=org)
    assert [each["Args"][0] for each in calls_of(got.sent)] == ["a", "b", "c"]
    line = await rig.line_of(got)
    assert said(line, "shadow_rejections") == [("CardinalityExceeded", None)]
    assert len(said(line, "rejections")) == 6


async def test_names_off_are_not_counted(rig: Rig, org_of: OrgOf) -> None:
    org = org_of("names-off")
    body = bundle_of(*(first(name, {}) for name in "abcd"))
    got = await rig.upload(body, OrgId=org)
    assert got.sent == body
    assert said(await rig.line_of(got), "shadow_rejections") == []


@pytest.mark.parametrize(("kind", "told"), [("rate-shadow", 4), ("rate-off", 0)])
async def test_rates_have_a_mode_of_their_own(rig: Rig, org_of: OrgOf, kind: str, told: int) -> None:
    org = org_of(kind)
    got = await rig.upload(bundle_of(*(first("a", {"n_int": n}) for n in range(14)), first("", {})), OrgId=org)
    assert len(calls_of(got.sent)) == 14
    line = await rig.line_of(got)
    assert said(line, "shadow_rejections") == [("RateLimited", None)] * told
    assert said(line, "rejections") == [("InvalidEventName", None)]
    statuses = {(await rig.direct("identify", {"uid": "u1"}, OrgId=org, SessionId="one")).status for _ in range(9)}
    assert statuses == {200}


async def test_an_orgs_own_settings_are_its_own(rig: Rig, org_of: OrgOf) -> None:
    body = {"name": "a", "properties": {"a-b_str": "x"}}
    assert "FSProxy-Rejected" not in (await rig.direct("event", body, OrgId=org_of("hyphen"))).headers
    assert (await rig.direct("event", body)).headers["FSProxy-Rejected"] == "1"
