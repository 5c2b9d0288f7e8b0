"""Reason 5: the visitor's address is blocked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self

from fsproxy.core.filters.base import RunTimeRule, rule_of, run_time_rule
from fsproxy.core.matching.addresses import AddressPattern, AddressTable, parse_pattern
from fsproxy.core.matching.masked_patterns import pattern_mask
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
    run_time: RunTimeRule | None = None

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.ip
        mode = settings.mode.capped(core.mode)
        run_time = run_time_rule(cls.name, ReasonCode.IP_FILTER, core)
        if mode is Mode.OFF or not (settings.block or run_time):
            return None
        mask = pattern_mask(core.client_ip, core.client_ip_key)
        block = AddressTable.of((pattern, _hit(entry, mask(pattern))) for entry, pattern in _patterns(settings.block))
        allow = AddressTable.of((pattern, True) for _, pattern in _patterns(settings.allow))
        return cls(mode, block, allow, run_time)

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        """Return the rule that blocks, or None. A visitor without an address (a nameless socket) passes."""
        address = facts.client_ip
        if address is None:
            return None
        hit, run_time = self.block.find(address), self.run_time
        if hit is None and run_time is not None and run_time.listed.covers(address, now):
            hit = run_time.hit
        if hit is None or self.allow.find(address):
            return None
        return hit


def _patterns(entries: tuple[Entry, ...]) -> Iterable[tuple[Entry, AddressPattern]]:
    for entry in entries:
        pattern = parse_pattern(entry.text)
        if pattern is not None:
            yield entry, pattern


def _hit(entry: Entry, text: str | None) -> Hit:
    return Hit(FilterName.IP, ReasonCode.IP_FILTER, rule_of(FilterName.IP, "block", entry, text))


_MADE = f"{FilterName.IP}:block:"


def pattern_in(rule: str) -> AddressPattern | None:
    """Return the pattern that a rule's id was made of; None where it names none."""
    return parse_pattern(rule.removeprefix(_MADE)) if rule.startswith(_MADE) else None


def hides(rule: str) -> bool:
    """Return whether a rule's id leaves out a part of the address that the rule is about."""
    return rule.startswith(_MADE) and pattern_in(rule) is None


def renamed(core: CoreSettings) -> Callable[[str], str]:
    """Return a function from the id of a rule, as a line of another configuration has it, to the id that it has now."""
    mask = pattern_mask(core.client_ip, core.client_ip_key)

    @lru_cache(maxsize=4096)
    def name(rule: str) -> str:
        pattern = pattern_in(rule)
        text = mask(pattern) if pattern is not None else None
        return rule if text is None else f"{_MADE}{text}"

    return name
