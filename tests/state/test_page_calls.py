"""The calls of a page keep their distances, however its uploads travel (rules.md 2, "Time of a call in an upload")."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.limits.operations import Ledger
from fsproxy.core.model import Instant, Route, SessionFacts
from fsproxy.core.policy import Snapshot
from fsproxy.core.settings import ClientApiSettings, CoreSettings, OrgSettings, RateSettings, Window
from fsproxy.core.wire.facts import BundleQuery
from fsproxy.proxy.call_limits import CallLimits
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.shared_clocks import SharedPageClocks
from fsproxy.state.redis.write_limits import WriteRate
from fsproxy.state.repeats import Repeats
from support.ledgers import fresh_org
from support.valkey import server_at

START = 1_790_000_000.0
CLIENT = 1_234_567_890_000
"""The page's start by a client whose clock is wrong, in milliseconds."""
TIGHT = (Window(3, 1.0), Window(5, 10.0))
LONGEST_DELAY = 600


@dataclass(frozen=True)
class Sent:
    """One arrival of an upload."""

    whens: tuple[int, ...]
    """Of its calls, in milliseconds since the page's start."""
    arrival: float
    """Seconds since the page's start."""
    client_time: int | None = None
    """Milliseconds since the page's start."""
    route: Route = Route.BUNDLE
    page: str = "p"
    opaque: int | None = None
    """The ``When`` of an event behind the calls that is none."""

    @property
    def body(self) -> bytes:
        # The name of its property makes no two calls of one page the same.
        events = [{"Kind": 8197, "Args": ["e", json.dumps({"n_int": when})], "When": when} for when in self.whens]
        if self.opaque is not None:
            events.append({"Kind": 20, "Args": [], "When": self.opaque})
        return json.dumps({"Seq": 1, "When": 0, "Evts": events}).encode()


class Process:
    """One process's limits, on a clock of the test's."""

    def __init__(self, ledger: Ledger, clocks: PageClocks, windows: tuple[Window, ...]) -> None:
        self._limits = CallLimits(ledger, Repeats(10_000), clocks, 30.0)
        api = ClientApiSettings(rate=RateSettings(event=windows, user=windows))
        self._policy = Snapshot.compile(CoreSettings(default=OrgSettings(client_api=api)), 1).policy(None)

    async def take(self, sent: Sent, org: str) -> dict[int, bool]:
        """For each call by its ``When``: does it pass."""
        facts = SessionFacts(route=sent.route, org=org, session_id="s", page_id=sent.page)
        upload = BundleQuery()
        if sent.client_time is not None:
            upload = BundleQuery(client_time=float(CLIENT + sent.client_time), page_start=float(CLIENT))
        now = Instant(START + sent.arrival)
        inspection = inspect(self._policy.client_api, sent.route, sent.body)
        if not inspection.calls:
            await self._limits.observe_clock(facts, upload, inspection, now)
            await asyncio.sleep(0)
            return {}
        settled = await self._limits.decide(self._policy, facts, upload, inspection, now)
        assert not settled.ledger_down
        return {when: not each.rejected for when, each in zip(sent.whens, settled.outcome.calls, strict=True)}


class Deployment(Protocol):
    """Processes that share what they count."""

    def take(
        self, uploads: list[Sent], processes: int = 1, windows: tuple[Window, ...] = TIGHT
    ) -> list[dict[int, bool]]:
        """Give each upload to the next of the processes; a page's first one makes a new org of all of them."""
        ...


class InMemory:
    """One process that counts by itself."""

    def take(
        self, uploads: list[Sent], processes: int = 1, windows: tuple[Window, ...] = TIGHT
    ) -> list[dict[int, bool]]:
        process = Process(MemoryLedger(), PageClocks(), windows)

        async def run() -> list[dict[int, bool]]:
            return [await process.take(sent, "o") for sent in uploads]

        return asyncio.run(run())


