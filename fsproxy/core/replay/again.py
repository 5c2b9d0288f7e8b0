"""Decides a page again from its audit line, under other rules but by the very functions that decide pages.

What only the ledger knew (whether a session was under way, whether the quota was used up) is taken from the line, and
so is the location. If a rule needs a fact that the line lacks, the page is undecidable.

How it is fast enough for a day's lines: the facts are divided into four parts, by the filters that look at them (page,
User-Agent, address, user). Most pages differ in all parts together but in few parts alone, so the answers of the
filters are remembered for each part. Equal answers get one number, and the decision is remembered by these numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import chain
from math import inf

import msgspec

from fsproxy.core.audit.facts import ADMITTED, UNDER_WAY, AuditFacts
from fsproxy.core.audit.record import AuditShadow
from fsproxy.core.filters.base import RUN_TIME_IDS
from fsproxy.core.filters.domain import DomainFilter
from fsproxy.core.filters.url import UrlFilter
from fsproxy.core.limits.operations import Admitted
from fsproxy.core.model import Hit, Instant, Route
from fsproxy.core.pipeline import judge, settle
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.replay.addresses import SharedNetworks
from fsproxy.core.replay.facts import (
    Lacking,
    PageLine,
    ReplayedFacts,
    address_part,
    agent_part,
    is_cut,
    page_part,
    user_part,
)
from fsproxy.core.replay.filters import Part, ReplayFilter, Undecidable, replay_filters, with_filters

CAPTURED = 0
"""The code of a captured page."""
MOST_REMEMBERED = 100_000
"""Different parts of pages that are remembered. When it is reached, everything is forgotten."""


class Replayed(msgspec.Struct, frozen=True, gc=False):
    """A decision, as it was recorded or as it would be now."""

    code: int
    """``CAPTURED``, or the reason code."""
    rule: str = ""
    shadow: tuple[AuditShadow, ...] = ()
    """The rules that would block if they were enforced; the rule "" means that this cannot be known."""
    undecidable: str = ""
    """The filter and the missing fact; if it is not empty, code and rule have no meaning."""
    rules: tuple[str, ...] = ()
    """The rules that an undecidable page could not be checked against, the first of many."""
    judged: bool = True
    """False if the page had failed before a decision."""


Answers = tuple[tuple[str, Hit | Lacking | None], ...]
NOT_JUDGED = Replayed(CAPTURED, judged=False)
_NO_TIME = Instant(0.0)
_DAY = 86_400
_read_facts = msgspec.json.Decoder(AuditFacts).decode


def recorded(line: PageLine, renamed: Callable[[str], str] = str) -> Replayed:
    """Return the decision in the line. ``renamed`` returns the id that a rule has now."""
    shadow = tuple(
        AuditShadow(renamed(hit.rule), hit.reason_code, hit.filter)
        for hit in line.shadow
        if hit.rule not in RUN_TIME_IDS
    )
    return Replayed(line.reason_code or CAPTURED, renamed(line.rule), shadow)


class Replay:
    """Decides audit lines by one snapshot."""

    def __init__(self, snapshot: Snapshot, *, same_users: bool = False) -> None:
        """``same_users``: the lists of users have not changed since the lines were written."""
        self._snapshot = snapshot
        self._same_users = same_users
        self._filters: dict[int, ReplayFilter] = {}
        self._audited: dict[bytes, AuditFacts] = {}
        self._policies: dict[str | None, _PolicyReplay] = {}
        self.remembered = 0
        """The parts that all policies together remember."""

    def decide(self, line: PageLine) -> Replayed:
        """Return the decision under the snapshot. Raise ValueError for a line that is none of ours."""
        raw = bytes(line.facts)
        if not raw:
            return _without_facts(line)
        audited = self._audited.get(raw)
        if audited is None:
            audited = self._audited[raw] = _read_facts(raw)
            self.remembered += 1
        if audited.session is None and line.reason_code is None and not line.ledger_down:
            return NOT_JUDGED
        if line.filters_failed:
            return Replayed(CAPTURED, undecidable=f"{line.filters_failed[0]}: the filter had failed")
        if line.rule in RUN_TIME_IDS:
            # Its entries are in no file, and by now they may have ended.
            return Replayed(CAPTURED, undecidable=f"{RUN_TIME_IDS[line.rule]}: a list at run time decided")
        policy = self._policies.get(line.org)
        if policy is None:
            if line.org is not None and is_cut(line.org):
                return Replayed(CAPTURED, undecidable="org: its id is cut in the line")
            policy = self._policies[line.org] = self._policy(line.org)
        if self.remembered > MOST_REMEMBERED:
            self.remembered = 0
            self._audited.clear()
            self._policies.clear()
        return policy.decide(line, raw, audited)

    def _policy(self, org: str | None) -> _PolicyReplay:
        """Return the org's policy; all orgs that are not listed share one."""
        self.remembered += 1
        listed = org if org in self._snapshot.orgs else None
        shared = self._policies.get(listed)
        if shared is None:
            found = self._snapshot.policy(listed)
            filters = replay_filters(found, self._filters)
            shared = self._policies[listed] = _PolicyReplay(self, found, filters, same_users=self._same_users)
        return shared


