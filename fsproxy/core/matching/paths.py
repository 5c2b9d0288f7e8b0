"""Globs on the path of a page's URL (rules.md 7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import re2

LOOKED_AT = 8192
"""Characters of a path that are looked at. Real ones have a few hundred."""
_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\\]*([^?#]*)")
_SEGMENTS = "(?:/[^/]+)*"
ALLOWED = (
    "a path that starts with /, in which * is one segment or a part of one, and ** any number of segments "
    "(/checkout/*, /account/**)"
)


def path_of(url: str) -> str:
    """Return the path of a URL as globs look at it: ``/a/b``, or "" for the root.

    It is percent-decoded once. Dot segments are resolved; empty segments, also that of a slash at the end, do not
    count.
    """
    found = _PATH.match(url)
    if found is None:
        return ""
    path = found[1][:LOOKED_AT].replace("\\", "/")  # as browsers read it
    kept: list[str] = []
    for segment in _segments(unquote(path) if "%" in path else path):
        if segment != "..":
            kept.append(segment)
        elif kept:
            kept.pop()
    return "".join([f"/{segment}" for segment in kept])


def checked(glob: str) -> str:
    """Return a glob as it is. Raise ValueError for a text that is none."""
    segments = tuple(_segments(unquote(glob)))
    if not glob.startswith("/") or len(glob) > LOOKED_AT or not glob.isprintable() or any(c in glob for c in "?#\\"):
        raise ValueError
    if any(each == ".." or ("**" in each and each != "**") for each in segments):
        raise ValueError
    return glob


def expression(glob: str) -> str:
    """Return the expression, in RE2's syntax, that matches the paths of a glob as ``path_of`` returns them.

    What is percent-encoded in the glob means what it means in a URL.
    """
    return "^" + "".join(map(_of_segment, _segments(glob))) + "$"


def _of_segment(segment: str) -> str:
    if segment == "**":
        return _SEGMENTS
    if segment == "*":
        return "/[^/]+"
    return "/" + "[^/]*".join(re2.escape(unquote(part)) for part in segment.split("*"))


def _segments(path: str) -> Iterator[str]:
    return (segment for segment in path.split("/") if segment not in ("", "."))