@dataclass
class OverValkey:
    """Processes with clocks and repeats of their own, on one server."""

    url: str
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    ledgers: list[RedisLedger] = field(default_factory=list)

    def __post_init__(self) -> None:
        async def start() -> None:
            for _ in range(3):
                self.ledgers.append(
                    RedisLedger(server_at(self.url), f"page-calls-{id(self)}:", 30.0, callers_clock=True)
                )
                await self.ledgers[-1].start()

        self.runner.run(start())

    def take(
        self, uploads: list[Sent], processes: int = 1, windows: tuple[Window, ...] = TIGHT
    ) -> list[dict[int, bool]]:
        org = fresh_org()
        used = [
            Process(each, SharedPageClocks(each, WriteRate("page_clocks", 10_000, 10_000)), windows)
            for each in self.ledgers[:processes]
        ]

        async def run() -> list[dict[int, bool]]:
            return [await used[n % processes].take(sent, org) for n, sent in enumerate(uploads)]

        return self.runner.run(run())

    def close(self) -> None:
        async def close() -> None:
            for each in self.ledgers:
                await each.close()

        self.runner.run(close())
        self.runner.close()


@pytest.fixture(scope="module", params=["memory", "valkey"])
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    if request.param == "memory":
        yield InMemory()
        return
    made = OverValkey(request.getfixturevalue("valkey").url)
    yield made
    made.close()


def fits(whens: list[int], when: int, windows: tuple[Window, ...] = TIGHT) -> bool:
    """With this call, no window anywhere holds more than its limit."""
    timeline = [*whens, when]
    return all(
        sum(end - window.seconds * 1000 < each <= end for each in timeline) <= window.limit
        for window in windows
        for end in timeline
    )


def lawful(whens: list[int], windows: tuple[Window, ...] = TIGHT) -> list[int]:
    """Those of a page's calls that obey the limits together."""
    kept: list[int] = []
    for when in whens:
        if fits(kept, when, windows):
            kept.append(when)
    return kept