class _PolicyReplay:
    """Decides by one policy, and remembers the answers for each part."""

    def __init__(
        self, replay: Replay, policy: OrgPolicy, filters: tuple[ReplayFilter, ...], *, same_users: bool
    ) -> None:
        self._replay = replay
        self._policy = with_filters(policy, filters)
        self._same_users = same_users
        self._page, self._agent, self._address, self._user = (
            tuple(each for each in filters if each.part is part) for part in Part
        )
        self._longest_url = next((each.max_length or 0 for each in policy.on_page if isinstance(each, UrlFilter)), 0)
        self._network_of = SharedNetworks(policy.on_page).of
        self._by_time = policy.ramping is not None and policy.ramping.schedule is not None
        self._shares = policy.shares is not None
        domain = next((each for each in policy.on_page if isinstance(each, DomainFilter)), None)
        self._by_day = domain is not None and domain.limited is not None and min(domain.limited.ends) < inf
        self._parts: dict[object, int] = {}
        """The number of the answers for a part, by the values in it."""
        self._numbers: dict[object, int] = {}
        self._answers: list[Answers] = [()]
        self._decisions: dict[object, Replayed] = {}

    def decide(self, line: PageLine, raw: bytes, audited: AuditFacts) -> Replayed:
        """Return the decision."""
        parts = self._parts
        day = int(_instant(line) // _DAY) if self._by_day else 0
        key: object = (raw, line.domain, line.country, line.region, line.url_length if self._longest_url else 0, day)
        page = parts.get(key)
        if page is None:
            facts = page_part(line, audited, self._longest_url, same_users=self._same_users)
            page = parts[key] = self._ask(self._page, facts, line)
        agent = address = user = 0
        if self._agent:
            found = parts.get(line.user_agent)
            if found is None:
                found = parts[line.user_agent] = self._ask(self._agent, agent_part(line.user_agent), line)
            agent = found
        if self._address:
            key = (self._network_of(line.client_ip), audited.address, audited.unnamed)
            found = parts.get(key)
            if found is None:
                found = parts[key] = self._ask(self._address, address_part(line.client_ip, audited), line)
            address = found
        if self._user:
            host, time = line.domain if self._shares else "", line.timestamp if self._by_time else ""
            key = (raw, line.org, line.user_id, line.fresh_user_id, time, host, day)
            found = parts.get(key)
            if found is None:
                facts = user_part(line, audited, same_users=self._same_users, with_host=self._shares)
                found = parts[key] = self._ask(self._user, facts, line)
            user = found
        over_quota = line.over_quota if line.filter or line.shadow else False
        key = (page, agent, address, user, audited.session, over_quota, line.ledger_down)
        decided = self._decisions.get(key)
        if decided is None:
            answers = chain.from_iterable(self._answers[number] for number in (page, agent, address, user))
            decided = self._decisions[key] = self._decide(line, audited, dict(answers), over_quota=over_quota)
        return decided

    def _ask(self, filters: tuple[ReplayFilter, ...], facts: ReplayedFacts, line: PageLine) -> int:
        self._replay.remembered += 1
        now = _instant(line) if self._by_time or self._by_day else _NO_TIME
        answers = [each.ask(facts, now) for each in filters]
        # Hashing a hit is slow, and each filter always returns the same objects.
        key = (id(filters), *[id(each) if isinstance(each, Hit) else each for each in answers])
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._answers)
            self._answers.append(tuple(zip((each.name for each in filters), answers, strict=True)))
        return number

    def _decide(
        self, line: PageLine, audited: AuditFacts, answers: dict[str, Hit | Lacking | None], *, over_quota: bool
    ) -> Replayed:
        facts = ReplayedFacts(route=Route.PAGE, org=line.org, answers=answers)
        try:
            decision = judge(self._policy, facts, _instant(line))
        except Undecidable as error:
            return Replayed(CAPTURED, undecidable=error.lacking.text, rules=error.lacking.rules)
        answer = Admitted(audited.session == UNDER_WAY, audited.session == ADMITTED, over_quota)
        decision = settle(self._policy, decision, None if line.ledger_down else answer)
        shadow = tuple(AuditShadow(hit.rule.id, int(hit.code), hit.filter.value) for hit in decision.shadow)
        block = decision.block
        return Replayed(CAPTURED, "", shadow) if block is None else Replayed(int(block.code), block.rule.id, shadow)


def _instant(line: PageLine) -> Instant:
    return Instant(datetime.fromisoformat(line.timestamp).timestamp())


def _without_facts(line: PageLine) -> Replayed:
    if line.reason_code is None and line.org is None:
        return NOT_JUDGED
    return Replayed(CAPTURED, undecidable="all: the line was written before lines had what replay needs")
