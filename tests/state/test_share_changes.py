"""Shares that rise, fall and follow a schedule, against a model that remembers everybody (rules.md 1 and 7).

The ledger remembers only whom a share has admitted on a first visit and would exclude under the id that he got. No
visitor may notice that, as long as no share is lowered by hand. One that is lowered drops whom his id alone let in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsproxy.core.filters.ramping import RampingFilter
from fsproxy.core.limits.operations import Admitted
from fsproxy.core.limits.ramping import bucket
from fsproxy.core.model import Instant, Route, SessionFacts
from fsproxy.core.pipeline import PageAnswer, judge, learn, settle
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.settings import (
    CoreSettings,
    DomainRule,
    DomainSettings,
    Entry,
    FilterSettings,
    OrgSettings,
    RampingSettings,
    RampingStep,
)
from support.ledgers import DAY, Store, fresh_org
from support.urls import of_url

FIRST_DAY = date(2026, 9, 1)
START = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
RULE = "some-of-a"


@dataclass(frozen=True)
class Shares:
    """One configuration of ramping, or of a domain rule's share."""

    share: float = 1.0
    salt: str = ""
    schedule: tuple[RampingStep, ...] = ()
    by_rule: bool = False

    def policy(self) -> OrgPolicy:
        return _policy(self)

    def at(self, now: float) -> float:
        """The share in force."""
        ramping = self.policy().ramping
        return ramping.share(Instant(now)) if isinstance(ramping, RampingFilter) else self.share

    def least(self, now: float) -> float:
        """The least share from now on, by looking at every twelfth of a day."""
        days = (step.start for step in self.schedule)
        ends = max((datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp() for d in days), default=now)
        moments = [now + n * DAY / 12 for n in range(int(max(ends - now, 0) / DAY * 12) + 1)] + [max(ends, now)]
        return min(self.at(moment) for moment in moments)

    def place(self, org: str, user: str) -> float:
        return bucket(org, RULE if self.by_rule else self.salt, user)


@cache
def _policy(shares: Shares) -> OrgPolicy:
    if shares.by_rule:
        rules = (DomainRule(True, Entry("a.example", "f:1:1", RULE), share=shares.share),)
        filters = FilterSettings(domain=DomainSettings(rules=rules))
    else:
        ramping = RampingSettings(share=shares.share, schedule=shares.schedule, salt=shares.salt)
        filters = FilterSettings(ramping=ramping)
    return Snapshot.compile(CoreSettings(default=OrgSettings(filters=filters)), 1).default


@dataclass
class World:
    """An org's visitors, and whom the model and the ledger let in."""

    store: Store
    shares: Shares
    org: str = field(default_factory=fresh_org)
    now: float = START
    pages: int = 0
    admitted: dict[str, float] = field(default_factory=dict)
    """Everybody whom a first visit let in, and when he last began a session."""
    dropped: set[str] = field(default_factory=set)
    """Those of them whom a change by hand may have dropped: their ids alone had let them in."""

    def change(self, shares: Shares) -> None:
        before, self.shares = self.shares, shares
        for user in self.admitted:
            if before.place(self.org, user) < before.at(self.now) and shares.place(self.org, user) >= shares.least(
                self.now
            ):
                self.dropped.add(user)

    def page(self, user: str, gets: str = "") -> bool:
        """A page of a new session. ``gets``: the id that the upstream gives to a first visit."""
        self.pages += 1
        own = self.shares.policy()
        fresh = f"fresh-{self.pages}" if own.draws and not user else ""
        url = of_url("https://a.example/")
        facts = SessionFacts(
            Route.PAGE, self.org, session_id=f"session-{self.pages}", user_id=user, fresh_user_id=fresh, **url
        )
        decision = judge(own, facts, Instant(self.now), f"token-{self.pages}")
        assert decision.admit is not None
        (answer,) = self.store.ask((decision.admit,), Instant(self.now))
        assert isinstance(answer, Admitted)
        decision = settle(own, decision, answer)
        for operation in learn(facts, decision, PageAnswer(200, facts.session_id, gets or user)):
            self.store.ask((operation,), Instant(self.now))
        return decision.block is None

    def first_visit(self) -> None:
        user = f"user-{self.pages}"
        inside = self.shares.place(self.org, f"fresh-{self.pages + 1}") < self.shares.at(self.now)
        assert self.page("", user) is inside
        if inside:
            self.admitted[user] = self.now

    def next_visit(self, user: str) -> None:
        inside = self.shares.place(self.org, user) < self.shares.at(self.now)
        passes = inside or user in self.admitted
        captured = self.page(user)
        assert captured is passes or (passes and user in self.dropped)

    def wait(self, days: int) -> None:
        self.now += days * DAY


PARTS = st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.7, 0.95, 1.0])
VISITS = st.lists(st.sampled_from(["first", "first", "wait"]), min_size=3, max_size=12)


def _visits(world: World, kinds: list[str]) -> None:
    for kind in kinds:
        if kind == "first":
            world.first_visit()
        else:
            world.wait(3)
    for user in [*world.admitted, "stranger-1", "stranger-2"]:
        world.next_visit(user)


def _schedule(shares: list[float]) -> tuple[RampingStep, ...]:
    return tuple(RampingStep(FIRST_DAY + timedelta(days=4 * n), share) for n, share in enumerate(shares))


@given(shares=st.lists(PARTS, min_size=1, max_size=5), kinds=VISITS, by_rule=st.booleans())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_share_that_rises_drops_nobody_whom_it_has_let_in(
    store: Store, shares: list[float], kinds: list[str], *, by_rule: bool
) -> None:
    world = World(store, Shares(0.0, by_rule=by_rule))
    for share in sorted(shares):
        world.change(Shares(share, by_rule=by_rule))
        _visits(world, kinds)
    assert not world.dropped


@given(st.lists(PARTS, min_size=1, max_size=6), VISITS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_schedule_drops_nobody_even_where_it_falls(store: Store, shares: list[float], kinds: list[str]) -> None:
    world = World(store, Shares(schedule=_schedule(shares)))
    for _ in shares:
        _visits(world, kinds)
        world.wait(2)
    assert not world.dropped


CONFIGURATIONS = st.one_of(
    st.builds(Shares, PARTS, st.sampled_from(["", "pepper"])),
    st.builds(lambda parts: Shares(schedule=_schedule(parts)), st.lists(PARTS, min_size=1, max_size=4)),
)


@given(st.lists(CONFIGURATIONS, min_size=2, max_size=6), VISITS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_change_drops_at_most_whom_an_id_alone_had_let_in(
    store: Store, configurations: list[Shares], kinds: list[str]
) -> None:
    world = World(store, configurations[0])
    for each in configurations:
        world.change(each)
        _visits(world, kinds)
