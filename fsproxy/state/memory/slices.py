"""Many operations in slices, so that carrying them out need not hold the event loop."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fsproxy.core.limits.operations import Answer, Claim, Claimed, Operation

OPERATIONS = 50
"""Operations in a slice: about a millisecond's."""
NAMES = 500
"""Names in a slice. A larger Claim is cut."""


def slices(operations: tuple[Operation, ...]) -> Iterator[tuple[tuple[Operation, ...], bool]]:
    """Yield the operations of each slice, and whether it is one Claim that goes on with the Claim before."""
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


def joined(before: Answer, more: Answer) -> Answer:
    """Return one answer for both parts of a Claim."""
    if not isinstance(before, Claimed) or not isinstance(more, Claimed):
        return more
    return Claimed(before.refused | more.refused, more.known)
