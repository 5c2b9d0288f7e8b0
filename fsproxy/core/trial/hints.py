"""What the requests of one kind of change have in common, in words for those who judge whether it is meant."""

from __future__ import annotations

from collections.abc import Mapping

from fsproxy.core.trial.tally import OTHERS, Change

NEARLY_ALL = 0.95
"""At least this share of the changed requests have the value that a hint names; it says "all" where all have it."""
USUAL = 0.8
"""A value that this share of all traffic has says nothing about the changed part."""
ENOUGH = 5
"""Requests of a change before anything is said to be common to them."""
FEW_USERS = 3
ENOUGH_OF_USERS = 10

Counts = Mapping[str, Mapping[str, int]]


def hint(change: Change, everything: Counts) -> str:
    """Return what the changed pages and uploads have in common that not all traffic has; "" for nothing known.

    ``everything`` are the facts of all that was judged. A peer without a trusted proxy between is named in any case: it
    is what ``client_ip.trusted_proxies`` lacks where a load balancer passes as every visitor. A path, and an address
    that is no network, may name a visitor: they are named only where enough different visitors share them.
    """
    total = change.pages + change.uploads
    if total < ENOUGH:
        return ""
    found = _common(change.facts, "peer", total)
    if found is not None:
        return f"{found[1]} behind one peer, {found[0]}: is this your own load balancer?"
    found = _common(change.facts, "address", total)
    if found is not None and ("/" in found[0] or change.is_shared("address", found[0])):
        return f"{found[1]} from {found[0]}"
    users = change.facts.get("user", {})
    if total >= ENOUGH_OF_USERS and OTHERS not in users and 0 < len(users) <= FEW_USERS:
        return f"all of {len(users)} {'visitor' if len(users) == 1 else 'visitors'}"
    for name, text in (("org", "of one org, "), ("path", "under one path, "), ("country", "from one country, ")):
        found = _common(change.facts, name, total)
        if found is None or (name == "path" and not change.is_shared(name, found[0])):
            continue
        if not _is_usual(everything.get(name, {}), found[0]):
            return f"{found[1]} {text}{found[0]}"
    return ""


def _common(facts: Counts, name: str, total: int) -> tuple[str, str] | None:
    """Return the value that nearly all have, and "all" or a share."""
    counts = facts.get(name, {})
    value = max(counts, key=lambda each: counts[each], default=OTHERS)
    if value == OTHERS or counts[value] < NEARLY_ALL * total:
        return None
    return value, "all" if counts[value] >= total else f"{100 * counts[value] // total} %"


def _is_usual(counts: Mapping[str, int], value: str) -> bool:
    total = sum(counts.values())
    return total > 0 and counts.get(value, 0) >= USUAL * total
