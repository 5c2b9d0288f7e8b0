"""Names that the ledger refused: taken out as if the call were judged again, at the price of what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.calls import Call, Typing
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.client_api.validation.call import refuse, validate_call
from fsproxy.core.json.cutting import cut_members
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import CallKind, Instant, Route, SessionFacts
from fsproxy.core.policy import Snapshot
from fsproxy.core.settings import (
    CardinalitySettings,
    ClientApiSettings,
    CoreSettings,
    OrgSettings,
    RateSettings,
    Window,
)
from fsproxy.core.wire.facts import BundleQuery
from fsproxy.proxy.call_limits import CallLimits
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.repeats import Repeats
from support.steps import counted

NAMES = ["a_int", "b_str", "c_int", "c", "pageName"]
VALUES = st.integers() | st.text(max_size=2)
OBJECTS = st.dictionaries(
    st.sampled_from(NAMES), VALUES | st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3), max_size=4
)


@settings(max_examples=200)
@given(
    OBJECTS,
    st.sampled_from([CallKind.EVENT, CallKind.SET_USER_VARS, CallKind.PAGE]),
    st.sampled_from(list(Typing)),
    st.sampled_from([(), ("properties",)]),
    st.lists(st.integers(0, 8), max_size=6),
    st.booleans(),
)
def test_what_is_refused_goes_as_if_the_call_were_judged_again(
    properties: dict[str, Any],
    kind: CallKind,
    typing: Typing,
    at: tuple[str, ...],
    chosen: list[int],
    event_too: bool,  # noqa: FBT001 - drawn
) -> None:
    schema = {"a_int": "int", "c": "str", "b_str": "str"} if typing is not Typing.SUFFIX else {}
    name = "E" if kind is CallKind.EVENT else None
    call = Call(kind=kind, name=name, properties=properties, schema=schema, typing=typing, at=at)
    fresh = ClientApiSettings(cardinality=CardinalitySettings(page_properties=9, page_names=9))
    first = validate_call(call, fresh)
    names = {first.names[index] for index in chosen if index < len(first.names)}
    refused = dict.fromkeys((NameKind.EVENT_PROPERTY, NameKind.USER_PROPERTY, NameKind.PAGE_PROPERTY), names)
    if event_too:
        refused |= {NameKind.EVENT_NAME: {"E"}, NameKind.PAGE_NAME: {first.page_name or "none"}}
    again, expected = refuse(call, first, refused, fresh), validate_call(call, replace(fresh), refused)
    for what in ("rejected", "rejections", "schema_cuts"):
        assert getattr(again, what) == getattr(expected, what)
    document: Any = {"properties": properties} if at else properties
    for text in (json.dumps(document).encode(), json.dumps(document, separators=(",", ":")).encode()):
        assert cut_members(text, again.cuts, ((), at)) == cut_members(text, expected.cuts, ((), at))


@pytest.mark.parametrize(
    ("properties", "refused", "left"),
    [
        ({"a_str": "x", "b_str": "y"}, {"a_str"}, {"b_str": "y"}),
        ({"a_str": "x", "b_str": "y"}, {"a_str", "c_str", "d_str"}, {"b_str": "y"}),
        ({"a_str": "x", "email": "e"}, {"a_str"}, {"email": "e"}),
        ({"a_str": "x", "b_str": "y", "email": "e"}, {"a_str", "b_str", "c_str"}, {"email": "e"}),
    ],
)
def test_only_what_is_refused_goes(properties: dict[str, Any], refused: set[str], left: dict[str, Any]) -> None:
    call, fresh = Call(kind=CallKind.SET_USER_VARS, properties=properties), ClientApiSettings()
    found = refuse(call, validate_call(call, fresh), {NameKind.USER_PROPERTY: refused}, fresh)
    assert json.loads(cut_members(json.dumps(properties).encode(), found.cuts)) == left
    assert set(found.names) == left.keys() - {"email"}
    gone = [name for name in properties if name in refused]
    assert [each.property for each in found.rejections] == gone
    assert (found.rejections[0].property, found.rejections[-1].property) == (gone[0], gone[-1])
    assert tuple(found.rejections[:1]) == (found.rejections[0],)


class Org:
    """An org in whose ledger there is no room for another property of an event."""

    def __init__(self) -> None:
        rate = RateSettings(event=(Window(10**6, 1.0),))
        api = ClientApiSettings(rate=rate)
        self.policy = Snapshot.compile(CoreSettings(default=OrgSettings(client_api=api)), 1).policy(None)
        self._limits = CallLimits(MemoryLedger(), Repeats(10_000), PageClocks(), 1.0)
        self._pages = 0

    async def upload(self, properties: dict[str, Any]) -> tuple[int, int]:
        """How many properties were refused, and the steps that all of it took."""
        text = json.dumps(properties, separators=(",", ":"))
        event = {"Kind": 8197, "Args": ["E", text], "When": 1}
        body = json.dumps({"Seq": 1, "When": 1, "Evts": [event]}, separators=(",", ":")).encode()
        self._pages += 1
        facts = SessionFacts(route=Route.BUNDLE, org="o", session_id="s", page_id=f"p{self._pages}")
        with counted() as steps:
            inspection = inspect(self.policy.client_api, Route.BUNDLE, body)
            now = Instant(1_000.0 + self._pages)
            settled = await self._limits.decide(self.policy, facts, BundleQuery(), inspection, now)
            rewrite(inspection, settled.outcome)
        return settled.outcome.rejected, steps.taken


@pytest.mark.parametrize("levels", [0, 60])
@pytest.mark.parametrize("made_up", [False, True])
async def test_refused_properties_cost_a_few_times_what_good_ones_do(made_up: bool, levels: int) -> None:  # noqa: FBT001 - parametrized
    """200 properties of 100 bytes each: judged again and searched from the root, they cost 15 times that below objects."""

    def properties(of: str) -> dict[str, Any]:
        found: dict[str, Any] = {f"{of}_property_number_{number}_str": "v" * 70 for number in range(200)}
        for _ in range(levels):
            found = {"o": found}
        return found

    async def cheapest(org: Org, of: str, *, fresh: bool, refused: int) -> int:
        costs = []
        for round_ in range(5):
            found, cost = await org.upload(properties(f"{of}{round_ if fresh else ''}"))
            assert found == refused
            costs.append(cost)
        return min(costs)

    org = Org()
    await org.upload(properties("good"))
    await org.upload({f"f{number}_int": 1 for number in range(4_800)})
    good = await cheapest(org, "good", fresh=False, refused=0)
    bad = await cheapest(org, "bad", fresh=made_up, refused=200)
    assert bad < 4 * good
