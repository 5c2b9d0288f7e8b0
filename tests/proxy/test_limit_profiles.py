"""One table of what pages send, and what each profile of limits rejects of it (rules.md 2)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fsproxy.config.loader import load_text
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.model import Instant, Route, SessionFacts
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.wire.facts import BundleQuery
from fsproxy.proxy.call_limits import CallLimits
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.repeats import Repeats

START = 1_000_000.0
Event = tuple[int, str, dict[str, Any], float]
"""Kind, name or scope, properties, and When in seconds."""
Uploads = Iterator[tuple[str, list[Event]]]
"""Each of a page of the one session."""
NONE: dict[str, int] = {}


def policy(written: str) -> OrgPolicy:
    config = load_text(f"upstream: {{url: http://u.test}}\nclient_api: {written}", "f.yaml", {}, Path())
    return Snapshot.compile(config.core, 1).policy(None)


async def rejected(policy: OrgPolicy, uploads: Uploads) -> dict[str, int]:
    """How many rejections of each code there are."""
    limits = CallLimits(MemoryLedger(), Repeats(10_000), PageClocks(), 1.0)
    found: Counter[str] = Counter()
    for page, events in uploads:
        written = [
            {"Kind": kind, "When": round(when * 1000), "Args": [name, json.dumps(properties)]}
            for kind, name, properties, when in events
        ]
        body = json.dumps({"Seq": 1, "When": 0, "Evts": written}).encode()
        inspection = inspect(policy.client_api, Route.BUNDLE, body)
        facts = SessionFacts(route=Route.BUNDLE, org="o", session_id="s", page_id=page)
        limited = await limits.decide(policy, facts, BundleQuery(), inspection, Instant(START + 60))
        for (code, _), count in limited.outcome.counts()[0].items():
            found[code.value] += count
    return dict(found)


def calls(kind: int, name: str, count: int, seconds: float = 0.0, pages: int = 1) -> Callable[[], Uploads]:
    """So many calls on each page, evenly over so long a time."""

    def uploads() -> Uploads:
        for page in range(pages):
            yield f"p{page}", [(kind, name, {"n_int": n}, n * seconds / count) for n in range(count)]

    return uploads


def properties(kind: int, name: str, count: int, pages: int = 1, *, shared: int = 0) -> Callable[[], Uploads]:
    """One call on each page, of so many names that no other page uses, and some that all use."""

    def uploads() -> Uploads:
        for page in range(pages):
            names = [f"n{page}_{n}_int" for n in range(count)] + [f"shared{n}_int" for n in range(shared)]
            yield f"p{page}", [(kind, name, dict.fromkeys(names, 1), 0.0)]

    return uploads


def one(kind: int, name: str, members: dict[str, Any]) -> Callable[[], Uploads]:
    return lambda: iter([("p", [(kind, name, members, 0.0)])])


def page_names(count: int) -> Callable[[], Uploads]:
    return lambda: iter([(f"p{n}", [(8193, "page", {"pageName": f"page {n % 1_002}"}, 0.0)]) for n in range(count)])


@dataclass(frozen=True)
class Row:
    what: str
    uploads: Callable[[], Uploads]
    documents: dict[str, int]
    current: dict[str, int]


TABLE = [
    Row("events in a second", calls(8197, "E", 50), {"RateLimited": 40}, {"RateLimited": 10}),
    Row("events in a minute", calls(8197, "E", 80, 59.0), {"RateLimited": 50}, {"RateLimited": 20}),
    Row("events of three pages", calls(8197, "E", 40, pages=3), {"RateLimited": 110}, NONE),
    Row("user calls in a second", calls(8193, "user", 12), {"RateLimited": 7}, {"RateLimited": 2}),
    Row("user calls in a minute", calls(8193, "user", 40, 59.0), {"RateLimited": 28}, {"RateLimited": 10}),
    Row("user calls of three pages", calls(8193, "user", 10, pages=3), {"RateLimited": 25}, NONE),
    Row("page calls in a second", calls(8193, "page", 12), NONE, {"RateLimited": 2}),
    Row("page calls in a minute", calls(8193, "page", 40, 59.0), NONE, {"RateLimited": 10}),
    Row("document calls", calls(8193, "document", 100), NONE, NONE),
    Row("properties of a page", properties(8193, "page", 60), NONE, {"CardinalityExceeded": 10}),
    Row("of many pages", properties(8193, "page", 45, 12), NONE, {"CardinalityExceeded": 40}),
    Row("the same of many pages", properties(8193, "page", 0, 12, shared=50), NONE, NONE),
    Row("of a document", properties(8193, "document", 600), NONE, NONE),
    Row("values of pageName", page_names(1_004), NONE, {"CardinalityExceeded": 2}),
    Row("user properties", properties(8193, "user", 502), {"CardinalityExceeded": 2}, {"CardinalityExceeded": 2}),
    Row("a hyphen", one(8197, "E", {"a-b_str": "x"}), {"InvalidPropertyName": 1}, NONE),
    Row("a hyphen first", one(8197, "E", {"-a_str": "x"}), *[{"InvalidPropertyName": 1}] * 2),
    Row("no suffix", one(8193, "page", {"size": "x"}), *[{"MissingPropertyType": 1}] * 2),
    Row("a long name of an event", one(8197, "E" * 251, {}), *[{"InvalidEventName": 1}] * 2),
    Row("a long value", one(8193, "page", {"a_str": "x" * 8_193}), *[{"ValueTooBig": 1}] * 2),
    Row("a long pageName", one(8193, "page", {"pageName": "x" * 1_025}), *[{"ValueTooBig": 1}] * 2),
    Row("a pageName that is none", one(8193, "page", {"pageName": 1}), *[{"InvalidValue": 1}] * 2),
]


@pytest.mark.parametrize("profile", ["documents", "current"])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.what)
async def test_each_profile_rejects_what_its_numbers_say(row: Row, profile: str) -> None:
    assert await rejected(policy(f"{{limits: {profile}}}"), row.uploads()) == getattr(row, profile)


async def test_a_single_key_wins_over_the_profile() -> None:
    own = policy("{limits: current, rate: {event: [40/s per page, 45/min]}, cardinality: {page_names: null}}")
    assert await rejected(own, calls(8197, "E", 40, pages=3)()) == {"RateLimited": 75}
    assert await rejected(own, page_names(1_004)()) == NONE


async def test_a_limit_in_shadow_rejects_nothing() -> None:
    shadow = policy("{limits: current, rate: {mode: shadow}, cardinality: {mode: shadow}}")
    assert await rejected(shadow, calls(8193, "page", 12)()) == NONE
    assert await rejected(shadow, properties(8193, "page", 60)()) == NONE
    assert await rejected(shadow, page_names(1_004)()) == NONE


async def test_what_a_page_may_no_longer_set_leaves_the_rest_of_the_call() -> None:
    own = policy("{limits: current, cardinality: {page_properties_per_page: 1, page_names: 1}}")
    limits = CallLimits(MemoryLedger(), Repeats(10), PageClocks(), 1.0)

    async def cuts(page: str, **members: Any) -> list[tuple[str, str | None, str]]:
        event = {"Kind": 8193, "When": 0, "Args": ["page", json.dumps(members)]}
        body = json.dumps({"Seq": 1, "When": 0, "Evts": [event]}).encode()
        facts = SessionFacts(route=Route.BUNDLE, org="o", session_id="s", page_id=page)
        inspection = inspect(own.client_api, Route.BUNDLE, body)
        outcome = (await limits.decide(own, facts, BundleQuery(), inspection, Instant(START))).outcome
        return [(each.code.value, each.property, each.detail) for each in outcome.rejections]

    names, values = (
        "a new name beyond 1 of a page or 500 of all pages",
        "a new value beyond the limit on values of pageName",
    )
    assert await cuts("p", pageName="Home", a_int=1) == []
    assert await cuts("p", pageName="Ann's", a_int=1, b_int=1) == [
        ("CardinalityExceeded", "pageName", values),
        ("CardinalityExceeded", "b_int", names),
    ]
    assert await cuts("q", pageName="Home", b_int=1) == []
