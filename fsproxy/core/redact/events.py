"""Redacts the events of a bundle: the properties of its calls, and the strings of all others (wire.md 3)."""

from __future__ import annotations

from collections.abc import Iterator

from fsproxy.core.json.cutting import Edit, splice
from fsproxy.core.json.member_names import folded
from fsproxy.core.json.scanner import ScanError, Span, elements_of, name_of, skip_blank
from fsproxy.core.json.strict import Fault, parse
from fsproxy.core.json.surrogates import write_string
from fsproxy.core.redact.json_strings import Redactor, Work, object_at, read_text
from fsproxy.core.redact.redaction import UnreadableError

_ARGS, _UID = folded("Args"), "uid"
_NAME, _PROPERTIES, _SOURCE, _VERSION, _SCHEMA = range(5)
_UNTOUCHED = frozenset({_NAME, _SOURCE, _SCHEMA})
"""Places in ``Args`` of names: the event's or scope's, the source's, and those of the schema."""
_USER = b'"user"'


def redact_event(redactor: Redactor, event: bytes) -> bytes:
    """Return the event of a call, redacted. Raise UnreadableError where its properties cannot be read."""
    rest = redactor.rest
    edits: list[Edit] = []
    for each in object_at(event, 0)[0]:
        is_args = folded(name_of(event, each) or "") == _ARGS and event[each.value_start : each.value_start + 1] == b"["
        work: Work = _arguments(redactor, rest) if is_args else rest
        edits += work(event, each.value_start, each.end)
    return splice(event, edits) if edits else event


def _arguments(redactor: Redactor, rest: Work) -> Work:
    def work(event: bytes, start: int, _: int) -> Iterator[Edit]:
        try:
            elements, _ = elements_of(event, start)
        except ScanError:
            raise UnreadableError from None
        texts = [event[begin:end] for begin, end in elements]
        # Under apiVersion 1, with an entry in the schema, the page wrote ``uid_str``: an ordinary property.
        is_ordinary = texts[_VERSION:_SCHEMA] == [b"1"] and b'\\"uid\\"' in b"".join(texts[_SCHEMA : _SCHEMA + 1])
        of_user = texts[:1] == [_USER] and not is_ordinary
        for place, (begin, end) in enumerate(elements):
            if place == _PROPERTIES:
                yield from _properties(redactor, event, (begin, end), of_user=of_user)
            elif place not in _UNTOUCHED:
                yield from rest(event, begin, end)

    return work


def _properties(redactor: Redactor, event: bytes, span: Span, *, of_user: bool) -> Iterator[Edit]:
    start, end = span
    if event[start : start + 1] != b'"':
        # No text that holds JSON, but perhaps the properties themselves.
        yield from redactor.properties(event, start, end)
        return
    text = read_text(event[start:end])
    if parse(text) in (Fault.NOT_UTF8, Fault.NOT_JSON):
        raise UnreadableError
    data = text.encode("utf-8", "surrogatepass")
    redactor.within = redactor.at + start
    begin = skip_blank(data, 0)
    if of_user and data[begin : begin + 1] == b"{":
        edits = list(redactor.members(data, begin, {_UID: redactor.uids}, redactor.properties))
    else:
        edits = list(redactor.properties(data, 0, len(data)))
    redactor.within = None
    if edits:
        yield start, end, write_string(splice(data, edits).decode("utf-8", "surrogatepass"))
