"""Reads page requests and their answers leniently: a recorder's oddities must not cost a page (wire.md 1)."""

from __future__ import annotations

import json
import math
import re
import zlib
from typing import Any

import msgspec

from fsproxy.core.json.member_names import KnownNames, finder_of_misspelt, folded
from fsproxy.core.json.scanner import BYTE_ORDER_MARK, begin_of_json, members_of, name_of
from fsproxy.core.json.surrogates import covered, uncovered, without_halves
from fsproxy.core.pipeline import PageAnswer

LONGEST_ANSWER = 256 * 1024
"""Bytes of a decompressed page answer that are read; real ones have less than 10 KB."""

LONGEST_NUMBER = 40
"""Characters of a number that is read; 64 bits have 20 digits, and Python refuses to convert more than 4,300."""
LONGEST_CLEANED = 64 * 1024
"""Characters of a text in which unpaired surrogates are replaced; a longer one that has any counts as no text."""

_AUTHORITY = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}(?:[^/?#\\]*@)?(\[[^\]/?#]*\]|[^:/?#\\]*)")


Scalar = str | int | float | bool | None


class PageBody(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """The fields of a page request that decisions depend on, of any scalar type; None for an absent one."""

    org_id: Scalar = None
    user_id: Scalar = None
    session_id: Scalar = None
    page_id: Scalar = None
    url: Scalar = None
    compiled_timestamp: Scalar = None
    compiled_version: Scalar = None
    snippet_version: Scalar = None
    app_id: Scalar = None


class AmbiguousPage(PageBody, frozen=True, gc=False, rename="pascal"):
    """A page that some readers read like this, and others like ``other`` (rules.md 4)."""

    other: PageBody = PageBody()


EMPTY_PAGE = PageBody()
"""Stands for a body that cannot be read."""
COMPOSED = False
"""The value of a field that is a list or an object, which none may be. Its contents are not read."""

_FIELDS = PageBody.__struct_fields__
_NAMES = dict(zip(map(folded, PageBody.__struct_encode_fields__), _FIELDS, strict=True))
_may_be_misspelt = finder_of_misspelt(PageBody.__struct_encode_fields__)
LONGEST_AMBIGUOUS = 64 * 1024
"""Bytes of a body that is read in two ways if necessary; recorders send about 1 KB, and never such a body."""
_KNOWN = KnownNames(PageBody.__struct_encode_fields__)
_read = msgspec.json.Decoder(PageBody).decode
_read_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ABSENT = msgspec.Raw(b"null")
_read_raw = msgspec.json.Decoder(
    msgspec.defstruct("RawFields", [(name, msgspec.Raw, _ABSENT) for name in _FIELDS], rename="pascal", frozen=True)
).decode


def read_page(body: bytes) -> PageBody | None:
    """Return a page request's fields; None if the body is not a JSON object in UTF-8, or nested too deep to read.

    A byte order mark is skipped. Of a name that comes twice the last counts, as for every reader. A body with one of
    the names in other letters is an ``AmbiguousPage``, or None if it is too long to be read twice. No Python code runs
    for each value, so that even the largest body is read at the pace of C code (``server.max_page``).
    """
    try:
        # msgspec does not check the bytes of strings that it skips.
        body.decode()
        page = _read(body)
    except UnicodeDecodeError:
        return None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        body = body.removeprefix(BYTE_ORDER_MARK)
        lenient = _read_leniently(body)
        if lenient is None:
            return None
        page = lenient
    return page if _may_be_misspelt(body) is None else _read_both_ways(body, page)


def _read_both_ways(body: bytes, page: PageBody) -> PageBody | None:
    """Read the body once more without regard to the case of names; ``page`` was read by the exact names."""
    if len(body) > LONGEST_AMBIGUOUS:
        return None if _has_misspelt_names(body) else page
    loosely: dict[str, Scalar] = {}
    for member in members_of(body, begin_of_json(body))[0]:
        field = _NAMES.get(folded(name_of(body, member) or ""))
        if field is not None:
            loosely[field] = _scalar(body[member.value_start : member.end])
    other = PageBody(**loosely)
    return page if other == page else AmbiguousPage(**msgspec.structs.asdict(page), other=other)


def _has_misspelt_names(body: bytes) -> bool:
    try:
        return _KNOWN.has_misspelt(_read_names(covered(body)))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return True


def _read_leniently(body: bytes) -> PageBody | None:
    """Read what recorders send but msgspec refuses: unpaired surrogates, numbers out of range, odd types.

    msgspec refuses a document for one escape of an unpaired surrogate anywhere in it. So these are covered, and
    uncovered only in the few fields that are read.
    """
    try:
        found = _read_raw(covered(body))
        # What looked like an escape but is none was covered as well: uncovered, it is refused here.
        return PageBody(*[_scalar(bytes(getattr(found, name))) for name in _FIELDS])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _scalar(text: bytes) -> Scalar:
    """Return the value of a field; None for a number out of range."""
    if text[:1] in b"[{":
        return COMPOSED
    if text[:1] == b'"':
        return _clean(json.loads(uncovered(text)))
    if len(text) > LONGEST_NUMBER:
        return None
    value: Scalar = json.loads(text)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _clean(value: str) -> Scalar:
    try:
        value.encode()
    except UnicodeEncodeError:
        return COMPOSED if len(value) > LONGEST_CLEANED else without_halves(value)
    return value


def host_of(url: object) -> str:
    """Return the host of a page's URL, in lower case and without a trailing dot; "" if there is none."""
    if not isinstance(url, str):
        return ""
    found = _AUTHORITY.match(url)
    return found[1].lower().removesuffix(".") if found is not None else ""


_ANSWER_NAMES = {"user": "UserUUID", "session": "SessionUUID", "page": "PageUUID", "is_new": "IsNewSession"}


class _Answer(msgspec.Struct, frozen=True, gc=False, rename=_ANSWER_NAMES):
    """What nearly every answer is."""

    session: str = ""
    user: str = ""
    page: str = ""
    is_new: bool | None = None
    reason_code: object = None


class _OddAnswer(msgspec.Struct, frozen=True, gc=False, rename=_ANSWER_NAMES):
    session: object = None
    user: object = None
    page: object = None
    is_new: object = None
    reason_code: object = None


_read_answer, _read_odd_answer = msgspec.json.Decoder(_Answer).decode, msgspec.json.Decoder(_OddAnswer).decode


def read_page_answer(status: int, body: bytes, content_encoding: str = "") -> PageAnswer:
    """Return what the upstream's answer means to the limits; only its status if the rest cannot be read. Never raise.

    ``body`` may be a bounded copy, still compressed.
    """
    if status not in {200, 202}:
        return PageAnswer(status)
    try:
        text = _plain(body, content_encoding) if content_encoding else body[:LONGEST_ANSWER]
        try:
            answer = _read_answer(text)
        except msgspec.ValidationError:
            answer = _usual(_read_odd_answer(text))
    except (msgspec.MsgspecError, ValueError, RecursionError, zlib.error):
        return PageAnswer(status)
    code: Any = answer.reason_code if status == 202 else None
    if type(code) is not int or abs(code) >= 1_000_000:
        code = None
    return PageAnswer(status, answer.session, answer.user, answer.page, answer.is_new, code)


def _usual(answer: _OddAnswer) -> _Answer:
    """Return the values that are of the right type."""
    return _Answer(
        answer.session if isinstance(answer.session, str) else "",
        answer.user if isinstance(answer.user, str) else "",
        answer.page if isinstance(answer.page, str) else "",
        answer.is_new if isinstance(answer.is_new, bool) else None,
        answer.reason_code,
    )


def _plain(body: bytes, content_encoding: str) -> bytes:
    coding = content_encoding.strip().lower()
    if coding in {"", "identity"}:
        return body[:LONGEST_ANSWER]
    if coding not in {"gzip", "x-gzip"}:
        raise ValueError("an encoding that was not asked for")
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, LONGEST_ANSWER)
