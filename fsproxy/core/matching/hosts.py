"""Hosts and URLs as browsers know them: read, and brought to the one form in which they are compared.

A host in that form is lower case, without a trailing dot, IDN labels as A-labels (``xn--``), an IPv6 address
without brackets and compressed, or the IPv4 address that is mapped into it. rules.md 1, orders 4 and 5.
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
"""Characters of a DNS name; also what keeps the work on a hostile one small."""
LONGEST_KNOWN = 1024
"""Characters of a URL that is remembered."""
_LONGEST = 4 * MAX_HOST
"""Characters that are looked at: an IDN is at most that long before its mapping."""

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
"""Of the schemes whose URLs always have a host."""

# What nearly every page sends: no userinfo, no IP, no IDN. The rest goes the long way.
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
    """Why a text is no URL that a page can have."""

    UNPARSEABLE = "unparseable"
    HOST = "host"
    PORT = "port"


class Url(msgspec.Struct, frozen=True, gc=False):
    """What the filters look at in a URL."""

    scheme: str
    """Lower case."""
    host: str
    """Compared form; "" where the scheme needs none (``about:blank``, ``file:///``)."""
    port: int | None
    """As written; None when it is not."""
    problem: UrlProblem | None = None
    """The first thing wrong with it; what stands before it was read all the same."""

    @property
    def effective_port(self) -> int | None:
        """The port written, or else the scheme's own."""
        return self.port if self.port is not None else DEFAULT_PORTS.get(self.scheme)


def parse_url(text: str) -> Url:
    """Read a URL. Never raises: ``problem`` says what is wrong.

    Several filters and the audit line read the same one, so the last are remembered.
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
        # Only the web's own schemes say what a host is; app://./index.html is for others to read.
        return Url(scheme, "", None, UrlProblem.HOST if scheme in DEFAULT_PORTS else None)
    return _with_port(scheme, host, port_text)


def _with_port(scheme: str, host: str, text: str | None) -> Url:
    if not text:
        return Url(scheme, host, None)
    port = parse_port(text)
    return Url(scheme, host, port, UrlProblem.PORT if port is None else None)


def split_port(authority: str) -> tuple[str, str] | None:
    """Host (an IPv6 address keeps its brackets) and port ("" when there is none).

    None when brackets or colons stand where they mean nothing.
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
    """1 to 65535, or None: no page is served from port 0."""
    if not _PORT.fullmatch(text):
        return None
    port = int(text)
    return port if 0 < port <= 65535 else None


def origin_host(origin: str | None) -> str | None:
    """The host of an ``Origin`` header; None for none, ``null`` and what is no origin."""
    url = parse_origin(origin)
    return url.host if url is not None else None


def parse_origin(origin: str | None) -> Url | None:
    """An ``Origin`` header with a host, read; None for none, ``null`` and what is no origin."""
    if origin is None or origin == "null":
        return None
    url = parse_url(origin)
    return url if url.problem is None and url.host else None


def normalise_host(text: str) -> str | None:
    """The compared form of a host, or None when it is none. An IPv6 address comes with brackets or without."""
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
        # A name that ends in a number is an address or nothing: browsers rewrite 127.1 and 0x7f.1 themselves.
        return _ipv4(".".join(labels))
    return ".".join(labels) if all(map(is_label, labels)) else None


def _browser_host(text: str) -> str | None:
    """The compared form of a URL's host as browsers read it (URL Standard 3.5), who know ``%6d`` and ``0x7f.1``."""
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
    """An IPv4 address of one to four numbers, decimal, octal or hexadecimal; the last fills all that is left."""
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
    """The labels of a name in compared form, unchecked but for IDN mapping; None when that fails.

    Mapping is UTS 46, non-transitional, as in browsers: names that IDNA 2008 refuses and browsers know
    (emoji, underscores beside IDN labels) come out as browsers send them.
    """
    if len(text) > _LONGEST:
        return None
    try:
        mapped = text.lower() if text.isascii() else idna.uts46_remap(text, std3_rules=False, transitional=False)
        labels = [label if label.isascii() else _a_label(label) for label in mapped.removesuffix(".").split(".")]
    except UnicodeError:  # idna's own errors are such, too
        return None
    return labels if sum(map(len, labels)) + len(labels) - 1 <= MAX_HOST and all(labels) else None


def is_label(text: str) -> bool:
    """Whether this is one label of a name in compared form."""
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
