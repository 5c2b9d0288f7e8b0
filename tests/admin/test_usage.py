"""What is told of the limits that orgs have used, and what becomes of it while the store is slow or down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fsproxy.admin import usage
from fsproxy.admin.state_answers import MOST_ORGS
from fsproxy.admin.usage import ORGS_AT_ONCE, Usage, forecast
from fsproxy.config.loader import load_text
from fsproxy.core.limits.operations import Admit, Claim, LedgerDownError, NameKind, QuotaTerms
from fsproxy.core.model import Instant
from fsproxy.core.policy import Snapshot
from fsproxy.proxy.generation import Generation
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.memory.recent_names import RecentNames
from fsproxy.telemetry.orgs import MOST_ORGS as MOST_COUNTED_ORGS
from fsproxy.telemetry.orgs import Orgs
from support.ledgers import at_once

NOW = Instant(1_795_300_000.0)


def snapshot(**config: Any) -> Callable[[], Snapshot]:
    whole = {"upstream": {"url": "http://127.0.0.1:1"}, **config}
    made = Generation.compile(load_text(json.dumps(whole), "fsproxy.yaml", {}, Path()), 1).snapshot
    return lambda: made


def usage_of(
    ledger: Any, policies: Callable[[], Snapshot], orgs: Orgs | None = None, since: float = 0.0, *, kept: bool = True
) -> Usage:
    return Usage(ledger, policies, orgs or Orgs(), Instant(since), kept=kept)


def claim(ledger: MemoryLedger, org: str, kind: NameKind, *names: str) -> None:
    at_once(ledger, (Claim(org, kind, names, 500, 86_400.0),), NOW)


def samples(told: Usage) -> dict[tuple[str, ...], float]:
    found = [((each.name, *each.labels.values()), each.value) for family in told.collect() for each in family.samples]
    assert len(dict(found)) == len(found), "a sample is there twice"
    return dict(found)


async def test_each_kind_of_each_org_has_its_own_gauge_beside_its_limit() -> None:
    ledger = MemoryLedger()
    claim(ledger, "a", NameKind.EVENT_NAME, "x", "y")
    claim(ledger, "a", NameKind.EVENT_PROPERTY, "x/a_int")
    claim(ledger, "b", NameKind.USER_PROPERTY, "a_int")
    told = usage_of(ledger, snapshot(client_api={"cardinality": {"event_names": 7}}))
    assert samples(told) == {}
    await told.read(NOW)
    found = samples(told)
    assert found["fsproxy_names", "a", "event_name"] == 2
    assert found["fsproxy_names", "a", "event_property"] == 1
    assert found["fsproxy_names", "a", "user_property"] == 0
    assert found["fsproxy_names", "b", "user_property"] == 1
    assert found["fsproxy_names_limit", "a", "event_name"] == 7
    assert found["fsproxy_names_limit", "a", "user_property"] == 500
    assert not any(name.startswith("fsproxy_quota") for name, *_ in found)


async def test_what_pages_set_is_told_of_where_it_is_limited_and_values_of_page_name_by_their_number_alone() -> None:
    ledger = MemoryLedger()
    claim(ledger, "a", NameKind.PAGE_PROPERTY, "step_int", "cart_real")
    claim(ledger, "a", NameKind.PAGE_NAME, "\0digest")
    told = usage_of(ledger, snapshot(client_api={"limits": "current"}))
    (org,) = (await told.report(NOW))["orgs"]
    assert {kind: (each["known"], each["limit"]) for kind, each in org["names"].items()} == {
        "user_property": (0, 500), "event_name": (0, 1_000), "event_property": (0, 5_000),
        "page_property": (2, 500), "page_name": (1, 1_000),
    }  # fmt: skip
    assert [each["name"] for each in org["names"]["page_property"]["newest"]] == ["cart_real", "step_int"]
    assert org["names"]["page_name"]["newest"] == org["names"]["page_name"]["refused"] == []
    assert samples(told)["fsproxy_names", "a", "page_name"] == 1
    documents = usage_of(ledger, snapshot())
    (org,) = (await documents.report(NOW))["orgs"]
    assert "page_property" not in org["names"]


async def test_a_listed_org_with_a_quota_is_told_of_before_its_first_session() -> None:
    orgs = {"o-quota": {"filters": {"quota": {"sessions": 10, "spill_over": "0%"}}}, "o-none": {}}
    told = usage_of(MemoryLedger(), snapshot(orgs={"listed": orgs}))
    (org,) = await told.read(NOW)
    assert (org.org, org.used) == ("o-quota", 0)
    found = samples(told)
    assert (found["fsproxy_quota_used", "o-quota"], found["fsproxy_quota_limit", "o-quota"]) == (0, 10)


async def test_orgs_are_bounded_and_those_that_claimed_last_are_told_of() -> None:
    ledger = MemoryLedger()
    for number in range(MOST_ORGS + 50):
        claim(ledger, f"o-{number}", NameKind.EVENT_NAME, "x")
    told = usage_of(ledger, snapshot())
    assert [each.org for each in await told.read(NOW)] == [f"o-{number}" for number in range(149, 49, -1)]


async def test_ids_that_look_alike_when_escaped_do_not_make_a_sample_stand_twice() -> None:
    ledger = MemoryLedger()
    for org in ("a\n", "a\\u000a"):
        claim(ledger, org, NameKind.EVENT_NAME, "x")
    told = usage_of(ledger, snapshot())
    await told.read(NOW)
    assert {labels[1] for labels in samples(told)} == {"a\\u000a"}


# -- a ledger that must be asked


@dataclass
class Distant:
    """A ledger whose counts stand elsewhere."""

    orgs: list[str] = field(default_factory=lambda: ["o-1"])
    lost: set[str] = field(default_factory=set)
    """Orgs whose server is known to be down."""
    recent_names: RecentNames = field(default_factory=RecentNames)
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    down: bool = False

    def recent_orgs(self, most: int) -> list[str]:
        return self.orgs[:most]

    def is_down(self, org: str) -> bool:
        return org in self.lost

    async def org_usage(self, org: str) -> tuple[Mapping[str, int], Mapping[NameKind, int]]:
        self.asked.append(org)
        number = len(self.asked)
        if self.down:
            raise LedgerDownError
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return {}, dict.fromkeys(NameKind, number)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, in one element."""
    time = [100.0]
    monkeypatch.setattr(usage, "monotonic", lambda: time[0])
    return time


