"""Whom a share of the traffic takes in: the arithmetic behind ramping (rules.md 1, order 12)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Self

from fsproxy.core.model import Instant
from fsproxy.core.settings import RampingStep

_BITS = 53
"""What a float holds exactly: with more, the highest buckets would be rounded up to 1."""


def bucket(org: str, salt: str, user: str) -> float:
    """A visitor's place in [0, 1): the same on every machine, in every version, as long as the salt stays.

    Who is below the share is captured, so a higher share takes in all whom a lower one did.
    """
    # Ids may hold anything, lone surrogates and NUL included: lengths keep the three parts apart.
    text = f"{len(org)},{len(salt)},{org}{salt}{user}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - _BITS)) / (1 << _BITS)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Shares by instant: nobody before the first, linear between two, the last from then on."""

    instants: tuple[float, ...]
    """Rising."""
    shares: tuple[float, ...]

    @classmethod
    def of(cls, steps: Iterable[RampingStep]) -> Self:
        """Days begin at 00:00 UTC. Steps may come in any order; of two on one day the later entry counts."""
        ordered = sorted(steps, key=lambda step: step.start)
        instants = (datetime(s.start.year, s.start.month, s.start.day, tzinfo=UTC).timestamp() for s in ordered)
        return cls(tuple(instants), tuple(step.share for step in ordered))

    def share(self, now: Instant) -> float:
        """The share in force at ``now``, 0 to 1."""
        after = bisect_right(self.instants, now)
        if after == 0:
            return 0.0
        if after == len(self.instants):
            return self.shares[-1]
        begins, ends = self.instants[after - 1], self.instants[after]
        lower, upper = self.shares[after - 1], self.shares[after]
        return lower + (upper - lower) * ((now - begins) / (ends - begins))
