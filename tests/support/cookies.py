"""All cookies of a header, read pair by pair: what the searches for single cookies must agree with."""

from __future__ import annotations

_BLANKS = " \t"


def parse_cookies(header: str) -> dict[str, str]:
    """Return the values of a ``Cookie`` header by name, without surrounding blanks and one pair of quotes.

    Of two cookies with one name the first counts, and a pair without ``=`` or without a name is none.
    """
    cookies: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        name = name.strip(_BLANKS)
        if equals and name and name not in cookies:
            value = value.strip(_BLANKS)
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            cookies[name] = value
    return cookies


def header_of(cookies: dict[str, str]) -> str:
    """Return a header with these cookies."""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
