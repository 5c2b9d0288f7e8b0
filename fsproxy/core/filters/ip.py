"""Reason 5: the visitor's address is blocked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from fsproxy.core.filters.base import rule_of
from fsproxy.core.matching.addresses import AddressPattern, AddressTable, parse_pattern
from fsproxy.core.model import FilterName, Hit, Instant, Mode, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, OrgSettings


def problem(text: str) -> str | None:
    """Return what an address rule must be, or None if this is one."""
    if parse_pattern(text) is None:
        return "an IP address, one with * for a part (192.168.1.*), or a network (10.0.0.0/8, 2001:db8::/32)"
    return None


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
