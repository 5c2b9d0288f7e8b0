"""What the limits decided about one call, in the form in which a repeat of the call takes it over (rules.md 2)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fsproxy.core.client_api.calls import NAME_KINDS
from fsproxy.core.client_api.inspected import InspectedCall
from fsproxy.core.client_api.validation.call import Refused
from fsproxy.core.limits.operations import NameKind

MOST_REMEMBERED = 256
"""Characters of refused names in a verdict; half a million verdicts may be remembered."""


class LimitVerdict(msgspec.Struct, frozen=True, gc=False):
    """What the limits decided about one call. Its size is bounded, because clients choose the names in it."""

    rate_limited: bool = False
    refused: tuple[tuple[NameKind, str], ...] = ()
    names_anew: bool = False
    """More names were refused than are remembered: a repeat asks for its names again, which counts nothing."""

    def by_kind(self) -> Refused:
        """Return the refused names by kind."""
        kinds = {kind for kind, _ in self.refused}
        return {kind: frozenset(name for each, name in self.refused if each is kind) for kind in kinds}


PASSED = LimitVerdict()


def refused_of(each: InspectedCall, refused: Mapping[NameKind, frozenset[str]], *, is_alone: bool = False) -> Refused:
    """Return those of a body's refused names that one call has: all, if it ``is_alone`` in the body."""
    kind = NAME_KINDS.get(each.call.kind)
    if kind is None or each.validated.rejected:
        return {}
    if is_alone:
        return refused
    found = {kind: refused[kind].intersection(each.validated.names)} if kind in refused else {}
    if kind is NameKind.EVENT_PROPERTY and each.call.name in refused.get(NameKind.EVENT_NAME, ()):
        found[NameKind.EVENT_NAME] = frozenset((str(each.call.name),))
    if each.validated.page_name in refused.get(NameKind.PAGE_NAME, ()):
        found[NameKind.PAGE_NAME] = frozenset((each.validated.page_name,))
    return {which: names for which, names in found.items() if names}


def verdict_of(refused: Refused, *, limited: bool) -> LimitVerdict:
    """Return the verdict on a call with these ``refused`` names, which is over the rate if ``limited``."""
    if any(len(names) > MOST_REMEMBERED for names in refused.values()) or (
        sum(sum(map(len, names)) for names in refused.values()) > MOST_REMEMBERED
    ):
        return LimitVerdict(limited, names_anew=True)
    return LimitVerdict(limited, tuple((kind, name) for kind, names in refused.items() for name in sorted(names)))
