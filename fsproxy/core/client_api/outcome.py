"""What happens to every call of a body, once the ledger has answered (rules.md 2 and 3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain, repeat
from operator import attrgetter
from types import MappingProxyType

import msgspec

from fsproxy.core.client_api.calls import ValidatedCall
from fsproxy.core.client_api.inspected import Form, InspectedCall, Inspection
from fsproxy.core.client_api.validation.call import Refused, refuse, shown
from fsproxy.core.client_api.validation.refusing import RefusedNames
from fsproxy.core.client_api.verdicts import PASSED, LimitVerdict, refused_of, verdict_of
from fsproxy.core.json.scanner import Steps
from fsproxy.core.model import SERVER_API, CallKind, Mode, Rejection, Route
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

BUNDLE = Route.BUNDLE  # its answer is the upstream's in any case
_ENFORCE, _SHADOW, _OFF = Mode.ENFORCE, Mode.SHADOW, Mode.OFF
BAD_REQUEST, CONTENT_TOO_LARGE, TOO_MANY_REQUESTS = 400, 413, 429
_STATUS = {
    RejectionCode.TOO_BIG_TO_PARSE: CONTENT_TOO_LARGE,
    RejectionCode.RATE_LIMITED: TOO_MANY_REQUESTS,
}
_NO_REPEATS: Mapping[int, LimitVerdict] = MappingProxyType({})


Counts = dict[tuple[RejectionCode, CallKind], int]


class CallOutcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What happens to one call."""

    rejected: bool = False
    """It is not forwarded. The variables of a rejected ``identify`` need no rejection of their own for that."""
    rejections: Sequence[Rejection] = ()
    """The enforced ones, in order of appearance; the call's own first."""
    shadow: Sequence[Rejection] = ()
    """Those that are recorded and not enforced."""
    cuts: tuple[Steps, ...] = ()
    schema_cuts: tuple[Steps, ...] = ()
    verdict: LimitVerdict = PASSED


_UNTOUCHED = CallOutcome()
_rejections_of, _noted_of = attrgetter("validated.rejections"), attrgetter("validated.noted")
_rejections, _shadow = attrgetter("rejections"), attrgetter("shadow")


class CallsOutcome(msgspec.Struct, frozen=True, gc=False):
    """What happens to a body."""

    calls: tuple[CallOutcome, ...] = ()
    """In the order of the inspection's calls."""
    surplus: tuple[Rejection, ...] = ()
    """One for each call beyond ``max_calls``; those of one kind are the same object."""
    surplus_is_cut: bool = False
    """False: those calls are forwarded, and their rejections are shadow ones."""
    status: int | None = None
    """400, 413 or 429 where nothing is left to forward and the route may answer so; else None."""
    for_server: bool = False
    """The answer goes to a caller of the server-side API, who expects the vendor's members in it."""
    is_clean: bool = False
    """No call has a rejection of any sort, and none is surplus."""
    changed: bool = False
    """Something is cut, so the body is not forwarded as it came."""

    @property
    def rejections(self) -> Sequence[Rejection]:
        """All enforced rejections, in order of appearance."""
        return (*self.listed, *self.surplus) if self.surplus_is_cut else self.listed

    @property
    def listed(self) -> Sequence[Rejection]:
        """The same without the surplus calls, which are counted instead of listed one by one."""
        if self.is_clean:
            return ()
        if len(self.calls) == 1:
            return self.calls[0].rejections
        return tuple(chain.from_iterable(map(_rejections, self.calls)))

    @property
    def shadow(self) -> Sequence[Rejection]:
        """All rejections that were recorded and not enforced, in order of appearance."""
        if self.is_clean:
            return ()
        if len(self.calls) == 1 and not self.surplus:
            return self.calls[0].shadow
        noted = tuple(chain.from_iterable(map(_shadow, self.calls)))
        return noted if self.surplus_is_cut else noted + self.surplus

    def counts(self) -> tuple[Counts, Counts]:
        """Return how many rejections there are of each code and kind of call: enforced ones, and those of shadow."""
        enforced: Counts = {}
        shadow: Counts = {}
        for counts, found in (
            *zip(repeat(enforced), map(_rejections, self.calls)),
            *zip(repeat(shadow), map(_shadow, self.calls)),
            (enforced if self.surplus_is_cut else shadow, self.surplus),
        ):
            if type(found) is RefusedNames:
                counts[found.code, found.kind] = counts.get((found.code, found.kind), 0) + len(found)
                continue
            for each in found:
                counts[each.code, each.kind] = counts.get((each.code, each.kind), 0) + 1
        return enforced, shadow

    @property
    def rejected_calls(self) -> int:
        """How many calls are not forwarded."""
        return sum(each.rejected for each in self.calls) + (len(self.surplus) if self.surplus_is_cut else 0)

    @property
    def rejected(self) -> int:
        """The number in ``FSProxy-Rejected``: calls and properties that are not forwarded."""
        return sum(len(each.rejections) for each in self.calls) + (len(self.surplus) if self.surplus_is_cut else 0)


