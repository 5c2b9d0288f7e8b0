"""Reads hosts and URLs as browsers do, and normalises hosts so that they can be compared (rules.md 1, orders 4 and 5).

A normalised host is in lower case, without a trailing dot, its IDN labels as A-labels (``xn--``). An IPv6 address is
compressed and has no brackets; an IPv4-mapped one is the IPv4 address.

There are two ways through this module. Nearly every page sends an ordinary URL (scheme, name, perhaps a port), which
one regular expression reads, as it is normalised already. Anything else, from user info to IPv6 and IDN, goes the long
way: split off the scheme, the authority, the user info and the port, then normalise the host label by label.
"""

from __future__ import annotations

import re
from enum import Enum, unique
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote

import idna
import msgspec

MAX_HOST = 253
"""Characters of a DNS name. The limit also bounds the work for a hostile one."""
LONGEST_KNOWN = 1024
"""Characters of a URL whose reading is remembered."""
_LONGEST = 4 * MAX_HOST
"""Characters of a host that is read: before its mapping, an IDN is at most that long."""

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
"""The ports of the schemes whose URLs always have a host."""

# The last label has letters only, so an ordinary name is no IP address.
_NAME = r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.[a-z]{1,63}|localhost"
_ORDINARY_URL = re.compile(rf"(https?)://({_NAME})(?::([0-9]{{1,5}}))?(?:[/?#]|\Z)")
_ORDINARY_HOST = re.compile(_NAME)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_AUTHORITY_END = re.compile(r"[/?#\\]")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DELIMITER = re.compile(r"[\[\]:/?#@\\%]")
_PORT = re.compile(r"[0-9]{1,5}")


@unique
class UrlProblem(Enum):
    """The reason why a text cannot be a page's URL."""

    UNPARSEABLE = "unparseable"
    HOST = "host"
    PORT = "port"


class Url(msgspec.Struct, frozen=True, gc=False):
    """The parts of a URL that the filters look at."""

    scheme: str
    """Lower case."""
    host: str
    """Normalised; "" where the scheme needs none (``about:blank``, ``file:///``)."""
    port: int | None
    """As written; None if there is none."""
    problem: UrlProblem | None = None
    """The first fault in it; what comes before the fault was read."""

    @property
    def effective_port(self) -> int | None:
        """The port that is written, or else the scheme's own."""
        return self.port if self.port is not None else DEFAULT_PORTS.get(self.scheme)


def parse_url(text: str) -> Url:
    """Return the parts of a URL, or its ``problem``. Never raise.

    Several filters and the audit line need the same URL, so the last ones are remembered.
    """
    return _known_url(text) if len(text) <= LONGEST_KNOWN else _read_url(text)


def _read_url(text: str) -> Url:
    ordinary = _ORDINARY_URL.match(text)
    if ordinary is not None and len(ordinary[2]) <= MAX_HOST:
        return _with_port(ordinary[1], ordinary[2], ordinary[3])
    scheme_found = _SCHEME.match(text)
    if scheme_found is None:
        return Url("", "", None, UrlProblem.UNPARSEABLE)
    scheme, rest = scheme_found[1].lower(), text[scheme_found.end() :]
    needs_host = scheme in DEFAULT_PORTS
    if not rest.startswith("//"):
        return Url(scheme, "", None, UrlProblem.HOST if needs_host else None)
    end = _AUTHORITY_END.search(rest, 2)
    authority = rest[2 : end.start() if end else None].rpartition("@")[2]
    if not authority and not needs_host:
        return Url(scheme, "", None)
    return _with_authority(scheme, authority)


_known_url = lru_cache(maxsize=1024)(_read_url)


def _with_authority(scheme: str, authority: str) -> Url:
    split = split_port(authority)
    if split is None:
        return Url(scheme, "", None, UrlProblem.UNPARSEABLE)
    raw, port_text = split
    host = _browser_host(raw) if scheme in DEFAULT_PORTS else normalise_host(raw)
    if host is None:
        # Only the web's own schemes define what a host is: app://./index.html is no fault.
        return Url(scheme, "", None, UrlProblem.HOST if scheme in DEFAULT_PORTS else None)
    return _with_port(scheme, host, port_text)


def _with_port(scheme: str, host: str, text: str | None) -> Url:
    if not text:
        return Url(scheme, host, None)
    port = parse_port(text)
    return Url(scheme, host, port, UrlProblem.PORT if port is None else None)


