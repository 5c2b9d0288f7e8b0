"""The running program, as the admin API tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from fsproxy.admin import usage_view
from fsproxy.admin.explaining import explain
from fsproxy.admin.explaining_record import explain_record
from fsproxy.admin.question import Asked, UnanswerableError
from fsproxy.admin.usage import Usage
from fsproxy.admin.usage_view import NamesUsage
from fsproxy.clock import now
from fsproxy.core.limits.operations import LedgerDownError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from fsproxy.config.schema import Config
    from fsproxy.core.limits.operations import QuotaTerms
    from fsproxy.core.model import Instant
    from fsproxy.proxy.data_plane import DataPlane
    from fsproxy.telemetry.ring import Recent

_read = msgspec.json.Decoder(Asked).decode


class RunningInsight:
    """See ``Insight`` of the admin API."""

    def __init__(self, data_plane: DataPlane, state: Callable[[], dict[str, object]]) -> None:
        """``state``: as ``/readyz`` tells it."""
        self._data_plane = data_plane
        self._state = state
        self._usage = Usage(data_plane.ledger, lambda: data_plane.generation.snapshot)

    @property
    def recent(self) -> Recent:
        """What happened lately."""
        return self._data_plane.recent

    @property
    def config(self) -> Config:
        """What is in force."""
        return self._data_plane.generation.config

    def now(self) -> Instant:
        """The time."""
        return now()

    def state(self) -> dict[str, Any]:
        """As in ``/readyz``."""
        return self._state()

    async def explain(self, question: bytes) -> dict[str, Any]:
        """What would be decided about a new session, now, with the quotas as they are used. Raises ValueError."""
        try:
            asked = _read(question)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(str(error) or "nested too deep") from None
        generation, moment = self._data_plane.generation, now()
        if asked.record is not None:
            if asked != Asked(record=asked.record):
                raise UnanswerableError("record", "it stands alone: leave out the other fields")
            return {**explain_record(generation, asked.record), "quota_known": True}
        wanted: list[tuple[str, QuotaTerms]] = []

        def unused(org: str, terms: QuotaTerms) -> int:
            wanted.append((org, terms))
            return 0

        explanation, known = explain(generation, asked, moment, unused), True
        if wanted:
            try:
                units = await self._usage.units(*wanted[0])
            except LedgerDownError:
                known = False
            else:
                explanation = explain(generation, asked, moment, lambda _, __: units)
        return {**explanation.document(), "quota_known": known}

    async def usage(self) -> dict[str, Any]:
        """By org; ``known`` false: the store that counts is down."""
        told = await self._usage.read(now())
        recent = self._usage.recent_names
        orgs = []
        for each in told:
            names = {
                kind.value: NamesUsage(
                    each.names.get(kind, 0) if each.names is not None else None,
                    limit,
                    recent.newest(each.org, kind),
                    recent.newest_refused(each.org, kind),
                )
                for kind, limit in each.limits.items()
            }
            quota = (each.terms, each.used) if each.terms is not None else None
            orgs.append(usage_view.usage(each.org, each.policy, quota, names))
        return {"known": self._usage.known, "orgs": orgs}

    async def refresh(self) -> None:
        """Ask anew what ``collect`` tells."""
        await self._usage.read(now())

    def collect(self) -> Iterable[Metric]:
        """The use of limits, as gauges."""
        return self._usage.collect()
