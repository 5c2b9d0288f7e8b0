"""A body without what was rejected in it; every other byte as it came (rules.md 3)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from fsproxy.core.client_api.calls import Call, Steps
from fsproxy.core.client_api.inspection import Form, Inspection
from fsproxy.core.client_api.reading.arguments import PROPERTIES, SCHEMA
from fsproxy.core.client_api.reading.bundle import is_companion
from fsproxy.core.client_api.reading.splitting import Spans
from fsproxy.core.client_api.settling import CallOutcome, CallsOutcome
from fsproxy.core.json.compact import places_of_elements
from fsproxy.core.json.cutting import Edit, cut_members, removals, splice
from fsproxy.core.json.scanner import Span, elements_of, members_of, name_of
from fsproxy.core.json.surrogates import read_string, write_string


def rewrite(inspection: Inspection, outcome: CallsOutcome) -> bytes | None:
    """Give the body to forward, uncompressed; None: as it came. Where ``status`` is set nothing is forwarded."""
    if outcome.status is not None or not outcome.changed:
        return None
    if inspection.form is Form.DOCUMENT:
        return _cut_document(inspection.body, inspection.calls[0].call, outcome.calls[0])
    gone: set[int] = set()
    edits: list[Edit] = []
    if outcome.surplus_is_cut:
        gone.update(_with_companions(inspection, inspection.surplus))
    for each, settled in zip(inspection.calls, outcome.calls, strict=True):
        start, end = inspection.parts[each.part]
        part = inspection.body[start:end]
        if settled.rejected:
            gone.update(_with_companions(inspection, (each.part,)))
        elif settled.cuts and inspection.form is Form.BUNDLE:
            edits.append((start, end, _cut_event(part, settled)))
        elif settled.cuts:
            edits.append((start, end, _cut_document(part, each.call, settled)))
    return splice(inspection.body, [*edits, *_removals(inspection.parts, gone)])


def _removals(parts: Sequence[Span], gone: set[int]) -> list[Edit]:
    """Say which bytes go with the parts that go, list by list."""
    lists = parts.lists if isinstance(parts, Spans) else (len(parts),)
    if len(lists) == 1:
        return removals(parts, gone)
    edits: list[Edit] = []
    first = 0
    for count in lists:
        edits += removals(parts[first : first + count], {index - first for index in gone})
        first += count
    return edits


def _with_companions(inspection: Inspection, parts: Collection[int]) -> Iterator[int]:
    """Give parts that go, and the events before them that belong to them."""
    yield from parts
    if inspection.form is Form.BUNDLE:
        for each in parts:
            before = each - 1
            if each and before not in parts and is_companion(_part(inspection, before)):
                yield before


def _part(inspection: Inspection, index: int) -> bytes:
    start, end = inspection.parts[index]
    return inspection.body[start:end]


def _cut_document(body: bytes, call: Call, settled: CallOutcome) -> bytes:
    kept = {steps[:length] for steps in (call.at, call.schema_at) for length in range(len(steps) + 1)}
    return cut_members(body, settled.cuts + settled.schema_cuts, kept)


def _elements_of_args(event: bytes) -> list[Span]:
    members, _ = members_of(event, 0)
    args = next(each for each in members if name_of(event, each) == "Args")
    return elements_of(event, args.value_start)[0]


def _cut_event(event: bytes, settled: CallOutcome) -> bytes:
    """Cut properties out of the texts in an event's ``Args``; its other members keep their bytes."""
    spans = places_of_elements(event, b"Args") or _elements_of_args(event)
    edits: list[Edit] = []
    cuts: tuple[Steps, ...]
    for place, cuts in ((PROPERTIES, settled.cuts), (SCHEMA, settled.schema_cuts)):
        if cuts:
            start, end = spans[place]
            text = read_string(event[start:end]).encode("utf-8", "surrogatepass")
            edits.append((start, end, write_string(cut_members(text, cuts).decode("utf-8", "surrogatepass"))))
    return splice(event, edits)
