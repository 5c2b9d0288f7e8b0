"""Names, rates and visitors whom ramping let in, interleaved, against the rules written out plainly; and restarts."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Answer,
    Claim,
    Claimed,
    Confirm,
    NameKind,
    Operation,
    RateKind,
    Release,
    Spend,
    Spent,
)
from fsproxy.core.model import Instant
from fsproxy.core.settings import Window
from support.ledgers import FileStore, MemoryStore, Store, fresh_org

START = 1_790_000_000.0
DAY = 86_400
WINDOWS = (Window(3, 10.0), Window(5, 60.0))
REMEMBERED_DAYS, MOST_DAYS = 400, 500
LONG = "x" * 300
USERS = st.sampled_from(["u", "v"])


@dataclass
class Known:
    """What the rules say is remembered."""

    names: dict[NameKind, dict[str, float]] = field(default_factory=lambda: {kind: {} for kind in NameKind})
    """When each was last seen."""
    calls: dict[tuple[str, RateKind], list[float]] = field(default_factory=dict)
    """When the accepted calls were made."""
    admitted: dict[str, int] = field(default_factory=dict)
    """The day of each visitor's last new session."""


class LimitsMachine(RuleBasedStateMachine):
    """The ledger and a plain model of it, side by side."""

    shared: ClassVar[Store | None] = None
    """The store of all examples; each is an org of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Store = self.shared or MemoryStore()
        self.org = fresh_org()
        self.now = START
        self.pages = 0
        self.known = Known()

    def ask(self, *operations: Operation) -> Answer:
        return self.ledger.ask(operations, Instant(self.now))[0]

    @rule(
        kind=st.sampled_from(list(NameKind)),
        names=st.lists(st.sampled_from(["a", "b", "c", "d", "", f"{LONG}1", f"{LONG}2"]), max_size=4),
        limit=st.sampled_from([0, 2, 3, 9]),
        retention=st.sampled_from([100.0, 1_000.0]),
    )
    def claim(self, kind: NameKind, names: list[str], limit: int, retention: float) -> None:
        answer = self.ask(Claim(self.org, kind, tuple(names), limit, retention))
        seen = {name: last for name, last in self.known.names[kind].items() if self.now - last < retention}
        refused = set()
        for name in names:
            if name in seen or len(seen) < limit:
                seen[name] = self.now
            else:
                refused.add(name)
        self.known.names[kind] = seen
        assert answer == Claimed(frozenset(refused), len(seen))

    @rule(
        session=st.sampled_from(["s", "t"]),
        kind=st.sampled_from(list(RateKind)),
        late=st.sampled_from([0.0, 0.0, 0.5, 9.0, 10.0, 60.0, 300.0]),
    )
    def call(self, session: str, kind: RateKind, late: float) -> None:
        at = self.now - late
        answer = self.ask(Spend(self.org, session, kind, Instant(at), WINDOWS))
        assert isinstance(answer, Spent)
        calls = self.known.calls.setdefault((session, kind), [])
        assert answer.passed is fits(calls, at)
        if answer.passed:
            calls.append(at)
            assert answer.remaining == min(window.limit - ending_in(calls, at, window) for window in WINDOWS)
        else:
            assert answer.retry_after > 0
            # A hair later: the sum may be rounded down.
            assert fits(calls, at + answer.retry_after + 1e-6)
            assert answer.remaining == 0

    @rule(user=USERS, ramped_out=st.booleans(), remember=st.booleans(), works=st.booleans())
    def first_page(self, user: str, *, ramped_out: bool, remember: bool, works: bool) -> None:
        """A page of a new session, and its answer: the visitor is remembered only when it was let in."""
        self.pages += 1
        token, session = f"token-{self.pages}", f"session-{self.pages}"
        answer = self.ask(Admit(self.org, token, session, user, ramped_out, None, ramped_user=user))
        assert isinstance(answer, Admitted)
        today = int(self.now // DAY)
        day = self.known.admitted.get(user)
        passes = day is not None and day + REMEMBERED_DAYS > today
        if day is not None and day + REMEMBERED_DAYS <= today < day + MOST_DAYS:
            passes = answer.user_admitted  # the forms need not forget at the same moment
        assert (answer.under_way, answer.user_admitted) == (False, passes)
        if passes:
            self.known.admitted[user] = today
        if ramped_out and not passes:
            return
        if works:
            self.ask(Confirm(self.org, token, (session,), (user,), new=True, visitors=(user,) if remember else ()))
            if remember:
                self.known.admitted[user] = today
        else:
            self.ask(Release(self.org, token))

    @rule(seconds=st.sampled_from([0.5, 1.0, 9.0, 10.0, 59.5, 100.0, 1_000.0, 199.0 * DAY, 201.0 * DAY]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def as_many_names_are_known_as_were_taken_in(self) -> None:
        assert self.ledger.names_usage(self.org) == {kind: len(names) for kind, names in self.known.names.items()}


def ending_in(calls: list[float], end: float, window: Window) -> int:
    return sum(end - window.seconds < each <= end for each in calls)


def fits(calls: list[float], at: float) -> bool:
    """With this call, no window anywhere holds more than its limit."""
    timeline = [*calls, at]
    return all(ending_in(timeline, end, window) <= window.limit for window in WINDOWS for end in timeline)


class ValkeyLimitsMachine(LimitsMachine):
    """The same on a real Valkey."""


class RestartedLimitsMachine(LimitsMachine):
    """The same in memory, with a file: a clean end loses rates alone, a crash also what was not written yet."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = FileStore()
        self.ledger = self.kept
        self.written = Known()

    def teardown(self) -> None:
        self.kept.close()

    @rule()
    def write(self) -> None:
        self.kept.write()
        self.written.admitted = dict(self.known.admitted)
        # What was forgotten since stands there still, with its old time, until it is pruned.
        for kind, names in self.known.names.items():
            self.written.names[kind] |= names

    @rule()
    def end(self) -> None:
        self.write()
        self.crash()

    @rule()
    def crash(self) -> None:
        self.kept.begin_again(Instant(self.now))
        self.known = deepcopy(self.written)


TestLimitsMachine = LimitsMachine.TestCase
TestLimitsMachine.settings = settings(max_examples=100, stateful_step_count=40)
TestRestartedLimitsMachine = RestartedLimitsMachine.TestCase
TestRestartedLimitsMachine.settings = settings(max_examples=40, stateful_step_count=40)


@pytest.mark.usefixtures("valkey_store")
class TestLimitsMachineOnValkey(ValkeyLimitsMachine.TestCase):  # type: ignore[name-defined, misc]  # made by hypothesis
    machine = ValkeyLimitsMachine
    settings = settings(max_examples=50, stateful_step_count=40)
