"""Compares a call with the plan of names: after types and sizes, before the limits on names (rules.md 9)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from fsproxy.core.client_api.calls import Breach, Call, Typing
from fsproxy.core.client_api.validation.details import cut
from fsproxy.core.client_api.validation.refusing import RefusedNames
from fsproxy.core.model import CallKind, Mode, Rejection
from fsproxy.core.plan import Plan
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import PlanSettings

_NOT_PLANNED = "is not in the plan"
_UNPLANNED = Breach(RejectionCode.UNPLANNED_PROPERTY, _NOT_PLANNED)
_SUFFIXED = Breach(RejectionCode.UNPLANNED_PROPERTY, "the plan has it with its suffix, but names there have none")


class PlanFindings(msgspec.Struct, frozen=True, gc=False):
    """What the plan says of one call."""

    own: tuple[Rejection, ...] = ()
    """They reject the call."""
    refused: Mapping[str, Breach] = {}
    """The canonical names of the properties to cut."""
    alike: Breach | None = None
    """The breach of all of them, if they have the same."""
    noted: Sequence[Rejection] = ()
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
    shown = cut(event) if event is not None else None
    missing = tuple(
        Rejection(RejectionCode.MISSING_PROPERTY, kind, shown, cut(path), "the plan requires it")
        for path, forms in (required or {}).items()
        if forms.isdisjoint(names)
    )
    own, noted = (missing, ()) if enforced and settings.cuts_missing else ((), missing)
    breaches, alike = _breaches(plan, unplanned)
    if enforced and settings.cuts_unplanned:
        return PlanFindings(own, breaches, alike, noted)
    begin = len(event) + 1 if event is not None else 0
    paths = [name[begin:] for name in unplanned]
    if call.typing is not Typing.SUFFIX:
        # A path has a suffix only where the page wrote one.
        paths = [path.rpartition("_")[0] for path in paths]
    if alike is not None and not noted:
        return PlanFindings(own, noted=RefusedNames(kind, shown, paths, 0, alike))
    reported = [
        Rejection(each.code, kind, shown, cut(path), each.detail)
        for path, each in zip(paths, breaches.values(), strict=True)
    ]
    return PlanFindings(own, noted=(*noted, *reported))


def _breaches(plan: Plan, unplanned: Sequence[str]) -> tuple[dict[str, Breach], Breach | None]:
    """Return the breach of each name, and the one that all have, if they have the same."""
    breaches, types = dict.fromkeys(unplanned, _UNPLANNED), plan.types
    different = False
    for name in unplanned:
        declared = types.get(name.rpartition("_")[0])
        if declared is not None:
            breaches[name] = Breach(RejectionCode.UNPLANNED_PROPERTY, f"the plan has it as {declared}")
        elif name in types:
            breaches[name] = _SUFFIXED
        else:
            continue
        different = True
    return breaches, None if different else _UNPLANNED
