"""The limits on names: what a request claims of the ledger, and which names the ledger refused (rules.md 2).

A request claims twice. First event names, user and page properties, because they can reject a call. Then, together
with the rates, the properties of the events that were not rejected: a rejected event uses up no property names. The
same property under different events counts each time, so an org with made-up event names would otherwise lose all of
its 5,000 to events that are not recorded. A request makes at most one Claim of each kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from fsproxy.core.limits.operations import UNCOUNTED, Answer, Claim, Claimed, NameKind
from fsproxy.core.model import Mode
from fsproxy.core.settings import CardinalitySettings

Names = Mapping[NameKind, Collection[str]]
"""Canonical names by kind, without duplicates: ``path_type``, or ``event/path_type`` for an event's property."""

NO_NAMES: Names = MappingProxyType({})
EVENT_NAME, EVENT_PROPERTY, USER_PROPERTY = NameKind.EVENT_NAME, NameKind.EVENT_PROPERTY, NameKind.USER_PROPERTY
PAGE_PROPERTY, PAGE_NAME = NameKind.PAGE_PROPERTY, NameKind.PAGE_NAME
_OFF = Mode.OFF


def first_claims(org: str, page: str, names: Names, settings: CardinalitySettings) -> tuple[Claim, ...]:
    """Return the claims of the names that can reject a call: event names, user properties and what a page sets.

    ``page`` is the page that the calls belong to. Without one, "", no limit on one page holds.
    """
    if settings.mode is _OFF:
        return ()
    events, users = names.get(EVENT_NAME), names.get(USER_PROPERTY)
    claims: tuple[Claim, ...] = ()
    if events:
        claims = (Claim(org, EVENT_NAME, tuple(events), settings.event_names, settings.retention),)
    if users:
        claims += (Claim(org, USER_PROPERTY, tuple(users), settings.user_properties, settings.retention),)
    if PAGE_PROPERTY in names or PAGE_NAME in names:
        claims += _page_claims(org, page, names, settings)
    return claims


def _page_claims(org: str, page: str, names: Names, settings: CardinalitySettings) -> tuple[Claim, ...]:
    claims: tuple[Claim, ...] = ()
    properties, values = tuple(names.get(PAGE_PROPERTY, ())), tuple(names.get(PAGE_NAME, ()))
    most, most_per_page = settings.page_properties, settings.page_properties_per_page
    if properties and page and most_per_page is not None:
        limit = most if most is not None else UNCOUNTED
        claims = (Claim(org, PAGE_PROPERTY, properties, limit, settings.retention, page, most_per_page),)
    elif properties and most is not None:
        claims = (Claim(org, PAGE_PROPERTY, properties, most, settings.retention),)
    if values and settings.page_names is not None:
        claims += (Claim(org, PAGE_NAME, values, settings.page_names, settings.retention),)
    return claims


def event_property_claims(org: str, names: Names, refused: Names, settings: CardinalitySettings) -> tuple[Claim, ...]:
    """Return the claim of the properties of the events whose names were not ``refused`` by ``first_claims``.

    In shadow mode the claim is the same, to count what would count if the limit were enforced.
    """
    properties = names.get(EVENT_PROPERTY)
    if not properties or settings.mode is _OFF:
        return ()
    events = refused.get(EVENT_NAME)
    if events:
        properties = [each for each in properties if event_of(each) not in events]
        if not properties:
            return ()
    return (Claim(org, EVENT_PROPERTY, tuple(properties), settings.event_properties, settings.retention),)


def event_of(event_property: str) -> str:
    """Return the event's name in ``event/path_type``. The name may hold a slash, and the path never does."""
    return event_property.rpartition("/")[0]


def refused_names(claims: Iterable[Claim], answers: Iterable[Answer], before: Names = NO_NAMES) -> Names:
    """Return the refused names by kind, with those refused ``before``. Each is a ``CardinalityExceeded``.

    ``answers`` are in the order of ``claims``, and answers to other operations may follow.
    """
    refused = before
    for claim, answer in zip(claims, answers, strict=False):
        if isinstance(answer, Claimed) and answer.refused:
            refused = {**refused, claim.kind: answer.refused}
    return refused
