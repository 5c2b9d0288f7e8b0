"""What a body holds: its calls, each judged as far as it can be without the ledger (rules.md 2)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum, unique
from hashlib import blake2b
from itertools import chain
from types import MappingProxyType

import msgspec

from fsproxy.core.client_api.calls import Call, broken, read_event, read_identify, read_user_vars, unread
from fsproxy.core.client_api.reading.bundle import Bundle, BundleCall, Uninspectable, read_bundle
from fsproxy.core.client_api.reading.identifying import identifies_with_next, with_whole_identifies
from fsproxy.core.client_api.reading.server_api import ServerCall, batch_kind, read_server_call, split_batch
from fsproxy.core.client_api.validation.call import ValidatedCall, name_kind, validate_call
from fsproxy.core.client_api.validation.known_shapes import KnownNames
from fsproxy.core.json.scanner import Span
from fsproxy.core.json.strict import Fault
from fsproxy.core.limits.operations import NameKind, RateKind
from fsproxy.core.model import CallKind, Route
from fsproxy.core.settings import ClientApiSettings, OnUninspectable

_DIGEST_SIZE = 16
MANY = 100
"""Calls that take about a millisecond to settle."""
MANY_NAMES = 800
"""Names and cuts that take half of one if all are refused, and four if they lie as deep as names may."""


@unique
class Form(Enum):
    """How calls lie in a body."""

    BUNDLE = "events among others"
    DOCUMENT = "one call is the body"
    BATCH = "items of a list"


class InspectedCall(msgspec.Struct, frozen=True, gc=False):
    """One call of a body."""

    call: Call
    judged: ValidatedCall
    """What the rules say of it, the ledger's answers aside."""
    part: int = 0
    """Which of the inspection's ``parts`` it is."""
    when: float | None = None
    """In a bundle: milliseconds since the page's start."""
    digest: bytes | None = None
    """In a bundle: the same for a repeat of this call on any route, of the same page of the same org (rules.md 2)."""


class RateGroup(msgspec.Struct, frozen=True, gc=False):
    """Calls that count as one against the rate: one, or the two halves of ``identify(uid, vars)``."""

    kind: RateKind
    calls: tuple[int, ...]
    """Which of the inspection's calls."""
    when: float | None
    """The first one's."""


_LONE = {kind: (RateGroup(kind, (0,), None),) for kind in RateKind}
"""Of a body that is one call."""


