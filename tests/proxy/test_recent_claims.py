"""Names that were admitted a moment ago are not asked for again, and no limit changes by it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import CallsOutcome
from fsproxy.core.client_api.validation.learned import SIGHTINGS
from fsproxy.core.limits.operations import Answer, Claim, Operation
from fsproxy.core.model import Instant, Mode, Route, SessionFacts
from fsproxy.core.policy import OrgPolicy, Snapshot
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


class CountingLedger(MemoryLedger):
    """One that tells what it was asked to claim."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[Claim] = []

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float = 1.0) -> tuple[Answer, ...]:
        self.claims += [each for each in operations if isinstance(each, Claim)]
        return await super().ask(operations, now, deadline)


class Limits:
    """Direct events and bundles, settled at a time of the test's."""

    def __init__(self, names: CardinalitySettings) -> None:
        rate = RateSettings(event=(Window(100, 1.0),))
        api = ClientApiSettings(cardinality=names, rate=rate)
        self.policy: OrgPolicy = Snapshot.compile(CoreSettings(default=OrgSettings(client_api=api)), 1).policy(None)
        self.ledger = CountingLedger()
        self._limits = CallLimits(self.ledger, Repeats(1000), PageClocks(), 1.0)

    def event(self, now: float, properties: object, org: str = "o", name: str = "E") -> CallsOutcome:
        return self._settle(now, Route.DIRECT_EVENT, json.dumps({"name": name, "properties": properties}), org, "")

    def bundle(self, now: float, properties: object, page: str) -> CallsOutcome:
        event = {"Kind": 8197, "Args": ["E", json.dumps(properties)], "When": 1}
        return self._settle(now, Route.BUNDLE, json.dumps({"Seq": 1, "When": 1, "Evts": [event]}), "o", page)

    def _settle(self, now: float, route: Route, body: str, org: str, page: str) -> CallsOutcome:
        facts = SessionFacts(route=route, org=org, session_id="s", page_id=page)
        found = inspect(self.policy.client_api, route, body.encode())
        settling = self._limits.decide(self.policy, facts, BundleQuery(), found, Instant(now))
        return asyncio.run(settling).outcome

    def claimed(self) -> list[str]:
        """The names claimed since the last time."""
        found = [name for each in self.ledger.claims for name in each.names]
        self.ledger.claims.clear()
        return found


def known(limits: Limits, properties: object, at: float = 1000.0) -> None:
    """Send an event until it is learned and its names are fresh at that time."""
    for _ in range(SIGHTINGS + 1):
        limits.event(at, properties)
    limits.claimed()


def test_within_a_second_the_names_of_a_known_event_are_not_claimed_again_on_any_route() -> None:
    limits = Limits(CardinalitySettings())
    known(limits, {"a_str": "x"})
    for number in range(SIGHTINGS + 1):
        limits.bundle(1000.0, {"a_str": "x"}, f"p{number}")
    limits.claimed()
    limits.event(1000.9, {"a_str": "y"})
    limits.bundle(1000.9, {"a_str": "z"}, "p")
    assert limits.claimed() == []
    limits.event(1001.0, {"a_str": "y"})
    assert limits.claimed() == ["E", "E/a_str"]


def test_a_second_is_too_long_where_names_are_kept_a_hundred() -> None:
    limits = Limits(CardinalitySettings(retention=100.0))
    known(limits, {"a_str": "x"})
    limits.event(1000.05, {"a_str": "y"})
    assert limits.claimed() == []
    limits.event(1000.1, {"a_str": "y"})
    assert limits.claimed() == ["E", "E/a_str"]


def test_a_clock_that_goes_back_makes_nothing_fresh() -> None:
    limits = Limits(CardinalitySettings())
    known(limits, {"a_str": "x"})
    limits.event(999.9, {"a_str": "y"})
    assert limits.claimed() == ["E", "E/a_str"]


def test_what_is_fresh_to_one_org_is_not_to_another() -> None:
    limits = Limits(CardinalitySettings())
    known(limits, {"a_str": "x"})
    limits.event(1000.1, {"a_str": "y"}, org="other")
    assert limits.claimed() == ["E", "E/a_str"]


def test_another_event_with_the_same_properties_claims_its_own() -> None:
    limits = Limits(CardinalitySettings())
    known(limits, {"a_str": "x"})
    limits.event(1000.1, {"a_str": "y"}, name="F")
    assert limits.claimed() == ["F", "F/a_str"]


@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.SHADOW])
def test_refused_names_are_never_fresh(mode: Mode) -> None:
    limits = Limits(CardinalitySettings(event_properties=1, mode=mode))
    limits.event(1000.0, {"a_str": "x"})
    for _ in range(5):
        limits.claimed()
        outcome = limits.event(1000.0, {"a_str": "x", "b_str": "x"})
        assert limits.claimed() == ["E", "E/a_str", "E/b_str"]
        found = outcome.calls[0].rejections if mode is Mode.ENFORCE else outcome.calls[0].shadow
        assert [each.property for each in found] == ["b_str"]


def test_names_that_are_not_counted_are_claimed_once_they_are() -> None:
    limits = Limits(CardinalitySettings(mode=Mode.OFF))
    known(limits, {"a_str": "x"})
    limits.policy = replace(
        limits.policy, client_api=replace(limits.policy.client_api, cardinality=CardinalitySettings())
    )
    known_shape = limits.event(1000.1, {"a_str": "x"})
    assert limits.claimed() == ["E", "E/a_str"]
    assert not known_shape.rejections


def test_an_event_whose_names_are_fresh_is_still_held_to_its_rate() -> None:
    limits = Limits(CardinalitySettings())
    known(limits, {"a_str": "x"})
    outcomes = [limits.event(1000.1, {"a_str": "x"}) for _ in range(100 - SIGHTINGS)]
    assert [each.rejected_calls for each in outcomes] == [0] * (100 - SIGHTINGS - 1) + [1]
    assert limits.claimed() == []
