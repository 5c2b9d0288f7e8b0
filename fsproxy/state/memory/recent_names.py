"""What each org claimed last, for the admin page: which names were new, and which were refused (rules.md 2).

It covers this process since its start. Names are the site's own words, not a visitor's; no value is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from fsproxy.core.limits.operations import Claim, NameKind
from fsproxy.core.model import Instant

Names = Mapping[str, Instant]
"""Each with when it was new, or refused last. The latest is the last."""
_NONE: Names = {}
_PAGE_NAME = NameKind.PAGE_NAME
MOST_NAMES = 20
"""New names of an org and kind that are shown, and refused ones."""
LONGEST_NAME = 128
"""Characters of a name that are shown."""


class RecentNames:
    """At most ``bound`` orgs: the one that was active longest ago goes first."""

    def __init__(self, bound: int = 100) -> None:
        self._bound = bound
        self._orgs: dict[str, dict[tuple[NameKind, bool], dict[str, Instant]]] = {}

    def touch(self, org: str) -> dict[tuple[NameKind, bool], dict[str, Instant]]:
        """Note that the org was active, and return what is kept of it by kind and whether it was refused."""
        orgs = self._orgs
        kinds = orgs.pop(org, None)
        if kinds is None:
            kinds = {}
            if len(orgs) >= self._bound:
                del orgs[next(iter(orgs))]
        orgs[org] = kinds
        return kinds

    def record(self, claim: Claim, new: Sequence[str], refused: Iterable[str], at: Instant) -> None:
        """Keep which of a claim's names the org had not used before, and which were refused."""
        kinds = self.touch(claim.org)
        if claim.kind is _PAGE_NAME:
            return  # they stand for values, which are shown nowhere
        if new:
            _keep(kinds.setdefault((claim.kind, False), {}), new[-MOST_NAMES:], at)
        if refused:
            _keep(kinds.setdefault((claim.kind, True), {}), islice(refused, MOST_NAMES), at)

    def orgs(self, most: int) -> list[str]:
        """Return at most so many orgs, the one that was active last first."""
        return list(islice(reversed(self._orgs), most))

    def newest(self, org: str, kind: NameKind) -> Names:
        """Return the names that were new last."""
        return self._orgs.get(org, {}).get((kind, False), _NONE)

    def newest_refused(self, org: str, kind: NameKind) -> Names:
        """Return the names that were refused last."""
        return self._orgs.get(org, {}).get((kind, True), _NONE)


def _keep(kept: dict[str, Instant], names: Iterable[str], at: Instant) -> None:
    for name in names:
        cut = name[:LONGEST_NAME]
        kept.pop(cut, None)
        kept[cut] = at
        if len(kept) > MOST_NAMES:
            del kept[next(iter(kept))]