def decide_calls(
    inspection: Inspection,
    refused_names: Refused,
    rate_refused_calls: Collection[int],
    settings: ClientApiSettings,
    repeats: Mapping[int, LimitVerdict] = _NO_REPEATS,
) -> CallsOutcome:
    """Decide every call of an inspection. Pure, and never raises.

    ``refused_names`` are the names that the ledger did not admit, ``rate_refused_calls`` the places of the calls
    that it found over the rate. ``repeats`` are the verdicts that repeated calls take over instead. ``settings`` have
    the modes that are in force.
    """
    calls = inspection.calls
    asked = refused_names or rate_refused_calls or repeats
    noted = settings.plan is not None and any(map(_noted_of, calls))
    if not (asked or noted or inspection.surplus or any(map(_rejections_of, calls))) or settings.mode is _OFF:
        return CallsOutcome((_UNTOUCHED,) * len(calls), is_clean=True)
    outcomes: list[CallOutcome] = []
    surplus = _surplus_rejections(inspection, settings) if inspection.surplus else ()
    changed = surplus_is_cut = bool(surplus) and settings.mode is _ENFORCE
    sets = {kind: frozenset(names) for kind, names in refused_names.items()} if refused_names else {}
    halves = _second_halves(inspection) if rate_refused_calls or repeats else {}
    for index, each in enumerate(calls):
        refused: Refused = {}
        verdict = repeats.get(index)
        if verdict is None or verdict.names_anew:
            limited = verdict.rate_limited if verdict is not None else index in rate_refused_calls
            if sets:
                refused = refused_of(each, sets, is_alone=len(calls) == 1)
            verdict = verdict_of(refused, limited=limited) if refused or limited else PASSED
        else:
            refused = verdict.by_kind()
        valid = each.validated
        if verdict is PASSED and not (valid.rejections or valid.rejected or valid.noted):
            outcomes.append(_UNTOUCHED)
            continue
        first = halves.get(index)
        is_reported = first is not None and _reports_rate(outcomes[first])
        decided = _decide(each, verdict, refused, settings, is_reported=is_reported)
        changed = changed or decided.rejected or bool(decided.cuts)
        outcomes.append(decided)
    return CallsOutcome(
        calls=tuple(outcomes),
        surplus=surplus,
        surplus_is_cut=surplus_is_cut,
        status=_status(inspection, outcomes) if inspection.route is not BUNDLE else None,
        for_server=inspection.route is SERVER_API,
        changed=changed,
    )


def _surplus_rejections(inspection: Inspection, settings: ClientApiSettings) -> tuple[Rejection, ...]:
    """Return a rejection for each call beyond ``max_calls``. There may be many, so those of a kind are one object."""
    detail = f"more than {settings.max_calls} calls in one body"
    of_kind = {
        kind: Rejection(RejectionCode.RATE_LIMITED, kind, None, None, detail)
        for kind in set(inspection.surplus.values())
    }
    return tuple(map(of_kind.__getitem__, inspection.surplus.values()))


def _second_halves(inspection: Inspection) -> dict[int, int]:
    """Return the first half's place by the second's, of each ``identify`` of two calls."""
    groups = inspection.rate_groups()
    return {group.calls[1]: group.calls[0] for group in groups if len(group.calls) > 1}


def _reports_rate(outcome: CallOutcome) -> bool:
    return any(each.code is RejectionCode.RATE_LIMITED for each in chain(outcome.rejections, outcome.shadow))


def _decide(
    each: InspectedCall,
    verdict: LimitVerdict,
    refused: Refused,
    settings: ClientApiSettings,
    *,
    is_reported: bool,
) -> CallOutcome:
    """Decide one call. ``is_reported``: the other half of its ``identify`` carries the rejection for the rate."""
    names_mode, rate_mode = settings.cardinality.mode, settings.rate.mode
    full = each.validated
    if refused and names_mode is not _OFF and not full.rejected:
        full = refuse(each.call, full, refused, settings)
    enforced: ValidatedCall = full if names_mode is _ENFORCE else each.validated
    over = verdict.rate_limited and rate_mode is not _OFF and not enforced.rejected
    limited = (_rate_limited(each, settings),) if over and not is_reported else ()
    shadow = each.validated.noted
    if settings.mode is _SHADOW:
        noted = (*limited, *shadow, *full.rejections) if limited or shadow else full.rejections
        return CallOutcome(shadow=noted, verdict=verdict)
    if names_mode is not _ENFORCE:
        shadow = (*shadow, *(r for r in full.rejections if r.code is RejectionCode.CARDINALITY_EXCEEDED))
    if over and rate_mode is _ENFORCE:
        rejections = (*limited, *enforced.rejections)
        return CallOutcome(rejected=True, rejections=rejections, shadow=shadow, verdict=verdict)
    return CallOutcome(
        rejected=enforced.rejected,
        rejections=enforced.rejections,
        shadow=(*limited, *shadow) if limited else shadow,
        cuts=enforced.cuts,
        schema_cuts=enforced.schema_cuts,
        verdict=verdict,
    )


def _rate_limited(each: InspectedCall, settings: ClientApiSettings) -> Rejection:
    limits = " or ".join(
        f"{window.limit} in {window.seconds:g} s{' on a page' if window.per_page else ''}"
        for window in settings.rate.windows(each.call.kind)
    )
    return Rejection(RejectionCode.RATE_LIMITED, each.call.kind, shown(each.call), None, f"more than {limits}")


def _status(inspection: Inspection, outcomes: list[CallOutcome]) -> int | None:
    """Return the status of an answer of the proxy's own; None: the body is forwarded."""
    if not outcomes or not all(each.rejected for each in outcomes):
        return None
    if inspection.form is Form.BATCH:
        return BAD_REQUEST
    found = {_STATUS.get(each.rejections[0].code, BAD_REQUEST) for each in outcomes if each.rejections}
    if inspection.surplus:
        found.add(TOO_MANY_REQUESTS)
    return found.pop() if len(found) == 1 else BAD_REQUEST
