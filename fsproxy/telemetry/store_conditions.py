"""What can be wrong with the shared store of the limits, in words."""

from __future__ import annotations

from dataclasses import replace

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Level

COUNTED_IN_IT = (
    "Units of quotas, sessions under way, names, rates, visitors whom ramping has let in, blocked pages, page clocks "
    "and repeats"
)
KEEP_IT = "Let it keep its data over a restart (appendonly yes), and let only replicas that follow it take over."
LIMITS_REST = "Quotas, names and rates are not limited until it is back; the filters go on."
PAGES_BLOCKED = "New pages are blocked with code -1 until it is back; recordings under way go on."


SLOTS = 16_384
"""Of a Cluster."""


def down(
    place: str,
    reason: str,
    remedy: str,
    *,
    blocks: bool,
    since: Instant,
    unavailable: int,
    ended: Instant | None,
    part: str = "all",
    slots: int = SLOTS,
) -> Condition:
    """Return that the store is not asked. ``reason``: the first word of a server's error, or a clause of ours.

    ``part``: of a Cluster this may be the ``node`` at ``place``, or slots that are ``moving`` or ``unserved``.
    """
    more = f"{PAGES_BLOCKED if blocks else LIMITS_REST} {remedy}"
    text = f"down: {f'it answers {reason}' if reason.isupper() else reason}"
    whole = Condition(
        id="store",
        level=Level.BAD,
        since=since,
        text=f"the store {place} is {text}",
        more=more,
        count=unavailable,
        counted="questions not asked",
        fields={"address": place, "kind": reason},
        ended=ended,
    )
    if part == "all" or slots >= SLOTS:
        return whole
    some = replace(whole, more=f"{_orgs_of(slots)} {more}", fields={**whole.fields, "slots": slots})
    if part == "node":
        return replace(some, id=f"store:node:{place}", text=f"the store's node {place} is {text}")
    return replace(some, id=f"store:slots:{part}", text=f"{slots} of {SLOTS} slots of the store {place} are {text}")


def _orgs_of(slots: int) -> str:
    share = 100 * slots / SLOTS
    return f"This concerns {'less than 1' if share < 1 else f'about {round(share)}'} % of the orgs."


def coverage_unknown(place: str, alone: int, now: Instant) -> Condition:
    """Return that it is not known what the loss of a Cluster's node costs. ``alone``: primaries without a replica."""
    return Condition(
        id="store:coverage",
        level=Level.INFO,
        since=now,
        text=f"it is not known whether the Cluster {place} stops as a whole when a node is lost",
        more=(
            f"{alone} primaries have no replica. With cluster-require-full-coverage yes, which is the default, the "
            "loss of one takes the limits of all orgs. Grant +config|get to the user, or look at it yourself."
        ),
        fields={"address": place},
    )


def full_coverage(place: str, alone: int, primaries: int, now: Instant) -> Condition:
    """Return that a Cluster serves nothing as soon as some slots have no node. ``alone``: primaries without replica."""
    return Condition(
        id="store:coverage",
        level=Level.WARN,
        since=now,
        text=f"the Cluster {place} stops as a whole when one of {alone} nodes without a replica is lost",
        more=(
            f"cluster-require-full-coverage is yes, and {alone} of {primaries} primaries have no replica. Such a loss "
            "takes the limits of all orgs, not of its own alone. Set it to no on every node, or give each a replica."
        ),
        fields={"address": place},
    )


def refuses(place: str, word: str, remedy: str) -> Condition:
    """Return that the store, which is up, refuses operations."""
    return Condition(
        id="store:refuses",
        level=Level.BAD,
        since=Instant(0.0),
        text=f"the store {place} refuses operations: it answers {word}",
        more=f"What they count is not limited. {remedy}",
        counted="refused operations",
        fields={"address": place, "kind": word},
    )


