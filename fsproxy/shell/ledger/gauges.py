"""How much of its limits each org has used, as gauges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric

from fsproxy.core.facts import LONGEST_ID
from fsproxy.core.privacy import safe

if TYPE_CHECKING:
    from fsproxy.shell.ledger.memory import MemoryLedger

MOST_ORGS = 100
"""Orgs that get gauges: those that claimed last. Ids of orgs that are not listed are chosen by clients."""


def names_in_use(ledger: MemoryLedger) -> Iterator[Metric]:
    """Yield ``fsproxy_names``: the names that each org has used, of each kind (seed 2, cardinality)."""
    family = GaugeMetricFamily("fsproxy_names", "Names in use, of at most 100 orgs.", labels=("org", "kind"))
    # Escaped, two ids may look alike, and a sample that stands twice spoils the whole answer.
    orgs = {safe(org, LONGEST_ID): org for org in ledger.orgs_with_names(MOST_ORGS)}
    for label, org in orgs.items():
        for kind, count in ledger.names_usage(org).items():
            family.add_metric((label, kind.value), count)
    yield family
