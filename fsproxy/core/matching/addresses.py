"""Address patterns as people write them (an address, ``*`` for parts, a network), and tables of them (rules.md 1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Generic, Self, TypeVar

import msgspec

Address = IPv4Address | IPv6Address
T = TypeVar("T")

_IPV4_BITS = 32
_IPV6_BITS = 128
_MAPPED = 0xFFFF
"""The upper 96 bits of an IPv4-mapped IPv6 address, ``::ffff:0:0/96``."""
_UPPER = 0xFFFF0000
"""The half of an IPv4 address by which ``AddressTable.near`` is looked up."""

_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?(/[0-9]{1,3})?")
_V4_WITH_PORT = re.compile(r"([0-9.*]+):[0-9]{1,5}")
_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_LENGTH = re.compile(r"[0-9]{1,3}")


class AddressPattern(msgspec.Struct, frozen=True, gc=False):
    """Matches every address of its version whose bits under ``mask`` are ``value``."""

    version: int
    value: int
    mask: int


def pattern_of(network: IPv4Network | IPv6Network) -> AddressPattern:
    """Return the pattern that matches the addresses of a network."""
    return AddressPattern(network.version, int(network.network_address), int(network.netmask))


def parse_pattern(text: str) -> AddressPattern | None:
    """Return the pattern; None where the text is none.

    Brackets and a port around an address are dropped. Bits beyond a network's prefix are ignored. A pattern that
    matches only IPv4-mapped addresses becomes one for IPv4.
    """
    text = text.strip()
    if bracketed := _BRACKETED.fullmatch(text):
        text = bracketed[1] + (bracketed[2] or "")
    elif with_port := _V4_WITH_PORT.fullmatch(text):
        text = with_port[1]
    address, slash, length = text.partition("/")
    try:
        pattern = _v6(address) if ":" in address else _v4(address)
        if slash:
            pattern = _network(pattern, length)
    except ValueError:
        return None
    return _unmapped(pattern)


def _v4(text: str) -> AddressPattern:
    value = int(IPv4Address(text.replace("*", "0")))
    mask = 0
    for part in text.split("."):
        if "*" in part and part != "*":
            raise ValueError
        mask = mask << 8 | (0 if part == "*" else 0xFF)
    return AddressPattern(4, value & mask, mask)


def _v6(text: str) -> AddressPattern:
    if "*" not in text:
        if "%" in text:  # a zone id has a meaning on one machine only
            raise AddressValueError
        return AddressPattern(6, int(IPv6Address(text)), (1 << _IPV6_BITS) - 1)
    before, gap, after = text.partition("::")
    head, tail = _groups(before, last=not gap), _groups(after, last=True)
    missing = 8 - len(head) - len(tail)
    if (missing < 1) if gap else missing:
        raise AddressValueError
    value = mask = 0
    for group_value, group_mask in (*head, *[(0, 0xFFFF)] * missing, *tail):
        value, mask = value << 16 | group_value, mask << 16 | group_mask
    return AddressPattern(6, value, mask)


def _groups(text: str, *, last: bool) -> list[tuple[int, int]]:
    """Return (value, mask) of each group of 16 bits. With ``last``, the end may be written as an IPv4 address."""
    if not text:
        return []
    *parts, end = text.split(":")
    if last and "." in end:
        embedded = _v4(end)
        tail = [(embedded.value >> shift & 0xFFFF, embedded.mask >> shift & 0xFFFF) for shift in (16, 0)]
    else:
        tail = [_group(end)]
    return [_group(part) for part in parts] + tail


def _group(text: str) -> tuple[int, int]:
    if text == "*":
        return 0, 0
    if not _GROUP.fullmatch(text):
        raise AddressValueError
    return int(text, 16), 0xFFFF


def _network(pattern: AddressPattern, length: str) -> AddressPattern:
    bits = _IPV4_BITS if pattern.version == 4 else _IPV6_BITS
    whole = (1 << bits) - 1
    if pattern.mask != whole or not _LENGTH.fullmatch(length) or int(length) > bits:
        raise ValueError
    mask = whole >> (bits - int(length)) << (bits - int(length))
    return AddressPattern(pattern.version, pattern.value & mask, mask)


def is_mapped(number: int) -> bool:
    """Return whether this IPv6 address is an IPv4-mapped one (``::ffff:10.0.0.1``)."""
    return number >> _IPV4_BITS == _MAPPED


def _unmapped(pattern: AddressPattern) -> AddressPattern:
    upper = (1 << _IPV6_BITS) - (1 << _IPV4_BITS)
    if pattern.version == 6 and pattern.mask & upper == upper and is_mapped(pattern.value):
        low = (1 << _IPV4_BITS) - 1
        return AddressPattern(4, pattern.value & low, pattern.mask & low)
    return pattern


Masks = tuple[tuple[int, dict[int, T]], ...]
"""Masks, the most specific first, each with its values by masked address."""


@dataclass(frozen=True, slots=True)
class AddressTable(Generic[T]):
    """Finds the most specific of any number of patterns, at the cost of one dict lookup for each distinct mask.

    IPv4 has at most 33 prefix lengths and IPv6 129. Wildcards in the middle of an address add masks of their own. But
    even in a list of 100,000, only a few masks occur near any one IPv4 address.
    """

    v4: Masks[T]
    v6: Masks[T]
    near: Mapping[int, Masks[T]] = field(compare=False, repr=False)
    """By the upper 16 bits of an IPv4 address, the part of ``v4`` that may have it; for all others it is ``far``."""
    far: Masks[T] = field(compare=False, repr=False)

    @classmethod
    def of(cls, patterns: Iterable[tuple[AddressPattern, T]]) -> Self:
        """Return the table of these patterns. Of two that cover the same addresses the first one counts."""
        tables: dict[int, dict[int, dict[int, T]]] = {4: {}, 6: {}}
        for pattern, value in patterns:
            tables[pattern.version].setdefault(pattern.mask, {}).setdefault(pattern.value, value)
        v4 = _most_specific_first(tables[4])
        return cls(v4, _most_specific_first(tables[6]), *_by_upper_half(v4))

    def at(self, pattern: AddressPattern) -> T | None:
        """Return the value of this very pattern, or None."""
        tables = self.v4 if pattern.version == 4 else self.v6
        return next((values.get(pattern.value) for mask, values in tables if mask == pattern.mask), None)

    def find(self, address: Address) -> T | None:
        """Return the value of the most specific pattern that covers the address, or None."""
        number = int(address)
        tables = self.v6
        if isinstance(address, IPv4Address) or is_mapped(number):
            number &= (1 << _IPV4_BITS) - 1
            tables = self.near.get(number >> 16, self.far)
        for mask, values in tables:
            if number & mask in values:
                return values[number & mask]
        return None


def _most_specific_first(tables: dict[int, dict[int, T]]) -> Masks[T]:
    return tuple(sorted(tables.items(), key=lambda item: (item[0].bit_count(), item[0]), reverse=True))


def _by_upper_half(v4: Masks[T]) -> tuple[dict[int, Masks[T]], Masks[T]]:
    """Return ``AddressTable.near`` and ``far``. Addresses with the same masks near them share one tuple."""
    # Each set of masks is a number, with a bit for each mask's place in v4. A mask that leaves out a part of the upper
    # half belongs to all sets.
    everywhere = sum(1 << place for place, (mask, _) in enumerate(v4) if mask & _UPPER != _UPPER)
    sets: dict[int, int] = {}
    for place, (mask, values) in enumerate(v4):
        if mask & _UPPER == _UPPER:
            for upper in {value >> 16 for value in values}:
                sets[upper] = sets.get(upper, everywhere) | 1 << place
    parts = {
        bits: tuple(each for place, each in enumerate(v4) if bits >> place & 1) for bits in {everywhere, *sets.values()}
    }
    return {upper: parts[bits] for upper, bits in sets.items()}, parts[everywhere]
