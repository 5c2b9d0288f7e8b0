"""Finds the rules of a compiled filter or policy, each as the hit that it makes, wherever it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from fsproxy.core.filters.ip import IpFilter, pattern_in
from fsproxy.core.model import Hit
from fsproxy.core.policy import OrgPolicy


def hits_in(found: object) -> Iterator[Hit]:
    """Yield the hits that a compiled filter or policy holds, one for each rule, in order."""
    if isinstance(found, Hit):
        yield found
    elif isinstance(found, Mapping):
        for each in found.values():
            yield from hits_in(each)
    elif isinstance(found, tuple):
        for each in found:
            yield from hits_in(each)
    elif isinstance(found, OrgPolicy):
        # Its other fields hold only some of these filters again.
        yield from hits_in((found.on_page, found.ramping, found.quota))
    elif is_dataclass(found):
        for field in fields(found):
            if field.compare:  # the other fields only hold some of these hits again
                yield from hits_in(getattr(found, field.name))


def hit_of(policy: OrgPolicy, rule: str) -> Hit | None:
    """Return the hit of the rule with this id; None when the policy has no such rule.

    Of several rules about addresses that have one id, as it hides how they differ, it is the first.
    """
    return next((hit for hit in hits_in(policy) if hit.rule.id == rule), None) or hit_by_address(policy, rule)


def hit_by_address(policy: OrgPolicy, rule: str) -> Hit | None:
    """Return the hit of a rule by its id with the whole address, as older audit lines have it; None: there is none."""
    pattern = pattern_in(rule)
    if pattern is None:
        return None
    return next((each.block.at(pattern) for each in policy.on_page if isinstance(each, IpFilter)), None)
