"""A page's audit line, judged again under other rules: by the functions that judge pages, and no others.

What only the ledger knew (whether a session was under way, whether the quota was used up) is taken from the
line, and so is the location. Where a rule needs what the line leaves out, the page is undecidable.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from fsproxy.core.audit import AuditShadow
from fsproxy.core.audit_facts import ADMITTED, UNDER_WAY, AuditFacts
from fsproxy.core.filters.url import UrlFilter
from fsproxy.core.limits.operations import Admitted
from fsproxy.core.model import FilterName, Instant
from fsproxy.core.pipeline import judge, settle
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.replay_facts import PageLine, ReplayedFacts, is_cut, of_visitor, shared_facts
from fsproxy.core.replay_filters import Undecidable, as_replayed

CAPTURED = 0
"""Stands for no reason code."""
MOST_REMEMBERED = 20_000
"""Different pages that are remembered; then it is begun anew."""


class Replayed(msgspec.Struct, frozen=True, gc=False):
    """A decision: as it was recorded, or as it would be."""

    code: int
    """``CAPTURED``, or the reason code."""
    rule: str = ""
    shadow: tuple[AuditShadow, ...] = ()
    """Rules that would block, were they enforced; the rule "" stands for what cannot be known."""
    undecidable: str = ""
    """For which filter, and what is not known; code and rule mean nothing then."""
    judged: bool = True
    """False: the page had failed before it was judged."""


NOT_JUDGED = Replayed(CAPTURED, judged=False)
_read_facts = msgspec.json.Decoder(AuditFacts).decode


def recorded(line: PageLine) -> Replayed:
    """The decision that the line tells."""
    return Replayed(line.reason_code or CAPTURED, line.rule, line.shadow)


class Replay:
    """Judges audit lines by one snapshot."""

    def __init__(self, snapshot: Snapshot, *, same_users: bool = False) -> None:
        """``same_users``: lists of users are what they were when the lines were written."""
        self._snapshot = snapshot
        self._same_users = same_users
        policies = (snapshot.default, *snapshot.orgs.values())
        filters = {id(each): each for policy in policies for each in policy.on_page}.values()
        names = {each.name for each in filters}
        self._longest_url = max((each.max_length or 0 for each in filters if isinstance(each, UrlFilter)), default=0)
        ramping = [policy.ramping for policy in policies if policy.ramping is not None]
        self._by_ip = FilterName.IP in names
        self._by_user = FilterName.DELETING_USER in names or bool(ramping)
        self._by_time = any(each.schedule is not None for each in ramping)
        self._policies: dict[str | None, OrgPolicy] = {}
        self._remembered: dict[object, Replayed] = {}
        self._facts: dict[object, ReplayedFacts] = {}

    def decide(self, line: PageLine) -> Replayed:
        """The decision under the snapshot. Raises ValueError on a line that is none of ours."""
        told = bytes(line.facts)
        if not told:
            return _without_facts(line)
        base = (told, line.org, line.domain, line.country, line.region, line.user_agent)
        key = (
            base,
            line.client_ip if self._by_ip else None,
            line.user_id + line.fresh_user_id if self._by_user else None,
            line.timestamp if self._by_time else None,
            line.over_quota if line.shadow or line.filter else False,
            line.reason_code is None,
            line.ledger_down,
            line.filters_failed,
        )
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[key] = self._decide(line, base)
        return found

    def _decide(self, line: PageLine, base: tuple[bytes, *tuple[str | None, ...]]) -> Replayed:
        facts = self._facts.get(base)
        if facts is None:
            if len(self._facts) >= MOST_REMEMBERED:
                self._facts.clear()
            said = _read_facts(base[0])
            facts = self._facts[base] = shared_facts(line, said, self._longest_url, same_users=self._same_users)
        session = facts.said.session
        if session is None and line.reason_code is None and not line.ledger_down:
            return NOT_JUDGED
        if line.filters_failed:
            return Replayed(CAPTURED, undecidable=f"{line.filters_failed[0]}: the filter had failed")
        if line.org is not None and is_cut(line.org):
            return Replayed(CAPTURED, undecidable="org: its id is cut in the line")
        now = Instant(datetime.fromisoformat(line.timestamp).timestamp())
        policy = self._policy(line.org)
        try:
            verdict = judge(policy, of_visitor(facts, line), now)
        except Undecidable as lacking:
            return Replayed(CAPTURED, undecidable=str(lacking))
        answer = Admitted(session == UNDER_WAY, session == ADMITTED, line.over_quota)
        decision = settle(policy, verdict, None if line.ledger_down else answer)
        shadow = tuple(AuditShadow(hit.rule.id, int(hit.code), hit.filter.value) for hit in decision.shadow)
        block = decision.block
        return Replayed(CAPTURED, "", shadow) if block is None else Replayed(int(block.code), block.rule.id, shadow)

    def _policy(self, org: str | None) -> OrgPolicy:
        listed = org if org is not None and org in self._snapshot.orgs else None
        found = self._policies.get(listed)
        if found is None:
            found = self._policies[listed] = as_replayed(self._snapshot.policy(listed))
        return found


def _without_facts(line: PageLine) -> Replayed:
    if line.reason_code is None and line.org is None:
        return NOT_JUDGED
    return Replayed(CAPTURED, undecidable="all: the line was written before lines told what replay needs")
