"""What the ledger must be asked about a body's calls, and which of them its answers reject (rules.md 2).

A request asks at most twice. First event names and user properties: they can reject a call. Then,
together with the rates, the properties of the events whose names stand: an event that is rejected uses up
no property names, and spends nothing (seed 2 counts the same property of different events apart, so an
org whose event names are made up on the fly would lose all of its 5,000 otherwise).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from fsproxy.core.client_api.inspection import Inspection, RateGroup
from fsproxy.core.client_api.judging import name_kind
from fsproxy.core.client_api.settling import CallsOutcome, NamesRefused, spending
from fsproxy.core.limits.operations import Answer, Claim, Claimed, NameKind, RateKind, Spend, Spent
from fsproxy.core.model import Instant, Mode
from fsproxy.core.settings import CardinalitySettings, ClientApiSettings, RateSettings, Window


class Spending(msgspec.Struct, frozen=True, gc=False):
    """What to ask of the rates, and which calls each answer is about."""

    groups: tuple[RateGroup, ...] = ()
    operations: tuple[Spend, ...] = ()


NO_SPENDING = Spending()


def first_claims(
    org: str, inspection: Inspection, repeated: Collection[int], settings: CardinalitySettings, cap: Mode
) -> tuple[Claim, ...]:
    """Names that can reject a call: event names and user properties. ``repeated`` calls claim nothing."""
    if settings.mode.capped(cap) is Mode.OFF:
        return ()
    events: dict[str, None] = {}
    users: dict[str, None] = {}
    for index, each in enumerate(inspection.calls):
        kind = name_kind(each.call)
        if kind is None or each.judged.rejected or index in repeated:
            continue
        if kind is NameKind.EVENT_PROPERTY:
            events[str(each.call.name)] = None
        else:
            users.update(dict.fromkeys(each.judged.names))
    return (
        *_claim(org, NameKind.EVENT_NAME, events, settings.event_names, settings, cap),
        *_claim(org, NameKind.USER_PROPERTY, users, settings.user_properties, settings, cap),
    )


def event_property_claims(
    org: str,
    inspection: Inspection,
    repeated: Collection[int],
    refused: NamesRefused,
    settings: CardinalitySettings,
    cap: Mode,
) -> tuple[Claim, ...]:
    """The properties of the events whose names the first claims did not refuse."""
    if settings.mode.capped(cap) is Mode.OFF:
        return ()
    names: dict[str, None] = {}
    gone = refused.get(NameKind.EVENT_NAME, ())
    for index, each in enumerate(inspection.calls):
        if name_kind(each.call) is not NameKind.EVENT_PROPERTY or each.judged.rejected or index in repeated:
            continue
        if each.call.name not in gone:
            names.update(dict.fromkeys(each.judged.names))
    return _claim(org, NameKind.EVENT_PROPERTY, names, settings.event_properties, settings, cap)


def refused_by(claims: Iterable[Claim], answers: Iterable[Answer]) -> dict[NameKind, frozenset[str]]:
    """What the answers to these claims mean; answers to other operations may follow."""
    return {
        claim.kind: answer.refused
        for claim, answer in zip(claims, answers, strict=False)
        if isinstance(answer, Claimed) and answer.refused
    }


def spends(
    org: str,
    session: str,
    inspection: Inspection,
    settled: CallsOutcome,
    repeated: Collection[int],
    time_of: Callable[[float | None], Instant],
    settings: ClientApiSettings,
    cap: Mode,
) -> Spending:
    """What the calls that are still standing cost; ``settled`` is what names and rules came to.

    A group of which a call repeats one that was judged before spends nothing again.
    """
    if not session or settings.rate.mode.capped(cap) is Mode.OFF:
        return NO_SPENDING
    groups = tuple(g for g in spending(inspection, settled) if not any(index in repeated for index in g.calls))
    return Spending(
        groups,
        tuple(
            Spend(org, session, group.kind, time_of(group.when), windows_of(group.kind, settings.rate))
            for group in groups
        ),
    )


def windows_of(kind: RateKind, settings: RateSettings) -> tuple[Window, ...]:
    """The windows that calls of a kind must fit into."""
    return settings.event if kind is RateKind.EVENT else settings.user


def limited_by(spending: Spending, answers: Iterable[Answer]) -> tuple[frozenset[int], Spent | None]:
    """The calls over the rate, and the answer with the longest wait (for ``Retry-After``)."""
    over: set[int] = set()
    longest: Spent | None = None
    for group, answer in zip(spending.groups, answers, strict=True):
        if isinstance(answer, Spent) and not answer.passed:
            over.update(group.calls)
            if longest is None or answer.retry_after > longest.retry_after:
                longest = answer
    return frozenset(over), longest


def _claim(
    org: str, kind: NameKind, names: dict[str, None], limit: int, settings: CardinalitySettings, cap: Mode
) -> tuple[Claim, ...]:
    if not names:
        return ()
    enforced = settings.mode.capped(cap) is Mode.ENFORCE
    return (Claim(org, kind, tuple(names), limit, settings.retention, enforced),)
