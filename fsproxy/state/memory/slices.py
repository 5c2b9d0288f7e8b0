"""Asks a ledger much without holding the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

from fsproxy.core.limits.operations import Answer, Claim, Claimed, Ledger, Operation
from fsproxy.core.model import Instant

OPERATIONS = 50
"""Operations that a ledger is asked at a time, of many: about a millisecond."""
NAMES = 500
"""Names that are claimed at a time, of many."""


async def ask_in_slices(
    ledger: Ledger, operations: tuple[Operation, ...], now: Instant, deadline: float
) -> tuple[Answer, ...]:
    """The answers, in order. A ledger that answers at once is asked in slices, so that others have their turn.

    Each operation is atomic by itself, a large Claim each of its slices. A ledger that must be waited for is asked
    once. Raises LedgerDownError.
    """
    if not operations:
        return ()
    if len(operations) <= OPERATIONS and not any(_is_large(each) for each in operations):
        answers = ledger.try_now(operations, now)
        return answers if answers is not None else await ledger.ask(operations, now, deadline)
    found: list[Answer] = []
    for part, continued in _slices(operations):
        more = ledger.try_now(part, now)
        if more is None:
            return await ledger.ask(operations, now, deadline)
        if continued:
            found[-1] = _joined(found[-1], more[0])
        else:
            found += more
        await asyncio.sleep(0)
    return tuple(found)


def _is_large(operation: Operation) -> bool:
    return type(operation) is Claim and len(operation.names) > NAMES


def _slices(operations: tuple[Operation, ...]) -> Iterator[tuple[tuple[Operation, ...], bool]]:
    """Operations to ask together, and whether they are the rest of the Claim before."""
    start = 0
    for index, each in enumerate(operations):
        if type(each) is Claim and len(each.names) > NAMES:
            if start < index:
                yield operations[start:index], False
            for at in range(0, len(each.names), NAMES):
                yield (msgspec.structs.replace(each, names=each.names[at : at + NAMES]),), at > 0
            start = index + 1
        elif index + 1 - start == OPERATIONS:
            yield operations[start : index + 1], False
            start = index + 1
    if start < len(operations):
        yield operations[start:], False


def _joined(before: Answer, more: Answer) -> Answer:
    if not isinstance(before, Claimed) or not isinstance(more, Claimed):
        return more
    return Claimed(before.refused | more.refused, more.known)
