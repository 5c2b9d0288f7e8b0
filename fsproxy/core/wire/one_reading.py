"""Reads the members of a JSON object that decisions depend on, if all readers agree on them (rules.md 4).

Go's JSON reader compares names without case and takes the last of several; browsers do neither. Some readers stop after
the first value. A text that these could read in different ways is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fsproxy.core.json.member_names import folded
from fsproxy.core.json.scanner import Span, begin_of_json, members_of, name_of, skip_blank

MOST_MEMBERS = 64
"""Members of an object that is read; recorders write 3 and 9. A larger one is refused."""


class UnclearError(Exception):
    """Two readers could read the text in two ways."""


def by_fold(names: Iterable[str]) -> Mapping[str, str]:
    """Return the names by their forms without case, as ``places_of`` takes them."""
    return {folded(name): name for name in names}


def places_of(text: bytes, at: int, names: Mapping[str, str]) -> tuple[dict[str, Span], int]:
    """Return the places of the named members' values in the object at ``at``, and the place after the object.

    A name counts in any case. Raise ScanError where there is no object, and UnclearError where a name comes twice or
    the object has more than 64 members.
    """
    try:
        members, end = members_of(text, at, MOST_MEMBERS)
    except OverflowError:
        raise UnclearError from None
    found: dict[str, Span] = {}
    for member in members:
        name = names.get(folded(name_of(text, member) or ""))
        if name is not None:
            if name in found:
                raise UnclearError
            found[name] = (member.value_start, member.end)
    return found, end


def whole_places(text: bytes, names: Mapping[str, str]) -> dict[str, Span]:
    """Return the same for a text that is a single object. Raise UnclearError also if anything follows the object."""
    found, end = places_of(text, begin_of_json(text), names)
    if found and skip_blank(text, end) != len(text):
        raise UnclearError
    return found
