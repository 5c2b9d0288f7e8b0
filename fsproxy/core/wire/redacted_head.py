"""Redacts the values of request headers (rules.md 8). What says how a message is made or handled stays."""

from __future__ import annotations

from fsproxy.core.redact.redaction import HEADERS, Found, Indexes, Redaction
from fsproxy.core.wire.header_names import FORWARDING, HOP_BY_HOP, REPLACED

_KEPT = (
    FORWARDING
    | HOP_BY_HOP
    | REPLACED
    | {b"host", b"origin", b"authorization", b"traceparent", b"tracestate", b"b3", b"cdn-loop", b"via", b"expect"}
    | {b"range", b"date", b"dnt", b"cache-control", b"pragma", b"priority", b"max-forwards"}
)
_KEPT_BEGINNINGS = (b"accept", b"access-control-", b"content-", b"if-", b"proxy-", b"sec-", b"x-b3-")
_COOKIE, _OF_RECORDERS = b"cookie", b"fs_uid="
"""The recorder's cookie holds ids alone."""


def redacted_head(rules: Redaction, head: bytes, found: Found) -> bytes:
    """Return a whole request head with the values of its headers redacted."""
    indexes = rules.of[HEADERS]
    if not rules.may_hold(head, indexes):
        return head
    start, *lines = head.split(b"\r\n")
    return b"\r\n".join((start, *(_redacted(rules, line, indexes, found) for line in lines)))


def _redacted(rules: Redaction, line: bytes, indexes: Indexes, found: Found) -> bytes:
    name, colon, value = line.partition(b": ")
    lower = name.lower()
    if not colon or lower in _KEPT or lower.startswith(_KEPT_BEGINNINGS):
        return line
    parts = value.split(b"; ") if lower == _COOKIE else (value,)
    kept = [each if each.startswith(_OF_RECORDERS) else _value(rules, each, indexes, found) for each in parts]
    return name + colon + b"; ".join(kept)


def _value(rules: Redaction, value: bytes, indexes: Indexes, found: Found) -> bytes:
    text = value.decode("utf-8", "surrogateescape")
    return rules.redacted(text, indexes, found).encode("utf-8", "surrogateescape")
