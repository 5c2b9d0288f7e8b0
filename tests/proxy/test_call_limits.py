"""The limits on calls against a simple oracle, on random timelines: bursts, copies, late and unordered uploads."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.inspected import Inspection
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import CallsOutcome
from fsproxy.core.limits.operations import Answer, Operation, Spend
from fsproxy.core.limits.page_clock import PageClock
from fsproxy.core.model import Instant, Route, SessionFacts
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
from fsproxy.state.memory.keys import KeyKind, key_of
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.repeats import Repeats

EVENT_WINDOWS = (Window(3, 1.0), Window(5, 10.0))
USER_WINDOWS = (Window(2, 1.0), Window(3, 10.0))
NAMES = CardinalitySettings(event_names=3, event_properties=4, user_properties=3)
START = 1_000_000.0


def policy() -> OrgPolicy:
    api = ClientApiSettings(cardinality=NAMES, rate=RateSettings(event=EVENT_WINDOWS, user=USER_WINDOWS))
    return Snapshot.compile(CoreSettings(default=OrgSettings(client_api=api)), 1).policy(None)


POLICY = policy()


def bundle(calls: list[tuple[str, str, int]]) -> bytes:
    """Calls as (event's name or "user", property, When)."""
    events = [
        {"Kind": 8193 if name == "user" else 8197, "Args": [name, json.dumps({prop: 1})], "When": when}
        for name, prop, when in calls
    ]
    return json.dumps({"Seq": 1, "When": 0, "Evts": events}).encode()


class Limits:
    """What the shell does with an upload, on a clock of the test's."""

    def __init__(self) -> None:
        self._limits = CallLimits(MemoryLedger(), Repeats(10_000), PageClocks(), 1.0)

    async def upload(self, body: bytes, page: str, now: float, start: float, skew: float = 0.0) -> CallsOutcome:
        """``start`` is the page's; ``skew`` how far the client's clock is off, both in seconds."""
        facts = SessionFacts(route=Route.BUNDLE, org="o", session_id="s", page_id=page)
        query = BundleQuery(client_time=(now + skew) * 1000, page_start=(start + skew) * 1000)
        inspection: Inspection = inspect(POLICY.client_api, Route.BUNDLE, body)
        return (await self._limits.decide(POLICY, facts, query, inspection, Instant(now))).outcome


class OthersClocks(PageClocks):
    """Clocks that another process fixed a minute earlier; its answer comes together with that to the first claims."""

    answer: asyncio.Future[None] | None = None

    def fix(self, org: str, page: str, first: float, latest: float, now: Instant) -> PageClock:
        self.answer = asyncio.get_running_loop().create_future()
        return super().fix(org, page, first, latest, now)

    def asked(self, org: str, page: str) -> asyncio.Future[None] | None:
        return self.answer if self.answer is not None and not self.answer.done() else None

    def learn(self) -> None:
        if self.answer is not None and not self.answer.done():
            self._clocks.put(key_of(KeyKind.PAGE, "o", "p"), (START - 60, START - 660, START))
            self.answer.set_result(None)


class ClaimsFirst(MemoryLedger):
    """One whose answers bring that of the clocks along; it notes what is spent."""

    def __init__(self, clocks: OthersClocks) -> None:
        super().__init__()
        self._clocks = clocks
        self.spends: list[Spend] = []

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float = 1.0) -> tuple[Answer, ...]:
        self.spends += [each for each in operations if isinstance(each, Spend)]
        self._clocks.learn()
        return await super().ask(operations, now, deadline)


async def test_a_shared_clock_that_came_with_the_claims_dates_the_calls_of_the_upload_that_asked() -> None:
    clocks = OthersClocks()
    ledger = ClaimsFirst(clocks)
    limits = CallLimits(ledger, Repeats(10_000), clocks, 1.0)
    facts = SessionFacts(route=Route.BUNDLE, org="o", session_id="s", page_id="p")
    inspection = inspect(POLICY.client_api, Route.BUNDLE, bundle([("E", "a_int", 5_000)]))
    await limits.decide(POLICY, facts, BundleQuery(), inspection, Instant(START + 5))
    assert [each.at for each in ledger.spends] == [START - 60 + 5]


