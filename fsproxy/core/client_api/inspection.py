"""Finds every call in a body and validates it as far as the ledger is not needed for it (rules.md 2)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from operator import attrgetter

import msgspec

from fsproxy.core.client_api.calls import Call, ValidatedCall, broken, unread
from fsproxy.core.client_api.inspected import BUNDLE, DOCUMENT, Form, InspectedCall, Inspection
from fsproxy.core.client_api.reading.bundle import Bundle, Uninspectable, read_bundle
from fsproxy.core.client_api.reading.bundle import read_event as read_bundle_event
from fsproxy.core.client_api.reading.direct import read_event, read_identify, read_user_vars, recognize_event
from fsproxy.core.client_api.reading.server_api import ServerCall, batch_kind, read_server_call, split_batch
from fsproxy.core.client_api.validation.call import validate_call
from fsproxy.core.json.strict import Fault
from fsproxy.core.model import Route
from fsproxy.core.settings import ClientApiSettings

_DIGEST_SIZE = 16
_learned_of = attrgetter("call.learned")
_BUNDLES = frozenset({Route.BUNDLE, Route.EVENT})
_DIRECT_EVENT = Route.DIRECT_EVENT
_DIRECT: dict[Route, Callable[[bytes, int], Call]] = {
    Route.DIRECT_IDENTIFY: read_identify,
    Route.DIRECT_SET_USER_VARS: read_user_vars,
}


def inspect(settings: ClientApiSettings, route: Route, body: bytes, endpoint: ServerCall | None = None) -> Inspection:
    """Find and validate every call in a decompressed body. Pure, thread-safe, and never raises.

    ``endpoint`` is the call that a ``SERVER_API`` path takes; bodies of other routes have none.
    """
    if route is _DIRECT_EVENT:
        return _inspect_document(settings, route, body, read_event(body, settings))
    if route in _BUNDLES:
        return _inspect_bundle(settings, route, body, read_bundle(body, settings))
    if endpoint is not None and endpoint.is_batch:
        return _inspect_batch(settings, route, body, endpoint)
    if route in _DIRECT:
        return _inspect_document(settings, route, body, _DIRECT[route](body, settings.max_payload))
    if endpoint is not None:
        return _inspect_document(settings, route, body, read_server_call(endpoint, body, settings.max_payload))
    return Inspection(b"", route, DOCUMENT)


def recognize(settings: ClientApiSettings, route: Route, body: bytes) -> Inspection | None:
    """Return what ``inspect`` returns, if the body is an event that is learned. It takes at most 3 ms, at any size."""
    call = recognize_event(body, settings) if route is _DIRECT_EVENT else None
    return _inspect_document(settings, route, body, call) if call is not None else None


def inspect_anew(settings: ClientApiSettings, inspection: Inspection) -> Inspection:
    """Return the inspection with the properties of the events that were only recognized as learned ones."""
    if not any(map(_learned_of, inspection.calls)):
        return inspection
    body = inspection.body
    if inspection.form is DOCUMENT:
        return _inspect_document(settings, inspection.route, body, read_event(body, settings, anew=True))
    calls = []
    for each in inspection.calls:
        inspected = each
        if each.call.learned is not None:
            start, end = inspection.parts[each.part]
            call = read_bundle_event(body[start:end], each.part, settings, anew=True)[0].call
            inspected = msgspec.structs.replace(each, call=call, validated=validate_call(call, settings))
        calls.append(inspected)
    return msgspec.structs.replace(inspection, calls=tuple(calls))


def _inspect_document(settings: ClientApiSettings, route: Route, body: bytes, call: Call) -> Inspection:
    return Inspection(body, route, DOCUMENT, (), (InspectedCall(call, call.learned or validate_call(call, settings)),))


def _inspect_bundle(
    settings: ClientApiSettings, route: Route, body: bytes, found: Bundle | Uninspectable
) -> Inspection:
    if isinstance(found, Uninspectable):
        return Inspection(body, route, BUNDLE, uninspectable=found)
    if not found.calls:
        return Inspection(body, route, BUNDLE, found.events, (), found.surplus)
    seen: dict[bytes, int] = {}
    calls = []
    is_clean = True
    for each in found.calls:
        call, when = each.call, each.when
        digest = blake2b(b"%d %r " % (each.number, when) + each.args, digest_size=_DIGEST_SIZE).digest()
        seen[digest] = ordinal = seen.get(digest, -1) + 1
        validated = call.learned or validate_call(call, settings)
        if validated.rejected:
            is_clean = False
        calls.append(InspectedCall(call, validated, each.index, when, digest + ordinal.to_bytes(4)))
    inspection = Inspection(body, route, BUNDLE, found.events, tuple(calls), found.surplus)
    return inspection if is_clean else with_whole_identifies(inspection)


def with_whole_identifies(inspection: Inspection) -> Inspection:
    """Reject the variables of each ``identify`` whose uid is rejected: they would land on another user."""
    halves: dict[int, InspectedCall] = {}
    for index, each in enumerate(inspection.calls):
        if each.validated.rejected and each.call.is_uid_only and inspection.identifies_with_next(index):
            half = inspection.calls[index + 1]
            validated = ValidatedCall(rejected=True, rejections=half.validated.rejections)
            halves[index + 1] = msgspec.structs.replace(half, validated=validated)
    if not halves:
        return inspection
    calls = tuple(halves.get(index, each) for index, each in enumerate(inspection.calls))
    return msgspec.structs.replace(inspection, calls=calls)


def _inspect_batch(settings: ClientApiSettings, route: Route, body: bytes, endpoint: ServerCall) -> Inspection:
    spans = split_batch(body)
    if isinstance(spans, Fault):
        return _inspect_document(settings, route, body, unread(batch_kind(endpoint), broken(spans)))
    calls = []
    most = settings.max_calls
    for part, (start, end) in enumerate(spans[:most]):
        call = read_server_call(endpoint, body[start:end], settings.max_payload)
        calls.append(InspectedCall(call, validate_call(call, settings), part))
    surplus = dict.fromkeys(range(most, len(spans)), batch_kind(endpoint))
    return Inspection(body, route, Form.BATCH, spans, tuple(calls), surplus)
