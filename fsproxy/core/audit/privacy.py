"""What a log may hold of a visitor, and in which form (rules.md 6)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from fsproxy.core.json.surrogates import without_halves
from fsproxy.core.model import Address, Hit
from fsproxy.core.reasons import ReasonCode

LONGEST_NAME = 100
"""Characters of a name in a log (rules.md 3)."""

MaskAddress = Callable[[Address], str | None]

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_V4_BITS, _V6_BITS = 24, 48
_V6_MASK = ((1 << _V6_BITS) - 1) << (128 - _V6_BITS)
UNNAMED = frozenset({ReasonCode.OPT_OUT_COOKIE, ReasonCode.USER_ACTIVELY_BEING_DELETED})


def address_mask(mode: str, key: str | None = None) -> MaskAddress:
    """Return the function that writes addresses: ``full``, ``truncated`` (/24, /48), ``hashed`` (keyed) or ``none``.

    Raise ValueError for another mode, or for ``hashed`` without a key: without one, all 2³² hashes can be tried.
    """
    if mode == "full":
        return str
    if mode == "truncated":
        return truncated
    if mode == "none":
        return lambda _: None
    if mode != "hashed" or not key:
        raise ValueError("full, truncated, none, or hashed with a key")
    secret = key.encode("utf-8", "surrogatepass")
    return lambda address: hmac.digest(secret, address.packed, "sha256").hex()[:16]


def truncated(address: Address) -> str:
    """Return the address of the network (/24, or /48)."""
    number = int(address)
    if isinstance(address, IPv4Address):
        return _v4_text(number >> (32 - _V4_BITS))
    return _v6_text(number & _V6_MASK)


def kept_bits(address: Address) -> int:
    """Return how many bits of an address ``truncated`` keeps."""
    return _V4_BITS if isinstance(address, IPv4Address) else _V6_BITS


# Numbers are remembered, not addresses: an address's hash and text are made in Python.
@lru_cache(maxsize=4096)
def _v4_text(number: int) -> str:
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}.0"


@lru_cache(maxsize=4096)
def _v6_text(number: int) -> str:
    return str(IPv6Address(number))


def is_unnamed(hits: Iterable[Hit]) -> bool:
    """Return whether the visitor opted out or is being deleted, so that the line must not identify anyone."""
    return not UNNAMED.isdisjoint([hit.code for hit in hits])


def safe(text: str, limit: int = LONGEST_NAME) -> str:
    """Return at most ``limit`` characters, with control and direction characters escaped, lone surrogates replaced."""
    cut = text[:limit]
    if cut.isascii() and cut.isprintable():
        return cut
    return without_halves(_UNSAFE.sub(_escaped, cut))


def _escaped(character: re.Match[str]) -> str:
    return f"\\u{ord(character[0]):04x}"
