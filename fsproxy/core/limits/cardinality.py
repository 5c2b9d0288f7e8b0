"""Names: what the ledger must be asked about a request's calls, and which of them it refused.

A request asks twice. First event names and user properties: they can reject a call. Then, together with
the rates, the properties of the events whose names stand: an event that is rejected uses up no property
names (rules.md 2 counts "the same property name but different event names" apart, so an org whose event
names are made up on the fly would lose all of its 5,000 to events that nobody records).
At most one Claim of a kind is made for a request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from fsproxy.core.limits.operations import Answer, Claim, Claimed, NameKind
from fsproxy.core.model import Mode
from fsproxy.core.settings import CardinalitySettings

Names = Mapping[NameKind, Collection[str]]
"""Canonical names by kind, each once: ``path_type``; of an event's property, ``event/path_type``."""

NO_NAMES: Names = MappingProxyType({})


def first_claims(
    org: str, names: Names, settings: CardinalitySettings, *, cap: Mode = Mode.ENFORCE
) -> tuple[Claim, ...]:
    """What can reject a call: event names and user properties. ``cap`` is the weaker mode above this one."""
    mode = settings.mode.capped(cap)
    return (
        *_claim(org, NameKind.EVENT_NAME, names.get(NameKind.EVENT_NAME, ()), settings, mode),
        *_claim(org, NameKind.USER_PROPERTY, names.get(NameKind.USER_PROPERTY, ()), settings, mode),
    )


def event_property_claims(
    org: str, names: Names, refused: Names, settings: CardinalitySettings, *, cap: Mode = Mode.ENFORCE
) -> tuple[Claim, ...]:
    """The properties of the events that stand; ``refused`` is what came of ``first_claims``.

    In shadow the same: what would be counted if it were enforced.
    """
    properties = names.get(NameKind.EVENT_PROPERTY, ())
    events = refused.get(NameKind.EVENT_NAME, ())
    if events:
        properties = [each for each in properties if event_of(each) not in events]
    return _claim(org, NameKind.EVENT_PROPERTY, properties, settings, settings.mode.capped(cap))


def event_of(event_property: str) -> str:
    """The event's name in ``event/path_type``: an event's name may hold a ``/``, a property's path never does."""
    return event_property.rpartition("/")[0]


def refused_names(claims: Iterable[Claim], answers: Iterable[Answer], before: Names = NO_NAMES) -> Names:
    """The names that were refused, by kind, on top of ``before``: each breaches ``CardinalityExceeded``.

    ``answers`` stand in the order of ``claims``; answers to other operations may follow.
    """
    refused = {
        claim.kind: answer.refused
        for claim, answer in zip(claims, answers, strict=False)
        if isinstance(answer, Claimed) and answer.refused
    }
    return {**before, **refused} if refused else before


def _claim(
    org: str, kind: NameKind, names: Collection[str], settings: CardinalitySettings, mode: Mode
) -> tuple[Claim, ...]:
    if not names or mode is Mode.OFF:
        return ()
    limit = {
        NameKind.EVENT_NAME: settings.event_names,
        NameKind.USER_PROPERTY: settings.user_properties,
        NameKind.EVENT_PROPERTY: settings.event_properties,
    }[kind]
    return (Claim(org, kind, tuple(names), limit, settings.retention, mode is Mode.ENFORCE),)
