"""What a page request and its answer say, read leniently: a recorder's oddities must not cost a page (wire.md 1)."""

from __future__ import annotations

import json
import math
import re
import zlib
from typing import Any, Never

import msgspec

from fsproxy.core.pipeline import PageAnswer

LONGEST_ANSWER = 256 * 1024
"""Bytes of an upstream's decompressed page answer that are looked at; real ones are under 10 KB."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_AUTHORITY = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:[/\\]{2}(?:[^/?#\\]*@)?(\[[^\]/?#]*\]|[^:/?#\\]*)")


class PageBody(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """The fields of a page request that are judged; anything may stand in them, None where it is not there."""

    org_id: object = None
    user_id: object = None
    session_id: object = None
    page_id: object = None
    url: object = None
    compiled_timestamp: object = None
    compiled_version: object = None
    snippet_version: object = None
    app_id: object = None


EMPTY_PAGE = PageBody()
"""Stands for a body that cannot be read."""

_FIELDS = tuple(zip(PageBody.__struct_fields__, PageBody.__struct_encode_fields__, strict=True))
_read = msgspec.json.Decoder(PageBody).decode


def read_page(body: bytes) -> PageBody | None:
    """A page request's fields; None when the body is not a JSON object in UTF-8, or nested too deep to read.

    Duplicate names are tolerated (the last counts), NaN and Infinity are not JSON.
    """
    try:
        # msgspec does not look at the bytes of strings that it skips.
        text = body.decode()
        return _read(body)
    except UnicodeDecodeError:
        return None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _read_slowly(text)


def _read_slowly(text: str) -> PageBody | None:
    """For what msgspec refuses and recorders send: lone surrogates, numbers out of range."""
    try:
        document = json.loads(text, parse_constant=_not_json, parse_int=_whole, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return PageBody(**{name: _clean(document.get(encoded)) for name, encoded in _FIELDS})


def _not_json(_: str) -> Never:
    raise ValueError("a constant that is not JSON")


def _whole(digits: str) -> int | None:
    # Python refuses to convert more than 4,300 digits; 64 bits have 20.
    return int(digits) if len(digits) <= 40 else None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _clean(value: object) -> object:
    return _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value


def host_of(url: object) -> str:
    """The host of a page's URL, lower case and without a trailing dot; "" when there is none."""
    if not isinstance(url, str):
        return ""
    found = _AUTHORITY.match(url)
    return found[1].lower().removesuffix(".") if found is not None else ""


class _Answer(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={"user": "UserUUID", "session": "SessionUUID", "page": "PageUUID", "is_new": "IsNewSession"},
):
    user: object = None
    session: object = None
    page: object = None
    is_new: object = None
    reason_code: object = None


_read_answer = msgspec.json.Decoder(_Answer).decode


def read_page_answer(status: int, body: bytes, content_encoding: str = "") -> PageAnswer:
    """What the upstream's answer means to the limits; only its status when the rest cannot be read.

    ``body`` may be a bounded copy. Never raises.
    """
    if status not in {200, 202}:
        return PageAnswer(status)
    try:
        answer = _read_answer(_plain(body, content_encoding))
    except (msgspec.MsgspecError, ValueError, RecursionError, zlib.error):
        return PageAnswer(status)
    code: Any = answer.reason_code
    return PageAnswer(
        status,
        session=answer.session if isinstance(answer.session, str) else "",
        user=answer.user if isinstance(answer.user, str) else "",
        page=answer.page if isinstance(answer.page, str) else "",
        is_new=answer.is_new if isinstance(answer.is_new, bool) else None,
        reason_code=code if status == 202 and type(code) is int and abs(code) < 1_000_000 else None,
    )


def _plain(body: bytes, content_encoding: str) -> bytes:
    coding = content_encoding.strip().lower()
    if coding in {"", "identity"}:
        return body[:LONGEST_ANSWER]
    if coding not in {"gzip", "x-gzip"}:
        raise ValueError("an encoding that was not asked for")
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, LONGEST_ANSWER)