def split_port(authority: str) -> tuple[str, str] | None:
    """Return host and port ("" if there is none); None where brackets or colons are misplaced.

    An IPv6 address keeps its brackets.
    """
    if authority.startswith("["):
        address, bracket, after = authority.partition("]")
        if not bracket or (after and not after.startswith(":")):
            return None
        return address + bracket, after[1:]
    host, colon, port = authority.rpartition(":")
    if not colon:
        host, port = authority, ""
    return None if any(stray in authority for stray in "[]") or ":" in host else (host, port)


def parse_port(text: str) -> int | None:
    """Return a port from 1 to 65535; None for anything else: no page is served from port 0."""
    if not _PORT.fullmatch(text):
        return None
    port = int(text)
    return port if 0 < port <= 65535 else None


def origin_host(origin: str | None) -> str | None:
    """Return the host of an ``Origin`` header; None without one, for ``null``, and for what is no origin."""
    url = parse_origin(origin)
    return url.host if url is not None else None


def parse_origin(origin: str | None) -> Url | None:
    """Return the parts of an ``Origin`` header; None without one, for ``null``, and for what is no origin."""
    if origin is None or origin == "null":
        return None
    url = parse_url(origin)
    return url if url.problem is None and url.host else None


def normalise_host(text: str) -> str | None:
    """Return the normalised host; None where it is none. An IPv6 address may have brackets or not."""
    if len(text) <= MAX_HOST and _ORDINARY_HOST.fullmatch(text):
        return text
    if len(text) > _LONGEST:
        return None
    if text.startswith("[") or text.count(":") > 1:
        return _ipv6(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    labels = split_labels(text)
    if labels is None:
        return None
    if _NUMBER.fullmatch(labels[-1]):
        # A name that ends in a number must be a whole address: browsers rewrite 127.1 and 0x7f.1 before they send it.
        return _ipv4(".".join(labels))
    return ".".join(labels) if all(map(is_label, labels)) else None


def _browser_host(text: str) -> str | None:
    """Return the normalised host of a URL as browsers read it, with ``%6d`` and ``0x7f.1`` (URL Standard 3.5)."""
    if "%" in text and "[" not in text:
        text = unquote(text)
        if _DELIMITER.search(text) is not None:
            return None
    host = normalise_host(text)
    if host is not None or ":" in text:
        return host
    labels = split_labels(text)
    return _short_ipv4(labels) if labels is not None and len(labels) <= 4 else None


def _short_ipv4(labels: list[str]) -> str | None:
    """Read an IPv4 address of one to four decimal, octal or hexadecimal numbers. The last one fills the bytes left."""
    try:
        *firsts, last = [_read_number(label) for label in labels]
    except ValueError:
        return None
    if any(number > 255 for number in firsts) or last >= 1 << 8 * (4 - len(firsts)):
        return None
    return str(IPv4Address(last + sum(number << 8 * (3 - place) for place, number in enumerate(firsts))))


def _read_number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text[0] == "0" else 10)


def split_labels(text: str) -> list[str] | None:
    """Return the normalised labels of a name, otherwise unchecked; None where normalising fails.

    The mapping is that of browsers (UTS 46, non-transitional). So names that IDNA 2008 refuses, such as emoji, or
    underscores beside IDN labels, come out as browsers send them.
    """
    if len(text) > _LONGEST:
        return None
    try:
        mapped = text.lower() if text.isascii() else idna.uts46_remap(text, std3_rules=False, transitional=False)
        labels = [label if label.isascii() else _a_label(label) for label in mapped.removesuffix(".").split(".")]
    except UnicodeError:  # a base of idna's own errors
        return None
    return labels if sum(map(len, labels)) + len(labels) - 1 <= MAX_HOST and all(labels) else None


def is_label(text: str) -> bool:
    """Return whether this is a normalised label."""
    return _LABEL.fullmatch(text) is not None


def _a_label(label: str) -> str:
    return "xn--" + label.encode("punycode").decode("ascii")


def _ipv4(text: str) -> str | None:
    try:
        return str(IPv4Address(text))
    except ValueError:
        return None


def _ipv6(text: str) -> str | None:
    try:
        address = IPv6Address(text) if "%" not in text else None
    except ValueError:
        return None
    return str(address.ipv4_mapped or address) if address is not None else None
