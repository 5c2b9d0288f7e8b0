"""What is redacted is gone to a plain reader, and all else of a body stays as it was (rules.md 8)."""

from __future__ import annotations

import json
import re
from typing import Any

from fsproxy.core.client_api.redacted_calls import inspect_redacted
from fsproxy.core.client_api.rewriting import rewrite
from fsproxy.core.model import Route
from fsproxy.core.settings import ClientApiSettings
from fuzz import bundles
from fuzz.harness import Target, head_and_rest
from support.redacting import redaction, same

SETTINGS = ClientApiSettings()
SECRET = "secret[0-9]"
RULES = redaction({"mask": f"regex:{SECRET}", "in": ["properties", "urls", "strings"]})
NAMES = (0, 2, 4)
"""Places in ``Args`` of a call that redaction leaves alone."""
NESTED = 3
"""Levels of JSON within strings that are looked into here."""


def check_redaction(data: bytes) -> None:
    """The first byte chooses a bundle or an upload to ``/rec/event``; the rest is its body."""
    variant, body = head_and_rest(data)
    route = (Route.BUNDLE, Route.EVENT)[variant % 2]
    inspection = inspect_redacted(SETTINGS, route, body, None, RULES)
    if inspection.uninspectable is not None:
        return
    left = rewrite(inspection, None)
    if left is None:
        assert not inspection.redacted.changes
        left = body
    assert inspect_redacted(SETTINGS, route, left, None, RULES).redacted.changes is False
    before, after = _read(body), _read(left)
    if before is None:
        return  # what broke it may have gone
    events = next(after[name] for name in after if name.lower() == "evts")
    assert not any(map(_found, map(_without_names, events)))
    if not inspection.redacted.lost:
        assert same(before, after, lambda *_: True)  # a string in a string has escapes of its own


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _without_names(event: Any) -> Any:
    """An event without the names of its event or scope, source and schema, if it is a call."""
    if not isinstance(event, dict):
        return event
    # The vendor's reader takes members whatever their case, and so does fsproxy.
    lower = {name.lower(): value for name, value in event.items()}
    match lower:
        case {"kind": 8193 | 8197, "args": list(args)}:
            return {**lower, "args": [None if place in NAMES else each for place, each in enumerate(args)]}
    return event


def _found(value: Any, level: int = 0) -> bool:
    """Whether the secret is in a string, or in a string of the JSON in it. Names of members and uids stay."""
    if isinstance(value, dict):
        return any(_found(each, level) for name, each in value.items() if name != "uid")
    if isinstance(value, list):
        return any(_found(each, level) for each in value)
    if not isinstance(value, str):
        return False
    inner = _read(value.encode("utf-8", "surrogatepass")) if level < NESTED and value[:1] in "{[" else None
    return _found(inner, level + 1) if isinstance(inner, (dict, list)) else re.search(SECRET, value) is not None


def _hidden(sample: bytes) -> bytes:
    return (
        sample.replace(b'"html"', b'"a secret1 text"').replace(b'["a"]', b'["secret2"]').replace(b'"dom"', b'"secret3"')
    )


REDACTION = Target(
    name="redaction",
    check=check_redaction,
    seeds=tuple(
        bytes((variant,)) + each
        for variant in (0, 1)
        for sample in bundles.SAMPLES
        for each in (sample, _hidden(sample))
    ),
    tokens=(
        b"secret1",
        b"s\\u0065cret1",
        b"\\\\u0073ecret1",
        b"%73ecret1",
        b"https://example.com/?q=secret1",
        b'"{\\"a\\":\\"secret1\\"}"',
        b'"Args":["Bought","{\\"a_str\\":\\"secret1\\"}"]',
        b'{"Kind":8197,"Args":',
        b'{"Kind":2,"Args":["secret1"]}',
        b"\\ud83d",
        b"secret",
    ),
    inputs=300,
)
