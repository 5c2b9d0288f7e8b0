"""Cuts what was rejected out of a body, and leaves every other byte as it came (rules.md 3)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from fsproxy.core.client_api.calls import Call
from fsproxy.core.client_api.inspected import BUNDLE, Form, Inspection
from fsproxy.core.client_api.outcome import CallOutcome, CallsOutcome
from fsproxy.core.client_api.reading.arguments import PROPERTIES, SCHEMA
from fsproxy.core.client_api.reading.bundle import is_companion
from fsproxy.core.client_api.reading.splitting import Spans
from fsproxy.core.client_api.redacting import NOT_REDACTED
from fsproxy.core.json.cutting import Edit, cut_members, removals, splice
from fsproxy.core.json.scanner import Span, Steps, elements_of, members_of, name_of
from fsproxy.core.json.surrogates import read_string, write_string

_ARGS = b'"Args":'
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def rewrite(inspection: Inspection, outcome: CallsOutcome | None) -> bytes | None:
    """Return the body to forward, uncompressed; None: the body as it came, or nothing where ``status`` is set.

    ``outcome``: None where calls are not validated, and only what was redacted changes.
    """
    redacted, body = inspection.redacted, inspection.body
    cuts = outcome is not None and outcome.changed
    if (outcome is not None and outcome.status is not None) or not (
        cuts or (redacted is not NOT_REDACTED and redacted.changes)
    ):
        return None
    decisions = outcome.calls if outcome is not None else ()
    if inspection.form is Form.DOCUMENT:
        body = redacted.parts.get(0, body)
        return _cut_document(body, inspection.calls[0].call, decisions[0]) if cuts else body
    parts = inspection.parts
    instead = {place: (*parts[place], part) for place, part in redacted.parts.items()} if redacted.parts else {}
    gone = set(_with_companions(inspection, redacted.lost)) if redacted.lost else set()
    if outcome is not None and outcome.surplus_is_cut:
        gone.update(_with_companions(inspection, inspection.surplus))
    for each, decided in zip(inspection.calls, decisions, strict=bool(decisions)):
        if decided.rejected:
            gone.update(_with_companions(inspection, (each.part,)))
        elif decided.cuts:
            start, end, part = instead.get(each.part) or (*parts[each.part], b"")
            part = part or body[start:end]
            cut = _cut_event(part, decided) if inspection.form is BUNDLE else _cut_document(part, each.call, decided)
            instead[each.part] = start, end, cut
    if not gone:
        return splice(body, [*redacted.edits, *instead.values()])
    kept = [edit for place, edit in instead.items() if place not in gone]
    return splice(body, [*redacted.edits, *kept, *_removals(parts, gone)])


def _removals(parts: Sequence[Span], gone: set[int]) -> list[Edit]:
    """Return the edits that remove parts, list by list, as each list has commas of its own."""
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
    """Yield the parts to remove, and with each the ``api`` event directly before it."""
    yield from parts
    if inspection.form is Form.BUNDLE:
        for each in parts:
            before = each - 1
            if each and before not in parts:
                start, end = inspection.parts[before]
                if is_companion(inspection.body[start:end]):
                    yield before


def _cut_document(body: bytes, call: Call, outcome: CallOutcome) -> bytes:
    kept = {steps[:length] for steps in (call.at, call.schema_at) for length in range(len(steps) + 1)}
    return cut_members(body, outcome.cuts + outcome.schema_cuts, kept)


def _cut_event(event: bytes, outcome: CallOutcome) -> bytes:
    """Cut properties out of the JSON texts in an event's ``Args``; its other members keep their bytes."""
    spans = _find_arguments(event) or _scan_arguments(event)
    edits: list[Edit] = []
    cuts: tuple[Steps, ...]
    for place, cuts in ((PROPERTIES, outcome.cuts), (SCHEMA, outcome.schema_cuts)):
        if cuts:
            start, end = spans[place]
            text = read_string(event[start:end]).encode("utf-8", "surrogatepass")
            edits.append((start, end, write_string(cut_members(text, cuts).decode("utf-8", "surrogatepass"))))
    return splice(event, edits)


def _find_arguments(event: bytes) -> list[Span] | None:
    """Return where the elements of ``Args`` are, at the speed of C code; None: only the scanner can find them.

    The elements are decoded as raw bytes, of which only the lengths are used. Their places follow from them if
    the elements and single commas make up the whole list, and the list follows the only ``"Args":`` of the event.
    """
    start = event.find(_ARGS)
    if start < 0 or event.count(b'"Args"') != 1:
        return None
    try:
        args = bytes(_read_members(event)["Args"])
        elements = list(map(bytes, _read_elements(args)))
    except (ValueError, KeyError, RecursionError):
        return None
    at = start + len(_ARGS)
    if args != b"[%b]" % b",".join(elements) or not event.startswith(args, at):
        return None
    places: list[Span] = []
    at += 1
    for each in elements:
        places.append((at, at + len(each)))
        at += len(each) + 1
    return places


def _scan_arguments(event: bytes) -> list[Span]:
    members, _ = members_of(event, 0)
    args = next(each for each in members if name_of(event, each) == "Args")
    return elements_of(event, args.value_start)[0]
