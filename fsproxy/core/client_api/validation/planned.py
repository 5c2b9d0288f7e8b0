"""Compares a call with the plan of names: after types and sizes, before the limits on names (rules.md 9)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from fsproxy.core.client_api.calls import Breach, Call, Typing
from fsproxy.core.client_api.validation.details import cut
from fsproxy.core.model import CallKind, Mode, Rejection
from fsproxy.core.plan import Plan
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import PlanSettings

_NOT_PLANNED = "is not in the plan"


class PlanFindings(msgspec.Struct, frozen=True, gc=False):
    """What the plan says of one call."""

    own: tuple[Rejection, ...] = ()
    """They reject the call."""
    refused: Mapping[str, Breach] = {}
    """The canonical names of the properties to cut."""
    noted: tuple[Rejection, ...] = ()
    """What is only reported."""


AS_PLANNED = PlanFindings()


def compare(call: Call, names: Collection[str], settings: PlanSettings) -> PlanFindings:
    """Compare a call with the plan. ``names`` are the canonical names of its valid properties, in order.

    Calls of pages and documents are as planned: the plan does not list their properties.
    """
    plan, kind = settings.file, call.kind
    is_event = kind is CallKind.EVENT
    if plan is None or not (is_event or kind.is_user):
        return AS_PLANNED
    enforced = settings.mode is Mode.ENFORCE
    event = call.name if is_event and isinstance(call.name, str) else None
    if event is not None and not plan.has_event(event):
        found = (Rejection(RejectionCode.UNPLANNED_EVENT, kind, cut(event), None, _NOT_PLANNED),)
        return PlanFindings(own=found) if enforced and settings.cuts_unplanned else PlanFindings(noted=found)
    unplanned = plan.unplanned(names, of_event=is_event)
    required = plan.required.get(event) if event is not None else None
    if not unplanned and not required:
        return AS_PLANNED
    shown, begin = (cut(event), len(event) + 1) if event is not None else (None, 0)
    missing = tuple(
        Rejection(RejectionCode.MISSING_PROPERTY, kind, shown, cut(path), "the plan requires it")
        for path, forms in (required or {}).items()
        if forms.isdisjoint(names)
    )
    breaches = {
        name: Breach(RejectionCode.UNPLANNED_PROPERTY, _detail(plan, name, of_event=is_event)) for name in unplanned
    }
    own, noted = (missing, ()) if enforced and settings.cuts_missing else ((), missing)
    if enforced and settings.cuts_unplanned:
        return PlanFindings(own, breaches, noted)
    reported = [
        Rejection(each.code, kind, shown, cut(_path(name[begin:], call)), each.detail)
        for name, each in breaches.items()
    ]
    return PlanFindings(own, {}, (*noted, *reported))


def _path(canonical: str, call: Call) -> str:
    """Return a property's path as the call has it: with a suffix only where pages write one."""
    return canonical if call.typing is Typing.SUFFIX else canonical.rpartition("_")[0]


def _detail(plan: Plan, name: str, *, of_event: bool) -> str:
    types = plan.types_of(name, of_event=of_event)
    return f"the plan has it as {' or '.join(types)}" if types else _NOT_PLANNED
