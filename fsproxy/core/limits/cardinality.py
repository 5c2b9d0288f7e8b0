"""Names: what the ledger must be asked about a request's calls, and which of them it refused.

A request asks twice. First event names and user properties: they can reject a call. Then, together with
the rates, the properties of the events whose names stand: an event that is rejected uses up no
property names (seed 2 counts "the same property name but different event names" apart, so an org
whose event names are made up on the fly would lose all of its 5,000 otherwise).
At most one Claim of a kind is made for a request.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fsproxy.core.limits.operations import Answer, Claim, Claimed, NameKind
from fsproxy.core.model import CallKind, Mode
from fsproxy.core.settings import CardinalitySettings

_NOTHING: frozenset[str] = frozenset()


class CallNames(msgspec.Struct, frozen=True, gc=False):
    """The names of one call that passed all other checks."""

    kind: CallKind
    name: str | None
    """An event's name; None where the kind has none."""
    properties: tuple[str, ...]
    """Canonical names (dotted path and type suffix), without the reserved ones: they do not count."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The names that were refused: each breaches ``CardinalityExceeded``."""

    event_names: frozenset[str] = _NOTHING
    user_properties: frozenset[str] = _NOTHING
    event_properties: frozenset[str] = _NOTHING
    """As ``event_property`` writes them."""

    def event(self, name: str) -> bool:
        """The event's name was refused: the call is rejected."""
        return name in self.event_names

    def property(self, kind: CallKind, name: str | None, canonical: str) -> bool:
        """This property of the call was refused. ``name`` is an event's."""
        if kind.is_user:
            return canonical in self.user_properties
        return bool(self.event_properties) and event_property(name or "", canonical) in self.event_properties


NOTHING_REFUSED = Refused()


def event_property(event: str, canonical: str) -> str:
    """The name under which a property of an event is counted. No property name holds an ``@``."""
    return f"{canonical}@{event}"


def first_claims(org: str, calls: Iterable[CallNames], settings: CardinalitySettings) -> tuple[Claim, ...]:
    """What can reject a call: event names and user properties. Page and document variables have no limit."""
    if settings.mode is Mode.OFF:
        return ()
    events: dict[str, None] = {}
    users: dict[str, None] = {}
    for call in calls:
        if call.kind is CallKind.EVENT:
            events[call.name or ""] = None
        elif call.kind.is_user:
            users.update(dict.fromkeys(call.properties))
    return (
        *_claim(org, NameKind.EVENT_NAME, events, settings.event_names, settings),
        *_claim(org, NameKind.USER_PROPERTY, users, settings.user_properties, settings),
    )


def event_property_claims(
    org: str, calls: Iterable[CallNames], refused: Refused, settings: CardinalitySettings
) -> tuple[Claim, ...]:
    """The properties of the events that were not refused; ``refused`` is what ``first_claims`` came to."""
    if settings.mode is Mode.OFF:
        return ()
    names: dict[str, None] = {}
    for call in calls:
        # In shadow too: what would be counted if it were enforced.
        if call.kind is CallKind.EVENT and not refused.event(call.name or ""):
            names.update((event_property(call.name or "", each), None) for each in call.properties)
    return _claim(org, NameKind.EVENT_PROPERTY, names, settings.event_properties, settings)


def refused_by(claims: Iterable[Claim], answers: Iterable[Answer], before: Refused = NOTHING_REFUSED) -> Refused:
    """What the answers to these claims mean, on top of ``before``.

    ``answers`` stand in the order of the claims; answers to other operations may follow.
    """
    refused = {
        claim.kind: answer.refused
        for claim, answer in zip(claims, answers, strict=False)
        if isinstance(answer, Claimed) and answer.refused
    }
    if not refused:
        return before
    return Refused(
        refused.get(NameKind.EVENT_NAME, before.event_names),
        refused.get(NameKind.USER_PROPERTY, before.user_properties),
        refused.get(NameKind.EVENT_PROPERTY, before.event_properties),
    )


def _claim(
    org: str, kind: NameKind, names: dict[str, None], limit: int, settings: CardinalitySettings
) -> tuple[Claim, ...]:
    if not names:
        return ()
    enforced = settings.mode is Mode.ENFORCE
    return (Claim(org, kind, tuple(names), limit, settings.retention, enforced),)
