"""When a certificate in a file ends. Python has that of a peer's certificate alone, so its dates are read here."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from fsproxy.core.model import Instant

_VERSION, _UTC_TIME = 0xA0, 0x17
"""Tags of ASN.1 (X.690): the optional version of a certificate, and a time with a year of two digits."""


def ends_at(path: str) -> Instant | None:
    """Return when the first certificate of a PEM file ends. Blocking. None: it cannot be read."""
    try:
        text = Path(path).read_text("ascii", "replace")
        begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER)
        return _not_after(ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)]))
    except (OSError, ValueError, IndexError):
        return None


def _not_after(der: bytes) -> Instant:
    """Return the end of the validity (RFC 5280 4.1). Raise ValueError or IndexError for what is no certificate."""
    _, certificate, _ = _element(der)
    _, fields, _ = _element(certificate)
    tag, _, rest = _element(fields)
    # Before the validity there are the version, the serial number, the algorithm and the issuer.
    for _ in range(3 if tag == _VERSION else 2):
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    _, _, rest = _element(validity)
    tag, time, _ = _element(rest)
    digits = time.decode("ascii")
    if tag == _UTC_TIME:
        digits = f"{'19' if digits >= '50' else '20'}{digits}"
    return Instant(datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp())


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the tag and the contents of the first element, and what follows it."""
    tag, length, at = data[0], data[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(data[2:at])
    if at + length > len(data):
        raise ValueError("cut")
    return tag, data[at : at + length], data[at + length :]
