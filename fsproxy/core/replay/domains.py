"""The domain filter in replay, where the path of a page's URL is not known (rules.md 7)."""

from __future__ import annotations

from fsproxy.core.audit.facts import UNDER_WAY
from fsproxy.core.audit.line import LONGEST_RULE
from fsproxy.core.audit.privacy import safe
from fsproxy.core.filters.domain import DomainFilter
from fsproxy.core.model import Hit, Instant
from fsproxy.core.replay.facts import USER_LACKS, Lacking, ReplayedFacts, is_cut

_PATH = "domain: the line does not hold the path of the URL"


def ask_domain(each: DomainFilter, facts: ReplayedFacts, now: Instant) -> Hit | Lacking | None:
    """Return what the filter decides, or that the first rule for the host needs the path."""
    index = _by_host(each, facts, now)
    if index is not None and each.limited is not None and index in each.limited.with_path:
        hit, share = each.verdicts[index], each.shares.get(index)
        hit = share.hit if share is not None else hit
        return Lacking(_PATH, (safe(hit.rule.id, LONGEST_RULE),) if hit is not None else ())
    return each.judge(facts, now)


def ask_share(each: DomainFilter, facts: ReplayedFacts, now: Instant) -> Hit | Lacking | None:
    """Return the hit of the share that excludes the visitor. Whether its rule needs the path, ``ask_domain`` says."""
    index, audited = _by_host(each, facts, now), facts.audited
    share = None if index is None else each.shares.get(index)
    if share is None or each.limited is None or index in each.limited.with_path or audited.session == UNDER_WAY:
        return None
    rule = safe(share.hit.rule.id, LONGEST_RULE)
    if audited.admitted_by == rule:
        return None
    if 0 < share.part < 1 and (not (facts.user_id or facts.fresh_user_id) or is_cut(facts.user_id)):
        return Lacking(f"domain: {USER_LACKS}", (rule,))
    return share.hit if share.excludes(facts) else None


def _by_host(each: DomainFilter, facts: ReplayedFacts, now: Instant) -> int | None:
    url = facts.parsed_url
    return None if each.limited is None or url is None else each.limited.find_by_host(url, now)
