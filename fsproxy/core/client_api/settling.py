"""The last word on every call of a body, once the ledger has answered (rules.md 2 and 3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain
from types import MappingProxyType

import msgspec

from fsproxy.core.client_api.calls import Steps
from fsproxy.core.client_api.inspection import Form, InspectedCall, Inspection, RateGroup
from fsproxy.core.client_api.reading.surplus import rejected_unread
from fsproxy.core.client_api.validation.call import Refused, ValidatedCall, refuse, shown
from fsproxy.core.client_api.verdicts import PASSED, LimitVerdict, refused_of, verdict_of
from fsproxy.core.model import Mode, Rejection, Route
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

BAD_REQUEST, CONTENT_TOO_LARGE, TOO_MANY_REQUESTS = 400, 413, 429

_NO_REPEATS: Mapping[int, LimitVerdict] = MappingProxyType({})


class CallOutcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What happens to one call."""

    rejected: bool = False
    """It is not forwarded. The variables of a rejected ``identify`` are not, without a rejection of their own."""
    rejections: tuple[Rejection, ...] = ()
    """Enforced, in order of appearance; the call's own first."""
    shadow: tuple[Rejection, ...] = ()
    """Judged and noted, not enforced."""
    cuts: tuple[Steps, ...] = ()
    schema_cuts: tuple[Steps, ...] = ()
    verdict: LimitVerdict = PASSED


_UNTOUCHED = CallOutcome()


class CallsOutcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What happens to a body."""

    calls: tuple[CallOutcome, ...] = ()
    """As in the inspection."""
    surplus: tuple[Rejection, ...] = ()
    """One for each call beyond ``max_calls``; those of a kind are one object."""
    surplus_is_cut: bool = False
    """False: shadow."""
    status: int | None = None
    """400, 413 or 429 where nothing is left to forward and the route may say so; else None."""
    for_server: bool = False
    """The answer goes to the server-side API's caller, who expects the vendor's members in it."""

    @property
    def changed(self) -> bool:
        """Something is cut, so the body does not go on as it came."""
        return self.surplus_is_cut or any(each.rejected or each.cuts for each in self.calls)

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """All that were enforced, in order of appearance."""
        return self.listed + (self.surplus if self.surplus_is_cut else ())

    @property
    def listed(self) -> tuple[Rejection, ...]:
        """The same without the surplus calls, which are counted and not listed one by one."""
        return tuple(chain.from_iterable(each.rejections for each in self.calls))

    @property
    def shadow(self) -> tuple[Rejection, ...]:
        """All that were only noted, in order of appearance."""
        noted = tuple(chain.from_iterable(each.shadow for each in self.calls))
        return noted if self.surplus_is_cut else noted + self.surplus

    @property
    def rejected_calls(self) -> int:
        """How many calls are not forwarded."""
        return sum(each.rejected for each in self.calls) + (len(self.surplus) if self.surplus_is_cut else 0)

    @property
    def rejected(self) -> int:
        """The number in ``FSProxy-Rejected``: calls and properties that are not forwarded, each once."""
        return sum(len(each.rejections) for each in self.calls) + (len(self.surplus) if self.surplus_is_cut else 0)


def settle_calls(
    inspection: Inspection,
    refused_names: Refused,
    rate_refused_calls: Collection[int],
    settings: ClientApiSettings,
    *,
    cap: Mode = Mode.ENFORCE,
    repeats: Mapping[int, LimitVerdict] = _NO_REPEATS,
) -> CallsOutcome:
    """Settle every call of an inspection. Pure, and never raises.

    ``refused_names`` are those that the ledger did not admit; ``rate_refused_calls`` the calls (by their
    place in the inspection) of the groups that it refused; ``repeats`` the verdicts that repeated calls
    take over instead. ``cap`` is the top-level mode.
    """
    mode = settings.mode.capped(cap)
    if mode is Mode.OFF:
        return CallsOutcome(calls=(_UNTOUCHED,) * len(inspection.calls))
    for_server, surplus = inspection.route is Route.SERVER_API, rejected_unread(inspection, settings)
    cut = mode is Mode.ENFORCE and bool(surplus)
    if not (refused_names or rate_refused_calls or repeats or any(each.judged.rejections for each in inspection.calls)):
        untouched = (_UNTOUCHED,) * len(inspection.calls)
        return CallsOutcome(calls=untouched, surplus=surplus, surplus_is_cut=cut, for_server=for_server)
    settled: list[CallOutcome] = []
    sets = {kind: frozenset(names) for kind, names in refused_names.items()}
    halves = _second_halves(inspection) if rate_refused_calls or repeats else {}
    for index, each in enumerate(inspection.calls):
        verdict = repeats.get(index)
        if verdict is not None and not verdict.names_anew:
            refused = verdict.by_kind()
        else:
            limited = verdict.rate_limited if verdict is not None else index in rate_refused_calls
            refused = refused_of(each, sets)
            verdict = verdict_of(refused, limited=limited)
        first = halves.get(index)
        told = first is not None and _tells_of_rate(settled[first])
        settled.append(_settle(each, verdict, refused, settings, mode, already_told=told))
    return CallsOutcome(
        calls=tuple(settled),
        surplus=surplus,
        surplus_is_cut=cut,
        status=_status(inspection, settled),
        for_server=for_server,
    )


def spending(inspection: Inspection, outcome: CallsOutcome) -> tuple[RateGroup, ...]:
    """Give the groups that count against the rate: those of which a call is left after names were settled."""
    # Rejected variables leave the uid; a rejected uid leaves nothing, and its variables are rejected with it.
    return tuple(
        group
        for group in inspection.rate_groups()
        if not all(outcome.calls[index].rejected or inspection.calls[index].judged.rejected for index in group.calls)
    )


def _second_halves(inspection: Inspection) -> dict[int, int]:
    groups = inspection.rate_groups()
    return {group.calls[1]: group.calls[0] for group in groups if len(group.calls) > 1}


def _tells_of_rate(settled: CallOutcome) -> bool:
    return any(each.code is RejectionCode.RATE_LIMITED for each in settled.rejections + settled.shadow)


def _settle(
    each: InspectedCall,
    verdict: LimitVerdict,
    refused: Refused,
    settings: ClientApiSettings,
    mode: Mode,
    *,
    already_told: bool,
) -> CallOutcome:
    names_mode, rate_mode = settings.cardinality.mode.capped(mode), settings.rate.mode.capped(mode)
    full = each.judged
    if refused and names_mode is not Mode.OFF and not each.judged.rejected:
        full = refuse(each.call, each.judged, refused, settings)
    enforced = full if names_mode is Mode.ENFORCE else each.judged
    shadow = [] if names_mode is Mode.ENFORCE else [r for r in full.rejections if r.code in _BY_NAMES]
    limited: list[Rejection] = []
    over = verdict.rate_limited and rate_mode is not Mode.OFF and not enforced.rejected
    if over and not already_told:
        limited.append(_rate_limited(each, settings))
    if mode is Mode.SHADOW:
        return CallOutcome(shadow=(*limited, *full.rejections), verdict=verdict)
    if over and rate_mode is Mode.ENFORCE:
        return CallOutcome(
            rejected=True, rejections=(*limited, *enforced.rejections), shadow=tuple(shadow), verdict=verdict
        )
    return _outcome(enforced, (*limited, *shadow), verdict)


_BY_NAMES = frozenset({RejectionCode.CARDINALITY_EXCEEDED})


def _outcome(judged: ValidatedCall, shadow: tuple[Rejection, ...], verdict: LimitVerdict) -> CallOutcome:
    return CallOutcome(
        rejected=judged.rejected,
        rejections=judged.rejections,
        shadow=shadow,
        cuts=judged.cuts,
        schema_cuts=judged.schema_cuts,
        verdict=verdict,
    )


def _rate_limited(each: InspectedCall, settings: ClientApiSettings) -> Rejection:
    windows = settings.rate.user if each.call.kind.is_user else settings.rate.event
    limits = " or ".join(f"{window.limit} in {window.seconds:g} s" for window in windows)
    return Rejection(RejectionCode.RATE_LIMITED, each.call.kind, shown(each.call), None, f"more than {limits}")


def _status(inspection: Inspection, settled: list[CallOutcome]) -> int | None:
    """Choose the status of an answer of ours; a bundle is always forwarded."""
    if inspection.route is Route.BUNDLE or not settled or not all(each.rejected for each in settled):
        return None
    if inspection.form is Form.BATCH:
        return BAD_REQUEST
    found = {_STATUS.get(each.rejections[0].code, BAD_REQUEST) for each in settled if each.rejections}
    if inspection.surplus:
        found.add(TOO_MANY_REQUESTS)
    return found.pop() if len(found) == 1 else BAD_REQUEST


_STATUS = {
    RejectionCode.TOO_BIG_TO_PARSE: CONTENT_TOO_LARGE,
    RejectionCode.RATE_LIMITED: TOO_MANY_REQUESTS,
}
