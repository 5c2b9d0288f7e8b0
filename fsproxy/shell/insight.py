"""The running program, as the admin API tells of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from fsproxy.admin import views
from fsproxy.core.facts import LONGEST_ID
from fsproxy.core.privacy import safe
from fsproxy.shell.clock import now
from fsproxy.shell.explaining import Asked, explain

if TYPE_CHECKING:
    from fsproxy.admin.ring import Recent
    from fsproxy.config.schema import Config
    from fsproxy.core.limits.operations import QuotaTerms
    from fsproxy.core.model import Instant
    from fsproxy.shell.ingest import Ingest

MOST_ORGS = 100
"""Orgs whose use is told: those that were active last, then the listed ones with a quota."""
_read = msgspec.json.Decoder(Asked).decode


class RunningInsight:
    """See ``Insight`` of the admin API."""

    def __init__(self, ingest: Ingest, state: Callable[[], dict[str, object]]) -> None:
        """``state``: as ``/readyz`` tells it."""
        self._ingest = ingest
        self._state = state

    @property
    def recent(self) -> Recent:
        """What happened lately."""
        return self._ingest.recent

    @property
    def config(self) -> Config:
        """What is in force."""
        return self._ingest.generation.config

    def now(self) -> Instant:
        """The time."""
        return now()

    def state(self) -> dict[str, Any]:
        """As in ``/readyz``."""
        return self._state()

    def explain(self, question: bytes) -> dict[str, Any]:
        """What would be decided about a new session, now, with the quotas as they are used. Raises ValueError."""
        try:
            asked = _read(question)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(str(error) or "nested too deep") from None
        knows = self._ingest.memory is not None
        explanation = explain(self._ingest.generation, asked, now(), self._used if knows else None)
        return {**explanation.document(), "quota_known": knows}

    def _used(self, org: str, terms: QuotaTerms) -> int:
        memory = self._ingest.memory
        return memory.quota_usage(org).get(terms.cycle, 0) if memory is not None else 0

    def usage(self) -> dict[str, Any]:
        """By org; ``known`` false: the counts stand in Redis, which is not asked."""
        memory, moment = self._ingest.memory, now()
        if memory is None:
            return {"known": False, "orgs": []}
        snapshot = self._ingest.generation.snapshot
        orgs = dict.fromkeys([*memory.orgs_with_counts(MOST_ORGS), *memory.orgs_with_names(MOST_ORGS)])
        if len(orgs) < MOST_ORGS:
            with_quota = (name for name, policy in snapshot.orgs.items() if policy.quota is not None)
            orgs |= dict.fromkeys(with_quota)
        told = []
        for org in list(orgs)[:MOST_ORGS]:
            policy = snapshot.policy(org)
            terms = policy.quota.terms(moment) if policy.quota is not None else None
            used = self._used(org, terms) if terms is not None else 0
            names = {kind.value: count for kind, count in memory.names_usage(org).items()}
            cycle = (terms.cycle, terms.ends) if terms is not None else None
            told.append(views.usage(safe(org, LONGEST_ID), policy, cycle, used, names))
        return {"known": True, "orgs": told}
