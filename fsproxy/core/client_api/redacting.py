"""Redacts the calls of a body, and the strings around them (rules.md 8). The body is read once, by ``inspection``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from fsproxy.core.client_api.calls import UID, Call
from fsproxy.core.client_api.validation.values import is_offset_date
from fsproxy.core.json.cutting import Edit
from fsproxy.core.json.scanner import Span
from fsproxy.core.redact.json_strings import Note, Redactor, gaps
from fsproxy.core.redact.redaction import STRINGS, Found, Redaction, UnreadableError

NO_FINDS = Found()
Redact = Callable[[Redactor, bytes], bytes]
"""Returns a call without what is redacted, the same object if nothing is. Raises UnreadableError."""


class Redacted(msgspec.Struct, frozen=True, gc=False):
    """What redaction changes in a body."""

    parts: Mapping[int, bytes] = MappingProxyType({})
    """The calls that are changed, by their places among the inspection's parts; 0 where the body is the call."""
    edits: Sequence[Edit] = ()
    """The changes between the calls."""
    lost: frozenset[int] = frozenset()
    """The calls that cannot be read, and so do not go on."""
    found: Found = NO_FINDS

    @property
    def changes(self) -> bool:
        """Whether the body does not go on as it came."""
        return bool(self.parts or self.edits or self.lost)


NOT_REDACTED = Redacted()


class Hits(msgspec.Struct, frozen=True, gc=False):
    """Where something may have to be redacted in a body."""

    calls: tuple[int, ...]
    """The calls, by their places among the inspection's parts."""
    between: bool
    """Whether all strings between the calls are to be looked at."""


def look(
    rules: Redaction, body: bytes, parts: Sequence[Span], calls: Iterable[int], suspects: Collection[int]
) -> Hits | None:
    """Return where something may have to be redacted; None: nowhere. It takes one pass over what the rules look at.

    ``calls`` are some of the parts. ``suspects`` are those calls that may be unreadable.
    """
    in_calls = rules.in_bodies
    # Where all strings count, one pass over the whole body tells that most bodies have nothing to redact.
    between = bool(rules.of[STRINGS])
    may_hold = not between or rules.may_hold(body, in_calls)
    if not may_hold and not suspects:
        return None
    hits = [
        place
        for place in calls
        if place in suspects or (may_hold and rules.may_hold(body[parts[place][0] : parts[place][1]], in_calls))
    ]
    return Hits(tuple(hits), between and may_hold) if hits or (between and may_hold) else None


def redact_parts(
    rules: Redaction,
    body: bytes,
    parts: Sequence[Span],
    calls: Iterable[int],
    hits: Hits,
    redact: Redact,
    note: Note | None = None,
) -> Redacted:
    """Redact the calls that are hits with ``redact``, and the strings between all of the calls."""
    redactor = Redactor(rules, note)
    changed: dict[int, bytes] = {}
    lost: set[int] = set()
    for place in hits.calls:
        start, end = parts[place]
        part = body[start:end]
        redactor.at, redactor.within = start, None
        try:
            instead = redact(redactor, part)
        except UnreadableError:
            if rules.fails_closed:
                lost.add(place)
            continue
        if instead is not part:
            changed[place] = instead
    edits: list[Edit] = []
    if hits.between:
        redactor.at, redactor.within = 0, None
        for start, end in gaps(len(body), [parts[place] for place in calls]):
            edits += redactor.rest(body, start, end)
    if not redactor.found and not lost and not edits:
        return NOT_REDACTED
    return Redacted(changed, edits, frozenset(lost), redactor.found)


def with_sizes_of(call: Call, redacted: Call) -> Call:
    """Return a call with the values of the redacted one, whose sizes count, where the call's own ones are no dates.

    Types are validated on the original values, sizes and lengths on what goes on. A string is a string in both, and no
    date is too large. The uid stays: it is what filters and limits know the user by.
    """
    pairs: list[tuple[Any, Any]] = [(call.properties, redacted.properties), (call.around, redacted.around)]
    if UID in call.properties:
        redacted.properties[UID] = call.properties[UID]
    if UID in call.around:
        redacted.around[UID] = call.around[UID]
    while pairs:
        old, new = pairs.pop()
        for key, value in list(new.items() if isinstance(new, dict) else enumerate(new)):
            before = old[key]
            if type(value) is dict or type(value) is list:
                pairs.append((before, value))
            elif type(before) is str and before != value and is_offset_date(before):
                new[key] = before
    return msgspec.structs.replace(redacted, kind=call.kind, key=None, learned=None)
