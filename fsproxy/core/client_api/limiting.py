"""What a body's calls spend of the rates, and which of them are over (rules.md 2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from zlib import crc32

import msgspec

from fsproxy.core.client_api.inspected import Inspection, RateGroup
from fsproxy.core.client_api.outcome import CallsOutcome, spending
from fsproxy.core.limits.operations import Answer, RateKind, Spend, Spent
from fsproxy.core.limits.page_clock import CallClock
from fsproxy.core.model import Mode
from fsproxy.core.settings import ClientApiSettings, RateSettings, Window


class Spending(msgspec.Struct, frozen=True, gc=False):
    """The operations on the rates, and the group of calls that each is about."""

    groups: tuple[RateGroup, ...] = ()
    operations: tuple[Spend, ...] = ()


NO_SPENDING = Spending()


def spends(
    org: str,
    session: str,
    inspection: Inspection,
    outcome: CallsOutcome,
    repeated: Collection[int],
    clock: CallClock,
    settings: ClientApiSettings,
    cap: Mode,
) -> Spending:
    """Return what the calls spend that validation and names did not reject; ``outcome`` is theirs so far.

    A group with a call at one of the places ``repeated`` was counted before, and spends nothing again.
    """
    if not session or settings.rate.mode.capped(cap) is Mode.OFF:
        return NO_SPENDING
    groups = tuple(g for g in spending(inspection, outcome) if not any(index in repeated for index in g.calls))
    return Spending(groups, tuple(_spend(org, session, inspection, group, clock, settings.rate) for group in groups))


def _spend(
    org: str, session: str, inspection: Inspection, group: RateGroup, clock: CallClock, settings: RateSettings
) -> Spend:
    windows = windows_of(group.kind, settings)
    at = clock.at(group.when)
    if at is None:
        return Spend(org, session, group.kind, clock.now, windows)
    if not clock.page or group.when is None:
        return Spend(org, session, group.kind, at, windows)
    digest = inspection.calls[group.calls[0]].digest
    return Spend(org, session, group.kind, at, windows, clock.page, group.when, crc32(digest) if digest else 0)


def windows_of(kind: RateKind, settings: RateSettings) -> tuple[Window, ...]:
    """Return the windows that calls of a kind must fit into."""
    return settings.event if kind is RateKind.EVENT else settings.user


def limited_by(spending: Spending, answers: Iterable[Answer]) -> tuple[frozenset[int], Spent | None]:
    """Return the places of the calls over the rate, and the answer with the longest wait, for ``Retry-After``."""
    over: set[int] = set()
    longest: Spent | None = None
    for group, answer in zip(spending.groups, answers, strict=True):
        if isinstance(answer, Spent) and not answer.passed:
            over.update(group.calls)
            if longest is None or answer.retry_after > longest.retry_after:
                longest = answer
    return frozenset(over), longest
