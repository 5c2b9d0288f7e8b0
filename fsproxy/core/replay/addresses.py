"""The address filter in replay, where most addresses are truncated to their network (/24, /48)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address

from fsproxy.core.audit.facts import HIDDEN, TRUNCATED
from fsproxy.core.filters.base import Filter
from fsproxy.core.filters.ip import IpFilter
from fsproxy.core.model import Hit, Instant
from fsproxy.core.replay.facts import MOST_RULES, Lacking, ReplayedFacts

_V4_HOST = (1 << 8) - 1
_V6_HOST = (1 << 80) - 1
"""The bits that a truncated address lacks: all beyond /24, and all beyond /48."""
_V4_NETWORK = (1 << 32) - 1 - _V4_HOST
_ADDRESS = "ip: the line does not hold the whole address"


def _closer(host: int, *tables: Sequence[tuple[int, Mapping[int, object]]]) -> list[tuple[int, dict[int, object]]]:
    """Return the networks in which a rule depends on bits that a truncated address lacks, and one such rule's hit.

    They are grouped by mask, as in the filter's own tables.
    """
    return [
        (mask & ~host, {value & ~host: hit for value, hit in values.items()})
        for table in tables
        for mask, values in table
        if mask & host
    ]


def ask_ip(each: IpFilter) -> Callable[[ReplayedFacts, Instant], Hit | Lacking | str | None]:
    """Return a function that asks the filter, or returns that too little of the address is known."""
    closer = {4: _closer(_V4_HOST, each.block.v4, each.allow.v4), 6: _closer(_V6_HOST, each.block.v6, each.allow.v6)}

    def ask(facts: ReplayedFacts, now: Instant) -> Hit | Lacking | str | None:
        how, address = facts.audited.address, facts.client_ip
        if how == HIDDEN or (address is None and facts.audited.unnamed):
            return _ADDRESS
        if how == TRUNCATED and address is not None:
            number = int(address)
            # All other rules match either every address of this network or none.
            found = [values[number & mask] for mask, values in closer[address.version] if number & mask in values]
            if found:
                return Lacking(_ADDRESS, tuple(hit.rule.id for hit in found if isinstance(hit, Hit))[:MOST_RULES])
        return each.judge(facts, now)

    return ask


class SharedNetworks:
    """Finds the IPv4 networks (/24) whose addresses all get the same answer, so that it can be remembered for them."""

    def __init__(self, filters: Iterable[Filter]) -> None:
        self._closer: set[str] = set()
        self._no_network = False
        for each in filters:
            if isinstance(each, IpFilter):
                for mask, values in _closer(_V4_HOST, each.block.v4, each.allow.v4):
                    # A rule such as 192.*.*.7 divides more networks than can be listed.
                    self._no_network |= mask != _V4_NETWORK
                    self._closer.update(str(IPv4Address(value)).rpartition(".")[0] for value in values)

    def of(self, address: str | None) -> str | None:
        """Return what the answer for an address depends on: its network (``192.0.2``), or the address itself."""
        if address is None or self._no_network or ":" in address:
            return address
        network = address[: address.rfind(".")]
        return address if network in self._closer else network
