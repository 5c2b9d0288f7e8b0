"""Redacts the string values in JSON, and leaves every other byte as it is. The names of members are never touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from fsproxy.core.json.cutting import Edit, splice
from fsproxy.core.json.member_names import folded
from fsproxy.core.json.scanner import (
    STRING_OR_NAME,
    Member,
    ScanError,
    Span,
    begin_of_json,
    members_of,
    name_of,
    skip_blank,
)
from fsproxy.core.json.surrogates import write_string
from fsproxy.core.redact.redaction import STRINGS, UID, Found, Indexes, Match, Redaction, UnreadableError

# What is a name holds for every JSON reader, so no other part of the syntax matters.
_strings = re.compile(STRING_OR_NAME, re.DOTALL).finditer
_URL = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//|[/?#]|\.{1,2}/|www\.")
"""The beginning of a URL, or of one without its host."""
_decode = json.JSONDecoder(strict=False).decode
KEPT = "kept"
"""What is never touched: ids, and fields of the protocol."""

Work = Callable[[bytes, int, int], Iterator[Edit]]
"""Returns the edits of a value, which is between two places of a text."""
Note = Callable[[int, int | None, list[Match]], None]
"""Takes the place of a string in the body, the place in its own JSON of a string inside it, and the matches in it."""
Plan = Mapping[str, "Work | str"]
"""What becomes of an object's members, by their names without case (``folded``)."""


class Redactor:
    """Redacts the strings of one body, and counts what it finds."""

    __slots__ = ("at", "found", "note", "rules", "within")

    def __init__(self, rules: Redaction, note: Note | None = None) -> None:
        """``note`` is called with every string that has matches, its place, and what was found."""
        self.rules = rules
        self.found = Found()
        self.note = note
        self.at = 0
        """Where the part begins in the body that is redacted now."""
        self.within: int | None = None
        """Where the string begins in the body whose JSON is redacted now."""

    def strings(self, indexes: Indexes) -> Work:
        """Return what redacts all strings of a value by these rules."""
        return lambda data, start, end: self._edits(data, start, end, indexes, indexes)

    @property
    def rest(self) -> Work:
        """What redacts all strings of a value that has no meaning of its own."""
        return self.strings(self.rules.of[STRINGS])

    @property
    def uids(self) -> Work:
        """What redacts a value that names the user."""
        return self.strings(self.rules.of[UID])

    def properties(self, data: bytes, start: int, end: int) -> Iterator[Edit]:
        """Redact all strings of a value as properties, of which some are URLs."""
        return self._edits(data, start, end, self.rules.in_property, self.rules.in_url_property)

    def _edits(self, data: bytes, start: int, end: int, indexes: Indexes, of_urls: Indexes) -> Iterator[Edit]:
        rules, found = self.rules, self.found
        if not of_urls:
            return
        for each in _strings(data, start, end):
            if each.start(1) >= 0:
                continue
            try:
                text = read_text(each[0])
                matches = rules.matches(text, of_urls if _URL.match(text) else indexes)
            except UnreadableError:
                if rules.fails_closed:
                    yield each.start(), each.end(), b'""'
                continue
            if not matches:
                continue
            if self.note is not None:
                place, within = each.start(), self.within
                self.note(self.at + place if within is None else within, None if within is None else place, matches)
            changed = rules.without(text, matches, found)
            if changed is not text:
                yield each.start(), each.end(), write_string(changed)

    def members(self, data: bytes, at: int, plan: Plan, others: Work | str) -> Iterator[Edit]:
        """Redact the members of the object at a place, each by its name. Raise UnreadableError where there is none."""
        for each in object_at(data, at)[0]:
            work = plan.get(folded(name_of(data, each) or ""), others)
            if not isinstance(work, str):
                yield from work(data, each.value_start, each.end)

    def inside(self, plan: Plan, others: Work | str) -> Work:
        """Return what redacts a member that is an object; of any other value all strings, as ``others``."""

        def work(data: bytes, start: int, end: int) -> Iterator[Edit]:
            if data[start : start + 1] == b"{":
                return self.members(data, start, plan, others)
            return others(data, start, end) if not isinstance(others, str) else iter(())

        return work

    def document(self, data: bytes, plan: Plan, others: Work | str) -> bytes:
        """Return a document that is one object and nothing else, redacted. Raise UnreadableError."""
        begin = begin_of_json(data)
        if skip_blank(data, object_at(data, begin)[1]) != len(data):
            raise UnreadableError
        edits = list(self.members(data, begin, plan, others))
        return splice(data, edits) if edits else data


def object_at(data: bytes, at: int) -> tuple[list[Member], int]:
    """Return the members of an object, and the place after it. Raise UnreadableError where there is none."""
    try:
        return members_of(data, at)
    except ScanError:
        raise UnreadableError from None


def read_text(raw: bytes) -> str:
    """Return a JSON string, in which halves of characters and line ends need no escape. Raise UnreadableError."""
    try:
        return str(_decode(raw.decode("utf-8", "surrogatepass")))
    except ValueError:
        raise UnreadableError from None


def gaps(length: int, taken: list[Span]) -> Iterator[Span]:
    """Yield what is between the spans of a text, which are in order."""
    at = 0
    for start, end in taken:
        yield at, start
        at = end
    yield at, length
