"""Which events the ledger admitted a moment ago, so that it need not be asked for the same names with every one."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from fsproxy.core.client_api.calls import NAME_KINDS
from fsproxy.core.client_api.validation.learned import EVENTS
from fsproxy.core.model import CallKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fsproxy.core.client_api.calls import ValidatedCall
    from fsproxy.core.client_api.inspected import Inspection
    from fsproxy.core.client_api.verdicts import LimitVerdict
    from fsproxy.core.model import Instant
    from fsproxy.core.settings import CardinalitySettings, ClientApiSettings

_PAGE = CallKind.PAGE
FRESH_SECONDS = 1.0
"""Seconds for which the names of a learned event are not claimed again, at most a thousandth of the retention. The
ledger's time of a name's last use may be so much older than the true one."""
_MOST = 4096


class RecentClaims:
    """The learned events whose names were admitted, by org, kept for a second; at most 4,096.

    All calls that are the same learned event share one ``ValidatedCall``, so its identity is the key. The object is
    kept beside it: as long as it is, no other one can have its ``id``.
    """

    def __init__(self) -> None:
        self._claimed: OrderedDict[tuple[str, int], tuple[ValidatedCall, Instant]] = OrderedDict()

    def not_among(
        self,
        org: str,
        inspection: Inspection,
        repeated: Mapping[int, LimitVerdict],
        settings: CardinalitySettings,
        now: Instant,
    ) -> list[int]:
        """Return the places of a body's calls whose names must be claimed.

        They were not admitted just now, nor was a first copy of the call decided, which is ``repeated``.
        """
        since, claimed = now - min(FRESH_SECONDS, settings.retention / 1000), self._claimed
        found: list[int] = []
        for index, each in enumerate(inspection.calls):
            if repeated and index in repeated and not repeated[index].names_anew:
                continue
            learned = each.call.learned
            if learned is None:
                kind = each.call.kind
                if each.validated.rejected or kind not in NAME_KINDS or (kind is _PAGE and not settings.counts_pages):
                    continue
                found.append(index)
                continue
            kept = claimed.get((org, id(learned)))
            if kept is None or not since < kept[1] <= now:
                found.append(index)
        return found

    def note(
        self, org: str, inspection: Inspection, claiming: Iterable[int], settings: ClientApiSettings, now: Instant
    ) -> None:
        """Note that all names of the calls at these places were claimed, and none was refused."""
        claimed = self._claimed
        for index in claiming:
            each = inspection.calls[index]
            if each.call.learned is not None:
                claimed[(org, id(each.call.learned))] = (each.call.learned, now)
                claimed.move_to_end((org, id(each.call.learned)))
            elif each.call.key is not None:
                EVENTS.note(each.call, each.validated, settings)
        while claimed:
            oldest = next(iter(claimed))
            if len(claimed) <= _MOST and claimed[oldest][1] > now - FRESH_SECONDS:
                return
            del claimed[oldest]
