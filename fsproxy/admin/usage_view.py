"""How much of its limits an org has used, as the admin API tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fsproxy.core.audit.privacy import safe
from fsproxy.core.limits.operations import QuotaTerms
from fsproxy.core.policy import OrgPolicy
from fsproxy.core.wire.facts import LONGEST_ID
from fsproxy.state.memory.recent_names import LONGEST_NAME, MOST_NAMES

MOST_ORGS = 100
"""Orgs whose use is told. Ids of orgs that are not listed are chosen by clients."""


class NamesUsage(msgspec.Struct, frozen=True):
    """Names of one kind."""

    known: int | None
    """None: the store that counts them is down."""
    limit: int
    newest: Mapping[str, float]
    """With the time at which each was new, the latest last."""
    refused: Mapping[str, float]
    """With the time at which each was refused last."""


def usage(
    org: str, policy: OrgPolicy, quota: tuple[QuotaTerms, int | None] | None, names: Mapping[str, NamesUsage]
) -> dict[str, Any]:
    """One org's use of its quota (terms, and units; None: not known) and of its limits on names, by kind."""
    told: dict[str, Any] | None = None
    if policy.quota is not None and quota is not None:
        terms, used = quota
        told = {"used": used, "limit": terms.limit, "mode": policy.quota.mode.value}
        told |= {"cycle": terms.cycle, "ends": terms.ends}
    limits = policy.client_api.cardinality
    mode = limits.mode.capped(policy.client_api.mode).capped(policy.cap).value
    kinds = {
        kind: {
            "known": each.known,
            "limit": each.limit,
            "mode": mode,
            "newest": _names(each.newest),
            "refused": _names(each.refused),
        }
        for kind, each in names.items()
    }
    return {"org": safe(org, LONGEST_ID), "quota": told, "names": kinds}


def _names(names: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"name": safe(name, LONGEST_NAME), "at": at} for name, at in reversed(list(names.items()))][:MOST_NAMES]