def names(told: tuple[usage.OrgUsage, ...]) -> list[int | None]:
    return [each.names[NameKind.EVENT_NAME] if each.names is not None else None for each in told]


async def test_what_was_told_is_told_again_for_some_seconds_and_a_new_org_is_asked_about_alone(
    clock: list[float],
) -> None:
    ledger = Distant()
    told = usage_of(ledger, snapshot())
    assert names(await told.read(NOW)) == [1]
    ledger.orgs = ["o-2", "o-1"]
    assert names(await told.read(NOW)) == [2, 1]
    assert names(await told.read(NOW)) == [2, 1]
    clock[0] += usage.KEPT_SECONDS
    assert names(await told.read(NOW)) == [3, 4]
    assert ledger.asked == ["o-1", "o-2", "o-2", "o-1"]


async def test_it_is_asked_for_a_few_orgs_at_a_time() -> None:
    ledger = Distant(orgs=[f"o-{number}" for number in range(3 * ORGS_AT_ONCE)])
    assert None not in names(await usage_of(ledger, snapshot()).read(NOW))
    assert ledger.most_at_once == ORGS_AT_ONCE


async def test_while_it_is_down_nothing_is_known_but_the_limits_and_it_is_asked_once(clock: list[float]) -> None:
    ledger = Distant(down=True)
    told = usage_of(ledger, snapshot(filters={"quota": {"sessions": 10}}))
    for _ in range(2):
        (org,) = await told.read(NOW)
        assert (org.used, org.names, told.known) == (None, None, False)
    assert ledger.asked == ["o-1"]
    found = samples(told)
    assert {name for name, *_ in found} == {"fsproxy_quota_limit", "fsproxy_names_limit"}
    ledger.down = False
    clock[0] += usage.KEPT_SECONDS
    assert names(await told.read(NOW)) == [2]
    assert told.known


