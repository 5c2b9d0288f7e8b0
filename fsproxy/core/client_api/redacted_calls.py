"""Redacts what inspection has found in a body, and validates the calls that change by their new sizes (rules.md 8)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from fsproxy.core.client_api.calls import Call
from fsproxy.core.client_api.inspected import BUNDLE, DOCUMENT, InspectedCall, Inspection
from fsproxy.core.client_api.inspection import inspect, with_whole_identifies
from fsproxy.core.client_api.reading.bundle import Uninspectable
from fsproxy.core.client_api.reading.bundle import read_event as read_bundle_event
from fsproxy.core.client_api.reading.direct import read_event, read_identify, read_user_vars
from fsproxy.core.client_api.reading.server_api import ServerCall, read_server_call
from fsproxy.core.client_api.redacting import NOT_REDACTED, Hits, Redact, look, redact_parts, with_sizes_of
from fsproxy.core.client_api.validation.call import validate_call
from fsproxy.core.json.scanner import Span
from fsproxy.core.model import Route
from fsproxy.core.redact.documents import redact_call
from fsproxy.core.redact.events import redact_event
from fsproxy.core.redact.json_strings import Note
from fsproxy.core.redact.redaction import Redaction
from fsproxy.core.settings import ClientApiSettings


def inspect_redacted(
    settings: ClientApiSettings,
    route: Route,
    body: bytes,
    endpoint: ServerCall | None,
    rules: Redaction,
    note: Note | None = None,
) -> Inspection:
    """Find, validate and redact every call in a body. ``note`` is called with all that the rules find."""
    inspection = inspect(settings, route, body, endpoint)
    hits = look_for(inspection, rules)
    return inspection if hits is None else redact_inspected(inspection, hits, settings, endpoint, rules, note)


def look_for(inspection: Inspection, rules: Redaction) -> Hits | None:
    """Return where something may have to be redacted; None: nowhere, as in most bodies."""
    if inspection.uninspectable is not None:
        return None
    suspects = [each.part for each in inspection.calls if each.call.breaches]
    return look(rules, inspection.body, _parts(inspection), _places(inspection), suspects)


def redact_inspected(
    inspection: Inspection,
    hits: Hits,
    settings: ClientApiSettings,
    endpoint: ServerCall | None,
    rules: Redaction,
    note: Note | None = None,
) -> Inspection:
    """Return the inspection with what is redacted where ``look_for`` has found something."""
    form = str(endpoint or inspection.route)
    redact: Redact = redact_event if inspection.form is BUNDLE else partial(redact_call, form)
    parts, places = _parts(inspection), _places(inspection)
    found = redact_parts(rules, inspection.body, parts, places, hits, redact, note)
    if found is NOT_REDACTED:
        return inspection
    if found.lost and inspection.form is DOCUMENT:
        return msgspec.structs.replace(inspection, redacted=found, uninspectable=Uninspectable.UNREDACTED)
    whole = msgspec.structs.replace(inspection, redacted=found)
    if not found.parts:
        return whole
    revised = tuple(
        _revised(each, inspection, found.parts[each.part], settings, endpoint) if each.part in found.parts else each
        for each in inspection.calls
    )
    whole = msgspec.structs.replace(whole, calls=revised)
    return with_whole_identifies(whole) if inspection.form is BUNDLE else whole


def _parts(inspection: Inspection) -> Sequence[Span]:
    return ((0, len(inspection.body)),) if inspection.form is DOCUMENT else inspection.parts


def _places(inspection: Inspection) -> list[int]:
    """Return the places of all calls among the parts, those beyond ``max_calls`` too, in order."""
    places = {each.part for each in inspection.calls}
    return sorted(places.union(inspection.surplus)) if inspection.surplus else sorted(places)


def _revised(
    each: InspectedCall, inspection: Inspection, part: bytes, settings: ClientApiSettings, endpoint: ServerCall | None
) -> InspectedCall:
    """Return the call as validated by the types of its own values and by the sizes of the redacted ones."""
    start, end = inspection.parts[each.part] if inspection.parts else (0, len(inspection.body))
    original = inspection.body[start:end]
    calls, left = (_read_again(inspection, text, settings, endpoint) for text in (original, part))
    # An event that is broken may be none any more, where what broke it was redacted: then it stays what it was.
    for call, redacted in zip(calls, left, strict=False) if len(calls) == len(left) else ():
        if call.kind is each.call.kind and not call.breaches:
            revised = with_sizes_of(call, redacted)
            return msgspec.structs.replace(each, call=revised, validated=validate_call(revised, settings))
    return each


def _read_again(
    inspection: Inspection, part: bytes, settings: ClientApiSettings, endpoint: ServerCall | None
) -> list[Call]:
    if inspection.form is BUNDLE:
        return [each.call for each in read_bundle_event(part, 0, settings, anew=True)]
    if endpoint is not None:
        return [read_server_call(endpoint, part, settings.max_payload)]
    if inspection.route is Route.DIRECT_EVENT:
        return [read_event(part, settings, anew=True)]
    read = read_identify if inspection.route is Route.DIRECT_IDENTIFY else read_user_vars
    return [read(part, settings.max_payload)]
