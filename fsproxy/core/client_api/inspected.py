"""What inspection finds in a body: its calls, validated as far as the ledger is not needed for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, unique
from itertools import chain
from operator import attrgetter
from types import MappingProxyType

import msgspec

from fsproxy.core.client_api.calls import NAME_KINDS, UID, Call, ValidatedCall
from fsproxy.core.client_api.reading.bundle import Uninspectable, has_companions_kind
from fsproxy.core.client_api.redacting import NOT_REDACTED, Redacted
from fsproxy.core.json.scanner import Span
from fsproxy.core.limits.cardinality import EVENT_NAME, EVENT_PROPERTY, PAGE_NAME
from fsproxy.core.limits.operations import NameKind, RateKind
from fsproxy.core.model import CallKind, Route

MANY = 100
"""Calls that take about a millisecond to decide."""
MANY_NAMES = 800
"""Names and cuts that take half a millisecond if all are refused, and four if they are nested as deep as possible."""
_names_of, _cuts_of = attrgetter("validated.names"), attrgetter("validated.cuts")
SAME_CALL_MS = 5
"""At most between the two events of one ``identify(uid, vars)`` (rules.md 2)."""


@unique
class Form(Enum):
    """How calls lie in a body."""

    BUNDLE = "events among others"
    DOCUMENT = "one call is the body"
    BATCH = "items of a list"


BUNDLE, DOCUMENT = Form.BUNDLE, Form.DOCUMENT


class InspectedCall(msgspec.Struct, frozen=True, gc=False):
    """One call of a body."""

    call: Call
    validated: ValidatedCall
    """What the rules say of it, apart from the limits that only the ledger knows."""
    part: int = 0
    """Which of the inspection's ``parts`` it is."""
    when: float | None = None
    """In a bundle: milliseconds since the page's start."""
    digest: bytes | None = None
    """In a bundle: equal for every repeat of this call on any route, among calls of one page (rules.md 2)."""


class RateGroup(msgspec.Struct, frozen=True, gc=False):
    """Calls that count as one against the rate: one call, or the two halves of ``identify(uid, vars)``."""

    kind: RateKind
    calls: tuple[int, ...]
    """Places of the calls in the inspection."""
    when: float | None
    """The first one's."""


_RATE_KINDS = {
    CallKind.EVENT: RateKind.EVENT,
    CallKind.IDENTIFY: RateKind.USER,
    CallKind.SET_USER_VARS: RateKind.USER,
    CallKind.PAGE: RateKind.PAGE,
}
_USER = RateKind.USER
_LONE_GROUPS = {kind: (RateGroup(kind, (0,), None),) for kind in RateKind}
"""The groups of a body that is one call, made once for all such bodies."""


class Inspection(msgspec.Struct, frozen=True, gc=False):
    """All that is known of one body."""

    body: bytes
    """Decompressed."""
    route: Route
    form: Form
    parts: Sequence[Span] = ()
    """Where the bundle's events or the batch's items are, calls or not."""
    calls: tuple[InspectedCall, ...] = ()
    """In order of appearance."""
    surplus: Mapping[int, CallKind] = MappingProxyType({})
    """The calls beyond ``max_calls``, which are not read: their place among the parts, and their apparent kind."""
    uninspectable: Uninspectable | None = None
    redacted: Redacted = NOT_REDACTED

    @property
    def has_many_names(self) -> bool:
        """Whether it takes too long on the event loop to decide the calls, if the names of all must be claimed."""
        calls = self.calls
        return len(calls) > MANY or sum(map(len, (*map(_names_of, calls), *map(_cuts_of, calls)))) > MANY_NAMES

    def names(self, claiming: Iterable[int]) -> dict[NameKind, tuple[str, ...]]:
        """Return the names that the calls at these places add to the org's count, without duplicates."""
        found: dict[NameKind, list[tuple[str, ...]]] = {}
        for index in claiming:
            each = self.calls[index]
            kind = NAME_KINDS.get(each.call.kind)
            if each.validated.rejected or kind is None:
                continue
            if kind is EVENT_PROPERTY:
                found.setdefault(EVENT_NAME, []).append((str(each.call.name),))
            if each.validated.names:
                found.setdefault(kind, []).append(each.validated.names)
            if each.validated.page_name:
                found.setdefault(PAGE_NAME, []).append((each.validated.page_name,))
        # The names of a single call have no duplicates.
        return {
            kind: lists[0] if len(lists) == 1 else tuple(dict.fromkeys(chain.from_iterable(lists)))
            for kind, lists in found.items()
        }

    def rate_groups(self) -> tuple[RateGroup, ...]:
        """Return the calls that have a rate, in groups that count as one, in order of appearance.

        Whether a group still spends is known once its names are decided: see ``limiting.spends``.
        """
        if self.form is DOCUMENT and len(self.calls) == 1:
            kind = _RATE_KINDS.get(self.calls[0].call.kind)
            return _LONE_GROUPS[kind] if kind is not None else ()
        groups: list[RateGroup] = []
        index, calls = 0, self.calls
        while index < len(calls):
            kind = _RATE_KINDS.get(calls[index].call.kind)
            members: tuple[int, ...] = (index,)
            if kind is _USER and self.form is BUNDLE and self.identifies_with_next(index):
                members = (index, index + 1)
            if kind is not None:
                groups.append(RateGroup(kind, members, calls[index].when))
            index += len(members)
        return tuple(groups)

    def identifies_with_next(self, index: int) -> bool:
        """Return whether a bundle's call is the uid of an ``identify`` whose variables are the next call.

        The next call must follow directly (events of Kind 98 aside), at the same time, and give no uid of its own.
        """
        if index + 1 >= len(self.calls):
            return False
        first, second = self.calls[index], self.calls[index + 1]
        if not first.call.is_uid_only or not second.call.kind.is_user or second.call.is_uid_only:
            return False
        if second.call.gives_uid or not _same_time(first.when, second.when):
            return False
        between = self.parts[first.part + 1 : second.part]
        return all(has_companions_kind(self.body[start:end]) for start, end in between)


def named_uids(inspection: Inspection) -> tuple[str, ...]:
    """Return the uids of all calls that identify the visitor, in order, also those of rejected calls.

    ``identify`` and user variables with the reserved property ``uid`` identify. A ``uid`` to which the schema gives
    a type is an ordinary property, and one that is empty or no string names no user.
    """
    return tuple([str(each.call.properties[UID]) for each in inspection.calls if _identifies(each.call)])


def accepted_uid(inspection: Inspection) -> str:
    """Return the uid that the session has after this body: that of the last accepted call with one; "" if none."""
    for each in reversed(inspection.calls):
        # Most calls are events, and of one that is learned no property was read.
        if UID in each.call.properties and not each.validated.rejected and _identifies(each.call):
            return str(each.call.properties[UID])
    return ""


def _identifies(call: Call) -> bool:
    uid = call.properties.get(UID) if call.kind.is_user and call.gives_uid else None
    return isinstance(uid, str) and uid != ""


def _same_time(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= SAME_CALL_MS
