"""How a rule about addresses is named where the addresses themselves are not written whole (rules.md 6)."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from fsproxy.core.matching.addresses import AddressPattern

MaskPattern = Callable[[AddressPattern], str | None]
"""Returns the text for a pattern; None: it shows no more than an address in an audit line does, and is kept."""

HIDDEN = "x"
"""Takes the place of what is hidden. No pattern that people write has it."""


def pattern_mask(mode: str, key: str | None = None) -> MaskPattern:
    """Return the function that names patterns, for a mode of ``audit.client_ip`` and its key.

    - ``full``: every pattern stays as it is written.
    - ``truncated``: what a pattern says beyond /24 or /48 is ``x``: ``10.0.0.x``, ``10.0.0.x/28``, ``2001:db8:0:x``.
    - ``hashed``: a keyed hash, which for a single address is that of the address.
    - ``none``: ``x``.
    """
    if mode == "full":
        return lambda _: None
    if mode == "truncated":
        return _truncated
    if mode == "none":
        return lambda _: HIDDEN
    secret = (key or "").encode("utf-8", "surrogatepass")

    def hashed(pattern: AddressPattern) -> str:
        size = 4 if pattern.version == 4 else 16
        text = pattern.value.to_bytes(size, "big")
        if pattern.mask != (1 << size * 8) - 1:
            text += pattern.mask.to_bytes(size, "big")
        return hmac.digest(secret, text, "sha256").hex()[:16]

    return hashed


def _truncated(pattern: AddressPattern) -> str | None:
    if pattern.version == 4:
        bits, part, kept, separator, form = 32, 8, 3, ".", "d"
    else:
        bits, part, kept, separator, form = 128, 16, 3, ":", "x"
    if not pattern.mask & ((1 << bits - kept * part) - 1):
        return None
    ones = (1 << part) - 1
    parts = [
        format(pattern.value >> shift & ones, form) if pattern.mask >> shift & ones else "*"
        for shift in range(bits - part, bits - part - kept * part, -part)
    ]
    length = pattern.mask.bit_count()
    is_network = length < bits and pattern.mask == (1 << bits) - (1 << bits - length)
    return separator.join([*parts, HIDDEN]) + (f"/{length}" if is_network else "")