async def test_one_that_is_too_slow_for_all_orgs_is_not_known_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "ASK_SECONDS", 0.0)
    told = usage_of(Distant(), snapshot())
    assert names(await told.read(NOW)) == [None]
    assert not told.known


async def test_one_that_has_gone_down_since_it_was_asked_makes_what_it_said_unknown() -> None:
    ledger = Distant()
    told = usage_of(ledger, snapshot())
    await told.read(NOW)
    ledger.lost.add("o-1")
    assert names(await told.read(NOW)) == [None]
    assert ledger.asked == ["o-1"]
    assert not told.known


async def test_a_lost_node_makes_the_counts_of_its_own_orgs_unknown() -> None:
    ledger = Distant(["o-1", "o-2"], {"o-2"})
    told = usage_of(ledger, snapshot())
    assert names(await told.read(NOW)) == [1, None]
    assert ledger.asked == ["o-1"]
    assert told.known


# -- sessions, bytes and the forecast

HOUR = 3600.0


@pytest.mark.parametrize(
    ("used", "since", "expected"),
    [
        (None, 0.0, None),
        (50, NOW - HOUR + 1, None),
        (0, NOW - HOUR, {"used_up_at": None, "at_end": 0}),
        (50, NOW - 10 * HOUR, {"used_up_at": NOW + 10 * HOUR, "at_end": 150}),
        (20, NOW - 10 * HOUR, {"used_up_at": None, "at_end": 60}),
        (100, NOW - 10 * HOUR, {"used_up_at": NOW, "at_end": 300}),
    ],
)
def test_a_forecast_goes_on_at_the_pace_of_the_cycle_so_far(used: int | None, since: float, expected: Any) -> None:
    terms = QuotaTerms("c", 100, Instant(NOW + 20 * HOUR), enforced=True)
    assert forecast(used, terms, since, NOW) == expected


async def test_a_pace_is_known_from_the_cycles_beginning_only_where_counts_outlive_the_program() -> None:
    policies = snapshot(filters={"quota": {"sessions": 10}}, orgs={"listed": {"o-1": {}}})
    ledger = MemoryLedger()
    quota = policies().policy("o-1").quota
    assert quota is not None
    at_once(ledger, (Admit("o-1", "t", "s", "u", ramped_out=False, quota=quota.terms(NOW)),), NOW)
    for kept, known in ((True, True), (False, False)):
        (told,) = (await usage_of(ledger, policies, since=NOW - 60, kept=kept).report(NOW))["orgs"]
        assert told["quota"] is not None
        assert (told["quota"]["forecast"] is not None) is known


async def test_sessions_and_bytes_are_told_of_each_org_and_not_of_one_that_is_counted_with_others() -> None:
    orgs = Orgs()
    counts = orgs.admit("o-1", listed=True)
    counts.sessions, counts.up, counts.down = 3, 40, 50
    listed = {"o-1": {}, "o-2": {}}
    policies = snapshot(filters={"quota": {"sessions": 10}}, orgs={"listed": listed})
    report = await usage_of(MemoryLedger(), policies, orgs, 7.0).report(NOW)
    assert report["since"] == 7.0
    told = {each["org"]: (each["sessions"], each["upstream_bytes"]) for each in report["orgs"]}
    assert told == {"o-1": (3, {"up": 40, "down": 50}), "o-2": (0, {"up": 0, "down": 0})}
    for number in range(MOST_COUNTED_ORGS):
        orgs.admit(f"x-{number}", listed=True).ended.update("x")  # type: ignore[arg-type]
    report = await usage_of(MemoryLedger(), policies, orgs, 7.0).report(NOW)
    assert {each["org"]: each["sessions"] for each in report["orgs"]} == {"o-1": 3, "o-2": None}