class WaitingLedger(MemoryLedger):
    """One whose first answer comes when the test lets it; it notes how long each question may wait."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.deadlines: list[float] = []

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float = 1.0) -> tuple[Answer, ...]:
        self.deadlines.append(deadline)
        await self.answers.wait()
        return await super().ask(operations, now, deadline)


async def test_an_upload_that_waited_its_turn_has_the_whole_time_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    for module in ("call_limits", "limit_queries"):
        monkeypatch.setattr(f"fsproxy.proxy.{module}.monotonic", lambda: seconds[0])
    ledger = WaitingLedger()
    limits = CallLimits(ledger, Repeats(10), PageClocks(), 1.0)
    facts = SessionFacts(route=Route.BUNDLE, org="o", session_id="s", page_id="p")
    one, other = (inspect(POLICY.client_api, Route.BUNDLE, bundle([("E", "a_int", when)])) for when in (1_000, 2_000))
    async with asyncio.TaskGroup() as uploads:
        for inspection in (one, other):
            uploads.create_task(limits.decide(POLICY, facts, BundleQuery(), inspection, Instant(START)))
            await asyncio.sleep(0)
        seconds[0] += 5.0
        ledger.answers.set()
    # The first upload asks twice, and its second question comes too late; the second upload begins anew.
    assert ledger.deadlines == [1.0, -4.0, 1.0, 1.0]


class Oracle:
    """The rules, told as plainly as possible: every accepted call's time, every window looked at whole."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self.names: dict[str, set[str]] = defaultdict(set)
        self.copies: dict[Any, tuple[bool, bool]] = {}

    def upload(self, calls: list[tuple[str, str, int]], page: str, now: float, start: float) -> list[tuple[bool, bool]]:
        """For each call: is it rejected, is its one property cut."""
        seen: dict[Any, int] = defaultdict(int)
        keys = []
        for call in calls:
            keys.append((page, call, seen[call]))
            seen[call] += 1
        fresh = [key not in self.copies for key in keys]
        # Names first: event names and user properties, then the properties of the events that stand.
        refused: dict[int, str] = {}
        for index, (name, prop, _) in enumerate(calls):
            if fresh[index] and not self._claim(*(("user", prop) if name == "user" else ("events", name))):
                refused[index] = "call"
        for index, (name, prop, _) in enumerate(calls):
            if (
                fresh[index]
                and name != "user"
                and index not in refused
                and not self._claim("properties", f"{name}/{prop}")
            ):
                refused[index] = "property"
        for index, (name, _, when) in enumerate(calls):
            if not fresh[index]:
                continue
            verdict = (refused.get(index) == "call", refused.get(index) == "property")
            if not verdict[0] and not self._spend(name, start + when / 1000):
                verdict = (True, verdict[1])
            self.copies[keys[index]] = verdict
        return [self.copies[key] for key in keys]

    def _claim(self, kind: str, name: str) -> bool:
        limit = {"user": 3, "events": 3, "properties": 4}[kind]
        known = self.names[kind]
        if name not in known and len(known) >= limit:
            return False
        known.add(name)
        return True

    def _spend(self, name: str, at: float) -> bool:
        windows = USER_WINDOWS if name == "user" else EVENT_WINDOWS
        kind = "user" if name == "user" else "event"
        times = sorted([*self.times[kind], at])
        for window in windows:
            for end in times:
                if sum(end - window.seconds < each <= end for each in times) > window.limit:
                    return False
        self.times[kind] = times
        return True


CALL = st.tuples(
    st.sampled_from(["user", "user", "a", "b", "c", "d", "e"]),
    st.sampled_from(["x_int", "y_int", "z_int", "w_int", "v_int"]),
    # Powers of two, so that no sum of times is rounded.
    st.integers(0, 240).map(lambda eighth: eighth * 125),
)
UPLOADS = st.lists(
    st.tuples(
        st.sampled_from(["page 1", "page 2"]),
        st.lists(CALL, min_size=1, max_size=8),
        st.integers(0, 80).map(lambda eighth: eighth / 8),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)
STARTS = {"page 1": START, "page 2": START + 7.5}


@settings(max_examples=200, derandomize=True, database=None)
@given(UPLOADS, st.sampled_from([0.0, 3600.0, -3600.0]))
def test_random_timelines_of_two_tabs_come_out_as_the_rules_say(uploads: list[Any], skew: float) -> None:
    async def run() -> None:
        limits, oracle, now = Limits(), Oracle(), START + 37.5
        for page, calls, pause, again in uploads:
            now += pause
            body = bundle(calls)
            expected = oracle.upload(calls, page, now, STARTS[page])
            for _ in range(2 if again else 1):
                outcome = await limits.upload(body, page, now, STARTS[page], skew)
                found = [(each.rejected, bool(each.cuts) and not each.rejected) for each in outcome.calls]
                assert [rejected for rejected, _ in found] == [rejected for rejected, _ in expected]
                assert [cut for rejected, cut in found if not rejected] == [
                    cut for rejected, cut in expected if not rejected
                ]
                now += 0.125

    asyncio.run(run())


@pytest.mark.parametrize("count", [99, 101, 1000])
async def test_many_calls_come_out_like_few(count: int) -> None:
    """Beyond a hundred the work leaves the loop and the ledger is asked in slices: nothing else changes."""
    calls = [("a", "x_int", n * 125) for n in range(count)]
    outcome = await Limits().upload(bundle(calls), "p", START + 300, START + 150)
    oracle = Oracle().upload(calls, "p", START + 300, START + 150)
    assert [each.rejected for each in outcome.calls] == [rejected for rejected, _ in oracle]


async def test_a_copy_is_known_for_all_of_many_calls() -> None:
    calls = [("a", "x_int", n) for n in range(450)]
    limits = Limits()
    one = await limits.upload(bundle(calls), "p", START + 10, START)
    two = await limits.upload(bundle(calls), "p", START + 60, START)
    assert [each.rejected for each in one.calls] == [each.rejected for each in two.calls]
    assert sum(not each.rejected for each in one.calls) == 3