def uploads_of(whens: list[int], draw: Any, *, client_time: bool) -> list[Sent]:
    """A page's uploads as they arrive: cut by time, delayed, lost, repeated, and some of the calls sent ahead of them."""
    interval = draw(st.sampled_from([1_000, 5_000, 20_000]))
    delays = st.one_of(st.just(0), st.integers(0, 20), st.integers(0, LONGEST_DELAY), st.just(LONGEST_DELAY))
    sent: list[Sent] = []
    for number in range(max(whens, default=0) // interval + 1):
        ends = (number + 1) * interval
        calls = tuple(when for when in whens if ends - interval <= when < ends)
        opaque = draw(st.sampled_from([None, ends - 1, ends - interval]))
        copies: list[tuple[Route, tuple[int, ...], int | None]] = [(Route.BUNDLE, calls, opaque)] * draw(
            st.sampled_from([0, 1, 1, 1, 2, 3])
        )
        if calls and draw(st.booleans()):
            some = tuple(when for when in calls if draw(st.booleans()))
            copies.append((Route.EVENT, some, ends - 1))
        for route, part, last in copies:
            # No later than 10 minutes after the first of its calls was made.
            late = min(draw(delays), LONGEST_DELAY - interval / 1000)
            told = ends + draw(st.sampled_from([0, 0, int(late * 1000)])) if client_time else None
            sent.append(Sent(part, ends / 1000 + late, told, route, opaque=last))
    return sorted(sent, key=lambda each: each.arrival)


MOMENTS = st.lists(
    st.one_of(st.integers(0, 60_000), st.integers(0, 60).map(lambda n: n * 1_000), st.integers(0, 4_000)), max_size=40
)


@settings(max_examples=120, derandomize=True, database=None)
@given(moments=MOMENTS, client_time=st.booleans(), processes=st.integers(1, 3), data=st.data())
def test_a_page_that_obeys_the_limits_by_its_own_time_loses_no_call(
    deployment: Deployment, moments: list[int], *, client_time: bool, processes: int, data: st.DataObject
) -> None:
    whens = sorted(set(lawful(moments)))
    uploads = uploads_of(whens, data.draw, client_time=client_time)
    for sent, passed in zip(uploads, deployment.take(uploads, processes), strict=True):
        assert all(passed.values()), (sent, passed)


@settings(max_examples=80, derandomize=True, database=None)
@given(moments=MOMENTS, client_time=st.booleans(), processes=st.integers(1, 3), data=st.data())
def test_a_page_that_does_not_obey_them_is_limited_by_its_own_time_alone(
    deployment: Deployment, moments: list[int], *, client_time: bool, processes: int, data: st.DataObject
) -> None:
    """A call passes exactly when it fits with the page's calls that passed before, whenever each of them arrived."""
    uploads = uploads_of(sorted(set(moments)), data.draw, client_time=client_time)
    counted: list[int] = []
    verdicts: dict[int, bool] = {}
    for sent, passed in zip(uploads, deployment.take(uploads, processes), strict=True):
        for when in sent.whens:
            if when not in verdicts:
                verdicts[when] = fits(counted, when)
                counted += [when] if verdicts[when] else []
            assert passed[when] is verdicts[when], (sent, when)


SEED = RateSettings().event


def test_the_calls_of_a_held_up_first_upload_are_not_pressed_together(deployment: Deployment) -> None:
    """As recorded: 3 calls held up on their way, and 23 at 1.43 a second in the next upload."""
    first = Sent((3_100, 4_000, 4_771), 20.866)
    second = Sent(tuple(5_466 + n * 700 for n in range(23)), 25.866, opaque=20_866)
    assert second.whens[-1] == 20_866
    assert [sum(each.values()) for each in deployment.take([first, second], windows=SEED)] == [3, 23]


@pytest.mark.parametrize("client_time", [False, True])
def test_a_page_that_was_offline_for_12_seconds_at_its_start_loses_nothing(
    deployment: Deployment, *, client_time: bool
) -> None:
    """28 events at an allowed pace: what was waiting comes at once, each upload repeated, the rest as it is made."""
    whens = [n * 700 for n in range(28)]
    uploads = []
    for number in range(5):
        calls = tuple(when for when in whens if number * 4_000 <= when < (number + 1) * 4_000)
        arrival = max(12.0 + number / 100, (number + 1) * 4.0)
        told = (number + 1) * 4_000 if client_time else None
        uploads += [Sent(calls, arrival, told), Sent(calls, arrival + 0.005, told)]
    assert [sum(each.values()) for each in deployment.take(uploads, windows=SEED)] == [
        len(each.whens) for each in uploads
    ]


def test_a_page_goes_on_after_a_restart_that_forgot_its_clock() -> None:
    whens = list(range(0, 60_000, 2_000))
    uploads = [Sent(tuple(whens[n : n + 3]), whens[n + 2] / 1000 + (9.0 if n == 15 else 0.1)) for n in range(0, 30, 3)]
    before, after = InMemory(), InMemory()
    passed = before.take(uploads[:5], windows=SEED) + after.take(uploads[5:], windows=SEED)
    assert all(all(each.values()) for each in passed)


def test_what_was_counted_moves_with_the_pages_clock(deployment: Deployment) -> None:
    """Page p's calls were made 100 s before they arrived; page q's of that time find their windows full, others none."""
    held_up = Sent((0, 100, 200), 100.2)
    prompt = Sent((1_000,), 1.0 + 100.5)
    shows_it = Sent((), 110.0, opaque=110_000)
    late = Sent((250,), 115.0, client_time=115_000, page="q", opaque=110_000)
    then = Sent((100_000, 100_100, 100_200), 115.1, page="q", opaque=110_000)
    passed = deployment.take([held_up, prompt, shows_it, late, then])
    assert [list(each.values()) for each in passed] == [[True] * 3, [True], [], [False], [True] * 3]


def test_two_pages_of_a_session_share_its_limits(deployment: Deployment) -> None:
    uploads = [Sent((0, 100, 200), 0.2), Sent((0, 100, 200), 0.5, page="q")]
    assert [sum(each.values()) for each in deployment.take(uploads)] == [3, 0]


def test_a_page_cannot_move_its_clock_by_more_than_ten_minutes(deployment: Deployment) -> None:
    """Each upload says that the page is a minute older. Once it has been believed ten times, its calls share a window."""
    uploads = [Sent((n * 60_000, n * 60_000 + 10), float(n)) for n in range(20)]
    passed = [sum(each.values()) for each in deployment.take(uploads)]
    assert passed[:10] == [2] * 10
    assert sum(passed[10:]) <= 4 + 2 * 5


def test_an_upload_of_an_hour_ago_is_judged_by_its_own_distances(deployment: Deployment) -> None:
    prompt = Sent((1_000,), 1.0)
    late = Sent((*range(2_000, 40_000, 2_000), 40_001, 40_002, 40_003, 40_004), 3_600.0)
    now = Sent((3_601_000, 3_601_001, 3_601_002), 3_601.1)
    passed = deployment.take([prompt, late, now])
    assert list(passed[1].values()) == [True] * 20 + [False] * 3
    assert all(passed[2].values())
