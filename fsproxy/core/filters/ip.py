"""Reason 5: the visitor's address is blocked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Generic, Self, TypeVar

from fsproxy.core.filters.base import rule_of
from fsproxy.core.matching.addresses import IPV4_BITS, AddressPattern, is_mapped, parse_pattern
from fsproxy.core.model import Address, FilterName, Hit, Instant, Mode, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, OrgSettings

T = TypeVar("T")


def problem(text: str) -> str | None:
    """Return what an address rule must be, or None if this is one."""
    if parse_pattern(text) is None:
        return "an IP address, one with * for a part (192.168.1.*), or a network (10.0.0.0/8, 2001:db8::/32)"
    return None


@dataclass(frozen=True, slots=True)
class AddressTable(Generic[T]):
    """Finds the most specific of any number of patterns, at the cost of one dict lookup for each distinct mask.

    IPv4 has at most 33 prefix lengths and IPv6 129. Wildcards in the middle of an address add masks of their own.
    """

    v4: tuple[tuple[int, dict[int, T]], ...]
    """Masks, the most specific first, each with its values by masked address."""
    v6: tuple[tuple[int, dict[int, T]], ...]

    @classmethod
    def of(cls, patterns: Iterable[tuple[AddressPattern, T]]) -> Self:
        """Return the table of these patterns. Of two that cover the same addresses the first one counts."""
        tables: dict[int, dict[int, dict[int, T]]] = {4: {}, 6: {}}
        for pattern, value in patterns:
            tables[pattern.version].setdefault(pattern.mask, {}).setdefault(pattern.value, value)
        return cls(_most_specific_first(tables[4]), _most_specific_first(tables[6]))

    def find(self, address: Address) -> T | None:
        """Return the value of the most specific pattern that covers the address, or None."""
        number = int(address)
        tables = self.v4
        if address.version == 6:
            if is_mapped(number):
                number &= (1 << IPV4_BITS) - 1
            else:
                tables = self.v6
        for mask, values in tables:
            found = values.get(number & mask)
            if found is not None:
                return found
        return None


def _most_specific_first(tables: dict[int, dict[int, T]]) -> tuple[tuple[int, dict[int, T]], ...]:
    return tuple(sorted(tables.items(), key=lambda item: (item[0].bit_count(), item[0]), reverse=True))


@dataclass(frozen=True, slots=True)
class IpFilter:
    """``block`` and ``allow``: addresses, ``*`` for parts, networks. An allowed address is never blocked."""

    name: ClassVar[FilterName] = FilterName.IP
    on_pages_only: ClassVar[bool] = False

    mode: Mode
    block: AddressTable[Hit]
    allow: AddressTable[bool]

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.ip
        mode = settings.mode.capped(core.mode)
        if mode is Mode.OFF or not settings.block:
            return None
        block = AddressTable.of((pattern, _hit(entry)) for entry, pattern in _patterns(settings.block))
        allow = AddressTable.of((pattern, True) for _, pattern in _patterns(settings.allow))
        return cls(mode, block, allow)

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        """Return the rule that blocks, or None. A visitor without an address (a nameless socket) passes."""
        address = facts.client_ip
        if address is None:
            return None
        hit = self.block.find(address)
        if hit is None or self.allow.find(address):
            return None
        return hit


def _patterns(entries: tuple[Entry, ...]) -> Iterable[tuple[Entry, AddressPattern]]:
    for entry in entries:
        pattern = parse_pattern(entry.text)
        if pattern is not None:
            yield entry, pattern


def _hit(entry: Entry) -> Hit:
    return Hit(FilterName.IP, ReasonCode.IP_FILTER, rule_of(FilterName.IP, "block", entry))
