"""Any interleaving of pages, answers, failures, bundles and waits, against the rules written out plainly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fsproxy.core.limits.operations import Admit, Admitted, Confirm, Mark, QuotaTerms, Release
from fsproxy.core.model import Instant
from support.ledgers import FileStore, MemoryStore, Store, fresh_org

LIMIT = 4
START = 1_790_000_000


@dataclass
class Page:
    """One page that waits for its answer, as the oracle sees it."""

    sent: int
    session: str
    group: Group
    reserved: bool


@dataclass
class Group:
    """The pages of one new session that wait together; they hold one unit."""

    key: tuple[str, str] | None
    waiting: list[str] = field(default_factory=list)
    counted: bool = True
    final: bool = False
    """Confirmed: no failure gives the unit back any more."""


class QuotaMachine(RuleBasedStateMachine):
    """The ledger and a plain model of it, side by side."""

    shared: ClassVar[Store | None] = None
    """The store of all examples; each is an org of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Store = self.shared or MemoryStore()
        self.org = fresh_org()
        self.now = START
        self.tokens = 0
        self.pages: dict[str, Page] = {}
        self.groups: list[Group] = []
        self.started: dict[tuple[str, str], int] = {}
        self.active: dict[tuple[str, str], int] = {}

    def ask(self, *operations: Admit | Confirm | Release | Mark) -> Admitted | None:
        answer = self.ledger.ask(operations, Instant(float(self.now)))[-1]
        assert answer is None or isinstance(answer, Admitted)
        return answer

    def used(self) -> int:
        return sum(group.counted for group in self.groups)

    def under_way(self, key: tuple[str, str]) -> bool:
        if key not in self.active:
            return False
        return self.now - self.active[key] < 1_800 and self.now - self.started[key] < 86_400

    def touch(self, key: tuple[str, str]) -> None:
        if key not in self.active or self.now - self.active[key] >= 1_800:
            self.started[key] = self.now
        self.active[key] = self.now

    def open(self, key: tuple[str, str]) -> None:
        if not self.under_way(key):
            self.started[key] = self.now
        self.active[key] = self.now

    def lapse(self) -> None:
        for group in self.groups:
            lapsed = [token for token in group.waiting if self.now - self.pages[token].sent >= 60]
            if lapsed:
                group.waiting = [token for token in group.waiting if token not in lapsed]
                if not group.waiting and not group.final:
                    group.counted = False

    @rule(session=st.sampled_from(["", "a", "b", "c", "d", "e"]), user=st.sampled_from(["", "u", "v"]))
    def page(self, session: str, user: str) -> None:
        self.tokens += 1
        token = f"t{self.tokens}"
        quota = QuotaTerms("cycle", LIMIT, Instant(START + 1e9), enforced=True)
        answer = self.ask(Admit(self.org, token, session, user, ramped_out=False, quota=quota))
        assert answer is not None
        key = ("session", session) if session else ("user", user) if user else None
        group = next((g for g in self.groups if key and g.key == key and g.waiting and not g.final), None)
        if key is not None and self.under_way(key):
            assert answer.under_way
            self.touch(key)
        elif group is not None:
            assert answer.under_way
            group.waiting.append(token)
            self.pages[token] = Page(self.now, session, group, reserved=False)
        else:
            assert not answer.under_way
            assert answer.over_quota is (self.used() >= LIMIT)
            if not answer.over_quota:
                group = Group(key, [token])
                self.groups.append(group)
                self.pages[token] = Page(self.now, session, group, reserved=True)
        assert answer.used == self.used()

    @rule(data=st.data())
    def answered(self, data: st.DataObject) -> None:
        waiting = sorted(token for group in self.groups for token in group.waiting)
        if not waiting:
            return
        token = data.draw(st.sampled_from(waiting))
        page = self.pages[token]
        new = data.draw(st.booleans()) if page.reserved else False
        group = page.group
        key = group.key or ("session", f"answer to {token}")
        ids = {"session": (), "user": ()} | {key[0]: (key[1],)}
        self.ask(Confirm(self.org, token, ids["session"], ids["user"], new=new))
        group.waiting.remove(token)
        group.final = True
        if page.reserved and not new:
            group.counted = False
        if key[0] == "user" and new:
            self.started[key] = self.active[key] = self.now
        else:
            self.open(key)

    @rule(data=st.data())
    def failed(self, data: st.DataObject) -> None:
        waiting = sorted(token for group in self.groups for token in group.waiting)
        if not waiting:
            return
        token = data.draw(st.sampled_from(waiting))
        group = self.pages[token].group
        self.ask(Release(self.org, token))
        group.waiting.remove(token)
        if not group.waiting and not group.final:
            group.counted = False

    @rule(session=st.sampled_from(["a", "b", "elsewhere"]), user=st.sampled_from(["", "u"]))
    def bundle(self, session: str, user: str) -> None:
        self.ask(Mark(self.org, session, user))
        self.touch(("session", session))
        if user:
            self.touch(("user", user))

    @rule(seconds=st.sampled_from([1, 30, 59, 60, 1_799, 1_800, 40_000]))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        self.lapse()

    @invariant()
    def units_are_counted_once_and_come_back(self) -> None:
        # An answer of the ledger's own, that gives back what has lapsed: the release of nothing.
        for _ in range(3):
            self.ask(Release(self.org, "unknown"))
        assert self.ledger.quota_usage(self.org).get("cycle", 0) == self.used()

    @invariant()
    def never_more_than_the_limit_is_admitted(self) -> None:
        assert self.used() <= LIMIT


class RestartedQuotaMachine(QuotaMachine):
    """The same in memory, with a file and processes that end: what waited is never answered, and stays counted."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = FileStore()
        self.ledger = self.kept

    def teardown(self) -> None:
        self.kept.close()

    @rule()
    def restart(self) -> None:
        self.kept.write()
        self.kept.begin_again(Instant(float(self.now)))
        for group in self.groups:
            group.final = group.final or bool(group.waiting)
            group.waiting = []


class ValkeyQuotaMachine(QuotaMachine):
    """The same on a real Valkey."""


TestQuotaMachine = QuotaMachine.TestCase
TestQuotaMachine.settings = settings(max_examples=150, stateful_step_count=40)
TestRestartedQuotaMachine = RestartedQuotaMachine.TestCase
TestRestartedQuotaMachine.settings = settings(max_examples=40, stateful_step_count=40)


@pytest.mark.usefixtures("valkey_store")
class TestQuotaMachineOnValkey(ValkeyQuotaMachine.TestCase):  # type: ignore[name-defined, misc]  # made by hypothesis
    machine = ValkeyQuotaMachine
    settings = settings(max_examples=60, stateful_step_count=40)
