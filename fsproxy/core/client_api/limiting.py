"""What a body's calls spend of the rates, and which of them are over (rules.md 2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from zlib import crc32

import msgspec

from fsproxy.core.client_api.inspected import Inspection, RateGroup
from fsproxy.core.client_api.outcome import CallsOutcome
from fsproxy.core.limits.operations import Answer, RateKind, Spend, Spent
from fsproxy.core.limits.page_clock import CallClock
from fsproxy.core.settings import RateSettings


class Spending(msgspec.Struct, frozen=True, gc=False):
    """The operations on the rates, and the group of calls that each is about."""

    groups: tuple[RateGroup, ...] = ()
    operations: tuple[Spend, ...] = ()


NO_SPENDING = Spending()
_EVENT, _USER = RateKind.EVENT, RateKind.USER


def spends(
    org: str,
    session: str,
    inspection: Inspection,
    outcome: CallsOutcome,
    repeated: Collection[int],
    clock: CallClock,
    rate: RateSettings,
    page: str = "",
) -> Spending:
    """Return what the calls spend that validation and names did not reject; ``outcome`` is theirs so far.

    ``page`` is the page for which windows ``per_page`` count, "" where a route has none. A group with a call at one of
    the places ``repeated`` was counted before, and spends nothing again.
    """
    groups: list[RateGroup] = []
    operations: list[Spend] = []
    for group in inspection.rate_groups():
        windows = rate.event if group.kind is _EVENT else rate.user if group.kind is _USER else rate.page
        if not windows:
            continue
        if repeated and any(index in repeated for index in group.calls):
            continue
        # If only the variables of an identify are rejected, its uid is left and spends. If the uid is rejected, its
        # variables are rejected with it, and nothing is left.
        for index in group.calls:
            if not (outcome.calls[index].rejected or inspection.calls[index].validated.rejected):
                break
        else:
            continue
        groups.append(group)
        at = clock.at(group.when)
        if at is None:
            spend = Spend(org, session, group.kind, clock.now, windows, of_page=page)
        elif not clock.page or group.when is None:
            spend = Spend(org, session, group.kind, at, windows, of_page=page)
        else:
            digest = inspection.calls[group.calls[0]].digest
            mark = crc32(digest) if digest else 0
            spend = Spend(org, session, group.kind, at, windows, clock.page, group.when, mark, page)
        operations.append(spend)
    return Spending(tuple(groups), tuple(operations))


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
