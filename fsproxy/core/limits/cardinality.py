"""The limits on names: what a request claims of the ledger, and which names the ledger refused (rules.md 2).

A request claims twice. First event names and user properties, because they can reject a call. Then, together with
the rates, the properties of the events that were not rejected: a rejected event uses up no property names. The same
property under different events counts each time, so an org with made-up event names would otherwise lose all of its
5,000 to events that are not recorded. A request makes at most one Claim of each kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from fsproxy.core.limits.operations import Answer, Claim, Claimed, NameKind
from fsproxy.core.model import Mode
from fsproxy.core.settings import CardinalitySettings

Names = Mapping[NameKind, Collection[str]]
"""Canonical names by kind, without duplicates: ``path_type``, or ``event/path_type`` for an event's property."""

NO_NAMES: Names = MappingProxyType({})


def first_claims(
    org: str, names: Names, settings: CardinalitySettings, *, cap: Mode = Mode.ENFORCE
) -> tuple[Claim, ...]:
    """Return the claims of the names that can reject a call: event names and user properties.

    ``cap`` is the top-level mode, which weakens the mode of the settings.
    """
    mode = settings.mode.capped(cap)
    return (
        *_claim(org, NameKind.EVENT_NAME, names.get(NameKind.EVENT_NAME, ()), settings, mode),
        *_claim(org, NameKind.USER_PROPERTY, names.get(NameKind.USER_PROPERTY, ()), settings, mode),
    )


def event_property_claims(
    org: str, names: Names, refused: Names, settings: CardinalitySettings, *, cap: Mode = Mode.ENFORCE
) -> tuple[Claim, ...]:
    """Return the claim of the properties of the events whose names were not ``refused`` by ``first_claims``.

    In shadow mode the claim is the same, to count what would count if the limit were enforced.
    """
    properties = names.get(NameKind.EVENT_PROPERTY, ())
    events = refused.get(NameKind.EVENT_NAME, ())
    if events:
        properties = [each for each in properties if event_of(each) not in events]
    return _claim(org, NameKind.EVENT_PROPERTY, properties, settings, settings.mode.capped(cap))


def event_of(event_property: str) -> str:
    """Return the event's name in ``event/path_type``. The name may hold a slash, and the path never does."""
    return event_property.rpartition("/")[0]


def refused_names(claims: Iterable[Claim], answers: Iterable[Answer], before: Names = NO_NAMES) -> Names:
    """Return the refused names by kind, with those refused ``before``. Each is a ``CardinalityExceeded``.

    ``answers`` are in the order of ``claims``, and answers to other operations may follow.
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