def nearly_full(place: str, share: int, now: Instant) -> Condition:
    """Return that the store has little memory left. ``share``: from which percentage on this is reported."""
    return Condition(
        id="store:memory",
        level=Level.WARN,
        since=now,
        text=f"the store {place} uses more than {share} % of its memory",
        more="When it is full, limits are not kept. Raise its maxmemory, or give it to fsproxy alone.",
        fields={"address": place},
    )


def lost(place: str, at: Instant, seconds: float | None, number: int, slots: int | None = None) -> Condition:
    """Return that the store has lost what it had, for the ``number``-th time. ``seconds``: how much older it is now.

    ``slots``: of a Cluster, how many the node at ``place`` has; 0: not known.
    """
    which, orgs = "the store", ""
    if slots is not None:
        which, orgs = "the store's node", f"{_orgs_of(slots) if slots else 'This concerns the orgs of this node.'} "
    if seconds is None:
        text, cost = "came back empty", f"{COUNTED_IN_IT} count from nothing."
    else:
        text = f"came back as it was {seconds:,.0f} seconds before"
        cost = f"{COUNTED_IN_IT} are as they were then: what came after that is not counted."
    return Condition(
        id=f"store:lost:{number}",
        level=Level.BAD,
        since=at,
        text=f"{which} {place} {text}",
        more=f"{orgs}{cost} Lists at run time are written to it anew. {KEEP_IT}",
        fields={"address": place, "kind": "empty" if seconds is None else "older"},
    )


def evicted(place: str, policy: str) -> Condition:
    """Return that the store has thrown away keys."""
    return Condition(
        id="store:evicted",
        level=Level.BAD,
        since=Instant(0.0),
        text=f"the store {place} has evicted keys for want of memory",
        more=f"Limits whose keys were among them count from nothing: {COUNTED_IN_IT[:1].lower()}{COUNTED_IN_IT[1:]}. "
        f"Its maxmemory-policy is {policy}: set it to noeviction, and raise its maxmemory.",
        counted="evicted keys",
        fields={"address": place, "policy": policy},
    )


def evicts(place: str, policy: str, now: Instant) -> Condition:
    """Return that the store may forget counts."""
    return Condition(
        id="store:policy",
        level=Level.WARN,
        since=now,
        text=f"the store {place} evicts keys, and with them counts of limits",
        more=f"Its maxmemory-policy is {policy}: set it to noeviction.",
        fields={"address": place, "policy": policy},
    )


def tells_nothing(place: str, reason: str, now: Instant) -> Condition:
    """Return that it is not known how full the store is. ``reason``: as ``reason_of`` says it."""
    remedy = "Grant +info to the user." if reason == "NOPERM" else "It is asked every 30 seconds."
    return Condition(
        id="store:unknown",
        level=Level.INFO,
        since=now,
        text=f"the store {place} does not tell how full it is",
        more=f"Nothing warns before it is full. {remedy}",
        fields={"address": place, "kind": reason},
    )


def unwatched(place: str, reason: str, now: Instant) -> Condition:
    """Return that no Sentinel would tell of a failover. ``reason``: why the last one does not."""
    return Condition(
        id="store:sentinels",
        level=Level.WARN,
        since=now,
        text=f"no Sentinel tells of failovers of the store {place}: {reason}",
        more="A failover is noticed only when the connection is lost, and limits are passed meanwhile. Look at "
        "state.redis.sentinel, and at the rights that docs/reference/state.md lists for its user.",
        fields={"address": place},
    )


def not_written(place: str, what: str) -> Condition:
    """Return that more is to be written to the store than may be. ``what`` names the keys, as the metric does."""
    cost = (
        "Until they are fewer, new names are not limited."
        if what == "names"
        else "This process alone remembers the rest; the others may decide otherwise."
    )
    return Condition(
        id=f"store:writes:{what}",
        level=Level.WARN,
        since=Instant(0.0),
        text=f"more {what.replace('_', ' ')} are new than may be written to the store {place}",
        more=cost,
        counted="not written",
        fields={"what": what},
    )
