"""Searches a ``Cookie`` header for the few cookies that anybody asks for, without reading the others."""

from __future__ import annotations

import re
from collections.abc import Callable

from fsproxy.core.possessive import BACK

_BLANKS = " \t"
"""Stripped from names and values (RFC 6265 5.2). Other blanks, such as a no-break space, are part of them."""

has_cookies = re.compile(r"(?:[^;]*+;)*?[ \t]*+[^;= \t][^;=]*+=").match
"""Return whether there is any cookie in a ``Cookie`` header: a pair without ``=`` or without a name is none."""


def search_of_cookie(name: str, value: str | None) -> Callable[[str], re.Match[str] | None]:
    """Return the search for a cookie in a ``Cookie`` header, with this value or with any (None).

    Of two cookies with one name the first counts, and a pair without ``=`` is none. A value is compared as it was
    sent, without surrounding spaces and one pair of quotes. ``name``: as ``opt_out.problem`` allows it.
    """
    cookie = rf"[ \t]*+{re.escape(name)}[ \t]*+="
    # The pairs before the first of this name, and the name: the search never goes back in what it has passed.
    first = rf"(?:(?!{cookie})[^;]*+;{BACK})*+{cookie}[ \t]*+"
    if value is None:
        return re.compile(first).match
    forms = [re.escape(form) for form in (value, f'"{value}"') if stripped(form) == value and ";" not in form]
    return re.compile(rf"{first}(?:{'|'.join(forms) or '(?!)'})[ \t]*+(?:;|\Z)").match


def stripped(value: str) -> str:
    """Return a cookie's value without the blanks around it and without one pair of quotes."""
    value = value.strip(_BLANKS)
    return value[1:-1] if value[:1] == value[-1:] == '"' and len(value) > 1 else value
