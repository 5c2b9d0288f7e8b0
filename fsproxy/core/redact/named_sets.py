"""The named sets: what is an e-mail address, a card number, an IP address, or the value of a query parameter.

RE2 finds candidates in linear time, and Python decides which of them are one. Each set also has a looser expression
that matches wherever the set has a match, by which most texts are passed over at once (``patterns.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

import re2

from fsproxy.core.redact.top_level_domains import TOP_LEVEL_DOMAINS

Places = tuple[int, int]
"""Where a match begins and ends, in characters."""

# -- email

EMAIL_MAY_BE = r"[\p{L}\p{N}\p{M}_+.'-]@[\p{L}\p{N}\p{M}-]+\."
_ADDRESS = re2.compile(r"[\p{L}\p{N}\p{M}_+.'-]+@(?:[\p{L}\p{N}\p{M}-]+\.)+[\p{L}\p{N}\p{M}-]+")
_FILES = frozenset({"zip", "mov"})
"""Top-level domains that nearly always are the ending of a file."""
_ALSO_FILES = frozenset({"ai", "bz", "cc", "gl", "md", "ml", "pl", "ps", "py", "rs", "sh", "so", "st"})
"""Those that may be one: behind a scale (``logo@2x.ai``) or a version (``tool@1.2.sh``) they are."""
_SCALE = re.compile(r"[0-9]+x", re.IGNORECASE)
_EDGES = ".'-"
_LONGEST_DOMAIN = 253


def emails(text: str) -> Iterator[Places]:
    """Yield the addresses whose top-level domain exists and is no file ending. An address never holds a ``*``."""
    for found in _ADDRESS.finditer(text):
        local, _, domain = found.group().partition("@")
        begin = found.start() + len(local) - len(local.lstrip(_EDGES))
        length = _length_of_domain(domain)
        if length and begin < found.start() + len(local):
            yield begin, found.start() + len(local) + 1 + length


def _length_of_domain(text: str) -> int:
    """Return how much of a text is a domain: what follows a sentence's end, as in ``example.com.And``, is not."""
    labels = text[:_LONGEST_DOMAIN].split(".")
    for count in range(len(labels), 1, -1):
        # The address may be the first half of a word: ann@example.com-2026.
        last, _, rest = labels[count - 1].partition("-")
        whole = labels[count - 1]
        for label in (whole, last) if rest else (whole,):
            before = labels[: count - 1]
            if _exists(label) and all(before) and not _is_file(before, label.lower()):
                return sum(map(len, before)) + len(before) + len(label)
    return 0


def _exists(label: str) -> bool:
    name = label.lower()
    return (name if name.isascii() else "xn--" + name.encode("punycode").decode()) in TOP_LEVEL_DOMAINS


def _is_file(before: list[str], ending: str) -> bool:
    if ending in _FILES:
        return True
    if ending not in _ALSO_FILES:
        return False
    return _SCALE.fullmatch(before[-1]) is not None or (len(before) > 1 and all(map(str.isdigit, before)))


# -- card

CARD_MAY_BE = r"(?:^|[^0-9.])\.?[2-6](?:[ \x{A0}+-]?[0-9]){12}"
_DIGITS = re2.compile(r"[0-9](?:[ \x{A0}+-]?[0-9]){12,}")
_GROUP = re.compile("[0-9]+")
_SHORTEST, _LONGEST = 13, 19
_MOST_IN_GROUP = 7


def cards(text: str) -> Iterator[Places]:
    """Yield the numbers of 13 to 19 digits, in one piece or in groups, that begin as cards do and pass Luhn's check."""
    for found in _DIGITS.finditer(text):
        start = found.start()
        groups = [each.span() for each in _GROUP.finditer(text, start, found.end())]
        # The digits behind the point of a number are no card.
        first = 1 if start > 1 and text[start - 1] == "." and text[start - 2].isdecimal() else 0
        while first < len(groups):
            last = _card(text, groups, first) if "2" <= text[groups[first][0]] <= "6" else None
            if last is not None:
                yield groups[first][0], groups[last][1]
                first = last
            first += 1


def _card(text: str, groups: list[Places], first: int) -> int | None:
    """Return the last of the groups that are one number together with the ``first`` one; the longest number counts."""
    digits, found = "", None
    for index in range(first, len(groups)):
        begin, end = groups[index]
        if index > first and (end - begin > _MOST_IN_GROUP or groups[first][1] - groups[first][0] > _MOST_IN_GROUP):
            break
        digits += text[begin:end] if end - begin <= _LONGEST else " " * (_LONGEST + 1)
        if len(digits) > _LONGEST:
            break
        if len(digits) >= _SHORTEST and _passes_luhn(digits):
            found = index
    return found


def _passes_luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(each), 10)) for each in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


# -- ip

IP_MAY_BE = r"(?:[0-9]{1,3}\.){3}[0-9]|(?:[0-9A-Fa-f]{1,4}:){2}|::[0-9A-Fa-f]"
_V4 = re2.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_V6 = re2.compile(r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
_LEAST_OF_V6 = 4
"""Digits of the shortest IPv6 address that counts: ``::1`` names no visitor, and ``a::b`` is in many programs."""
_MOST_OF_V6 = 45
_BROWSER = "Mozilla/"


def addresses(text: str) -> Iterator[Places]:
    """Yield the IPv4 and IPv6 addresses. The versions in a User-Agent (``Chrome/140.0.0.0``) are none."""
    for found in _V4.finditer(text):
        begin, end = found.span()
        if _is_v4(text, begin, end):
            yield begin, end
    for found in _V6.finditer(text):
        begin, end = found.start(), found.start() + len(found.group().rstrip("."))
        if _is_v6(text, begin, end):
            yield begin, end
        elif text[begin:end].endswith(":") and _is_v6(text, begin, end - 1):
            yield begin, end - 1


def _is_v4(text: str, begin: int, end: int) -> bool:
    before, behind = text[max(0, begin - 2) : begin], text[end : end + 2]
    if before[-1:].isdecimal() or behind[:1].isdecimal():
        return False
    if (before[-1:] == "." and before[:1].isdecimal()) or (behind[:1] == "." and behind[1:].isdecimal()):
        return False  # a part of a longer version
    if before[-1:] == "/" and before[:1].isalpha() and text.startswith(_BROWSER):
        return False
    return all(int(part) <= 255 for part in text[begin:end].split("."))


def _is_v6(text: str, begin: int, end: int) -> bool:
    if end - begin > _MOST_OF_V6 or _in_word(text[begin - 1 : begin]) or _in_word(text[end : end + 1]):
        return False
    written = text[begin:end]
    if sum(map(str.isalnum, written)) < _LEAST_OF_V6:
        return False
    try:
        return not isinstance(ip_address(written), IPv4Address)
    except ValueError:
        return False


def _in_word(character: str) -> bool:
    return character.isalnum() or character in {"_", ":"}


# -- query:NAME


def parameter(name: str) -> str:
    """Return the expression of a query parameter, its value in group 1. Case does not matter."""
    return rf"(?i:(?:^|[?&;#]){re2.escape(name)}=)([^&;#\s\"'<>\\]*)"
