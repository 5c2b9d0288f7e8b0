"""Ramping: which visitors a share of the traffic includes (rules.md 1, order 12)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Self

import msgspec

from fsproxy.core.model import Instant
from fsproxy.core.settings import RampingStep

_BITS = 53
"""Bits that a float holds exactly. With more of them, the highest buckets would be rounded up to 1."""


def bucket(org: str, salt: str, user: str) -> float:
    """Return a visitor's place in [0, 1). It is the same on every machine and in every version, for one salt.

    Visitors whose place is below the share are captured, so a higher share includes all visitors of a lower one.
    """
    # Ids may hold any character, so the lengths separate the three parts.
    text = f"{len(org)},{len(salt)},{org}{salt}{user}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - _BITS)) / (1 << _BITS)


def visitor(rule: str, user: str) -> str:
    """Return the name by which an admitted user is remembered. ``rule``: the domain rule with the share; "": ramping.

    So who was admitted by one share is judged by each other.
    """
    return f"{rule}\n{user}" if rule else user


class Draw(msgspec.Struct, frozen=True, gc=False):
    """A share that has admitted a first visit. The visitor returns under the id that the upstream's answer gave him."""

    salt: str
    share: float
    """The least share that is known to be in force from then on."""
    rule: str = ""
    """The domain rule with the share; "": ramping."""

    def remembered(self, org: str, user: str) -> str | None:
        """Return the name to remember the visitor by, so that he passes later; None: the share includes him anyway.

        So the store holds only visitors whom their new id would exclude. A share that is lowered later drops a visitor
        who is in by his id alone, as it drops any other.
        """
        return visitor(self.rule, user) if bucket(org, self.salt, user) >= self.share else None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Shares by instant: 0 before the first, linear between two, and constant after the last."""

    instants: tuple[float, ...]
    """In rising order."""
    shares: tuple[float, ...]

    @classmethod
    def of(cls, steps: Iterable[RampingStep]) -> Self:
        """Return the schedule of steps in any order. Days begin at 00:00 UTC; of two on a day the later counts."""
        ordered = sorted(steps, key=lambda step: step.start)
        instants = (datetime(s.start.year, s.start.month, s.start.day, tzinfo=UTC).timestamp() for s in ordered)
        return cls(tuple(instants), tuple(step.share for step in ordered))

    def share(self, now: Instant) -> float:
        """Return the share in force at ``now``, 0 to 1."""
        after = bisect_right(self.instants, now)
        if after == 0:
            return 0.0
        if after == len(self.instants):
            return self.shares[-1]
        begins, ends = self.instants[after - 1], self.instants[after]
        lower, upper = self.shares[after - 1], self.shares[after]
        return lower + (upper - lower) * ((now - begins) / (ends - begins))

    def least(self, now: Instant) -> float:
        """Return the least share from ``now`` on."""
        return min(self.share(now), *self.shares[bisect_right(self.instants, now) :], 1.0)