class Inspection(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """All that is known of one body."""

    body: bytes = b""
    """Decompressed."""
    route: Route
    form: Form
    parts: Sequence[Span] = ()
    """Where the bundle's events or the batch's items stand, calls or not."""
    calls: tuple[InspectedCall, ...] = ()
    """In order of appearance."""
    surplus: Mapping[int, CallKind] = MappingProxyType({})
    """The calls beyond ``max_calls``, which are not read: by which of the parts it is, what kind it seems to be."""
    uninspectable: Uninspectable | None = None

    @property
    def is_large(self) -> bool:
        """Too many calls, or cuts and names that are not of a known shape, to go through them on a loop."""
        return len(self.calls) > MANY or sum(_weight(each.judged) for each in self.calls) > MANY_NAMES

    @property
    def has_many_names(self) -> bool:
        """Too many calls or properties to settle on a loop, if the names of all must be claimed."""
        return len(self.calls) > MANY or sum(len(e.judged.names) + len(e.judged.cuts) for e in self.calls) > MANY_NAMES

    def names(self, repeated: Collection[int] = ()) -> dict[NameKind, tuple[str, ...]]:
        """Give the names to claim, each once; calls that are rejected anyway, or ``repeated``, claim none."""
        found: dict[NameKind, list[tuple[str, ...]]] = {}
        for index, each in enumerate(self.calls):
            kind = name_kind(each.call)
            if each.judged.rejected or kind is None or index in repeated:
                continue
            if kind is NameKind.EVENT_PROPERTY:
                found.setdefault(NameKind.EVENT_NAME, []).append((str(each.call.name),))
            if each.judged.names:
                found.setdefault(kind, []).append(each.judged.names)
        # One call has each of its names once.
        return {
            kind: lists[0] if len(lists) == 1 else tuple(dict.fromkeys(chain.from_iterable(lists)))
            for kind, lists in found.items()
        }

    def rate_groups(self) -> tuple[RateGroup, ...]:
        """Give the calls that count against the rate, as they count, in order of appearance.

        Whether one still spends is known once names are settled: see ``settling.spending``.
        """
        if self.form is Form.DOCUMENT and len(self.calls) == 1:
            kind = _rate_kind(self.calls[0].call.kind)
            return _LONE[kind] if kind is not None else ()
        groups: list[RateGroup] = []
        index, calls = 0, self.calls
        while index < len(calls):
            kind = _rate_kind(calls[index].call.kind)
            members: tuple[int, ...] = (index,)
            if kind is RateKind.USER and self.form is Form.BUNDLE and identifies_with_next(self, index):
                members = (index, index + 1)
            if kind is not None:
                groups.append(RateGroup(kind, members, calls[index].when))
            index += len(members)
        return tuple(groups)


def inspect(
    settings: ClientApiSettings, route: Route, body: bytes, *, endpoint: ServerCall | None = None
) -> Inspection:
    """Find and judge every call in a decompressed body. Pure, thread-safe, and never raises.

    ``endpoint`` says which call a ``SERVER_API`` path takes; bodies of other routes have none.
    """
    if route in _BUNDLES:
        thorough = settings.on_uninspectable is OnUninspectable.BLOCK
        found = read_bundle(body, settings.max_payload, settings.max_calls, thorough=thorough)
        return _inspect_bundle(settings, route, body, found)
    if endpoint is not None and endpoint.is_batch:
        return _inspect_batch(settings, route, body, endpoint)
    limit = settings.max_payload
    if route in _DIRECT:
        call = _DIRECT[route](body, limit)
    elif endpoint is not None:
        call = read_server_call(endpoint, body, limit)
    else:
        return Inspection(route=route, form=Form.DOCUMENT)
    return Inspection(
        body=body, route=route, form=Form.DOCUMENT, calls=(InspectedCall(call, validate_call(call, settings)),)
    )


_BUNDLES = frozenset({Route.BUNDLE, Route.EVENT})
_DIRECT: dict[Route, Callable[[bytes, int], Call]] = {
    Route.DIRECT_EVENT: read_event,
    Route.DIRECT_IDENTIFY: read_identify,
    Route.DIRECT_SET_USER_VARS: read_user_vars,
}


def _inspect_bundle(
    settings: ClientApiSettings, route: Route, body: bytes, found: Bundle | Uninspectable
) -> Inspection:
    if isinstance(found, Uninspectable):
        return Inspection(body=body, route=route, form=Form.BUNDLE, uninspectable=found)
    seen: dict[bytes, int] = {}
    calls = []
    for each in found.calls:
        digest = _digest(each)
        ordinal = seen[digest] = seen.get(digest, -1) + 1
        judged = validate_call(each.call, settings)
        calls.append(InspectedCall(each.call, judged, each.index, each.when, digest + ordinal.to_bytes(4)))
    inspection = Inspection(
        body=body, route=route, form=Form.BUNDLE, parts=found.events, calls=tuple(calls), surplus=found.surplus
    )
    return with_whole_identifies(inspection)


def _inspect_batch(settings: ClientApiSettings, route: Route, body: bytes, endpoint: ServerCall) -> Inspection:
    spans = split_batch(body)
    if isinstance(spans, Fault):
        call = unread(batch_kind(endpoint), broken(spans))
        only = InspectedCall(call, validate_call(call, settings))
        return Inspection(body=body, route=route, form=Form.DOCUMENT, calls=(only,))
    calls = []
    most = settings.max_calls
    for part, (start, end) in enumerate(spans[:most]):
        call = read_server_call(endpoint, body[start:end], settings.max_payload)
        calls.append(InspectedCall(call, validate_call(call, settings), part))
    surplus = dict.fromkeys(range(most, len(spans)), batch_kind(endpoint))
    return Inspection(body=body, route=route, form=Form.BATCH, parts=spans, calls=tuple(calls), surplus=surplus)


def _digest(call: BundleCall) -> bytes:
    return blake2b(b"%d %r " % (call.number, call.when) + call.args, digest_size=_DIGEST_SIZE).digest()


def _weight(judged: ValidatedCall) -> int:
    return len(judged.cuts) + (len(judged.names) if type(judged.names) is not KnownNames else 0)


def _rate_kind(kind: CallKind) -> RateKind | None:
    if kind is CallKind.EVENT:
        return RateKind.EVENT
    return RateKind.USER if kind.is_user else None
