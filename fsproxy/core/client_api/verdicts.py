"""What the limits say of one call, and the form in which a repeat of it takes that over (rules.md 2)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fsproxy.core.client_api.inspection import InspectedCall
from fsproxy.core.client_api.validation.call import Refused, name_kind
from fsproxy.core.limits.operations import NameKind

MOST_REMEMBERED = 256
"""Characters of refused names in a verdict; half a million verdicts may be remembered."""


class LimitVerdict(msgspec.Struct, frozen=True, gc=False):
    """What the limits said of one call: what a repeat of it takes over. Its size is not for clients to choose."""

    rate_limited: bool = False
    refused: tuple[tuple[NameKind, str], ...] = ()
    names_anew: bool = False
    """Too many names were refused to remember them all: a repeat asks for its names again, which counts nothing."""

    def by_kind(self) -> Refused:
        """Give the names that were refused, by kind."""
        kinds = {kind for kind, _ in self.refused}
        return {kind: frozenset(name for each, name in self.refused if each is kind) for kind in kinds}


PASSED = LimitVerdict()


def refused_of(each: InspectedCall, refused: Mapping[NameKind, frozenset[str]]) -> Refused:
    """Pick what concerns one call out of all the names of a body that were refused."""
    kind = name_kind(each.call)
    if not refused or kind is None or each.judged.rejected:
        return {}
    found = {kind: refused[kind].intersection(each.judged.names)} if kind in refused else {}
    if kind is NameKind.EVENT_PROPERTY and each.call.name in refused.get(NameKind.EVENT_NAME, ()):
        found[NameKind.EVENT_NAME] = frozenset((str(each.call.name),))
    return {which: names for which, names in found.items() if names}


def verdict_of(refused: Refused, *, limited: bool) -> LimitVerdict:
    """Make the verdict on a call of which these names were ``refused``, and which may be over the rate."""
    if not refused and not limited:
        return PASSED
    if sum(sum(map(len, names)) for names in refused.values()) > MOST_REMEMBERED:
        return LimitVerdict(limited, names_anew=True)
    return LimitVerdict(limited, tuple((kind, name) for kind, names in refused.items() for name in sorted(names)))
