"""Types that a schema gives in any of its forms, and dates as JavaScript writes them: over the wire (rules.md 2)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integration.calls.rig import Rig, bundle_of, calls_of, first, second

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAR = ["+275760-09-13T00:00:00.000Z", "-271821-04-20T00:00:00.000Z", "-000001-01-01T00:00:00.000Z", "0000-02-29"]
"""The ends of what ``toJSON`` writes, and years around 0."""


async def sent_call(rig: Rig, call: dict[str, Any]) -> tuple[Any, Any]:
    """The properties and the schema of a call, as they went up in a bundle."""
    got = await rig.upload(bundle_of(call))
    (sent,) = calls_of(got.sent)
    return json.loads(sent["Args"][1]), json.loads(sent["Args"][4]) if len(sent["Args"]) > 4 else None


async def test_dates_of_any_year_that_javascript_writes_go_up(rig: Rig) -> None:
    good = {f"d{number}_date": date for number, date in enumerate(FAR)}
    bad = {"e_date": "+275760-13-01T00:00:00.000Z", "f_date": "+2024-01-01", "g_date": "-000000-01-01"}
    assert await sent_call(rig, first("E", good | bad)) == (good, None)
    got = await rig.direct("setUserVars", good | bad)
    assert (got.status, got.headers["FSProxy-Rejected"], json.loads(got.sent)) == (200, "3", good)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("schema", "left"),
    [
        ({"location.code": "int", "location.name": "str"}, {"location.code": "int"}),
        ({"location": {"code": "int"}, "location.name": "str"}, {"location": {"code": "int"}}),
        ({"location.code": "int", "location": {"name": "str"}}, {"location.code": "int"}),
    ],
    ids=["flattened", "both", "both, the other way"],
)
async def test_a_dotted_path_gives_a_type_and_goes_with_what_is_cut(
    rig: Rig, version: int, schema: dict[str, Any], left: dict[str, Any]
) -> None:
    call = second("E", {"location": {"code": 7, "name": 5}}, schema, version)
    assert await sent_call(rig, call) == ({"location": {"code": 7}}, left)


async def test_the_server_api_takes_dotted_paths_too(rig: Rig) -> None:
    body = {
        "uid": "ann",
        "properties": {"a": {"b": 7, "c": "x"}},
        "schema": {"properties": {"a.b": "str", "a.c": "str"}},
    }
    got = await rig.server("/v2/users", body)
    assert json.loads(got.sent) == {
        "uid": "ann", "properties": {"a": {"c": "x"}}, "schema": {"properties": {"a.c": "str"}}
    }  # fmt: skip


@pytest.mark.parametrize("empty", [{"t": {}}, {"t": {"u": {}}}, {"t.u": {}}])
async def test_no_empty_entry_is_left_of_an_object_that_lost_its_last_property(rig: Rig, empty: dict[str, Any]) -> None:
    call = second("E", {"t": {"u": {"x": 1}}, "n": 1}, {**empty, "n": "int"})
    assert await sent_call(rig, call) == ({"n": 1}, {"n": "int"})


@pytest.mark.parametrize(
    ("version", "longest"), [(1, 512 - len("_real")), (2, 512)], ids=["written with a suffix", "written without"]
)
async def test_a_name_counts_as_it_was_written(rig: Rig, version: int, longest: int) -> None:
    names = ["n" * longest, "m" * (longest + 1)]
    call = second("E", dict.fromkeys(names, 1.5), dict.fromkeys(names, "real"), version)
    assert await sent_call(rig, call) == ({names[0]: 1.5}, {names[0]: "real"})
