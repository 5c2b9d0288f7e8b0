"""What recorders have really sent, redacted: it keeps its structure, its names, its ids and its lengths."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fsproxy.core.model import Route
from fsproxy.core.redact.documents import redact_page
from fsproxy.core.redact.json_strings import Redactor
from support.redacting import body_of, redaction, same

FIXTURES = Path(__file__).parents[2] / "fixtures"
EVERYWHERE = ["properties", "urls", "strings"]
NONE = redaction({"mask": "email", "in": EVERYWHERE}, {"mask": "regex:no recorder sends this", "in": EVERYWHERE})
WORDS = redaction({"mask": r"regex:\pL{3,}", "in": EVERYWHERE})
"""Finds something in nearly every string."""
IDS = ("OrgId", "UserId", "SessionId", "PageId", "CompiledVersion", "SnippetVersion", "TabId", "SessionKeyHash")


def recorded(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FIXTURES / f"{name}.json").read_text("utf-8"))
    return found


def bodies() -> list[bytes]:
    """All bundles and events, those in the frames of sockets too."""
    found = []
    for each in recorded("uploads"):
        raw = each["body"].encode() if "body" in each else base64.b64decode(each["bodyBase64"])
        found.append(gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw)
    for each in recorded("sockets"):
        for frame in each["frames"]:
            message = json.loads(frame)
            if "Bundle" in message:
                found.append(json.dumps(message["Bundle"]["Bundle"], separators=(",", ":")).encode())
    return [each for each in found if b'"Evts"' in each]


BODIES = bodies()
PAGES = [each["body"].encode() for each in recorded("pages")]


def test_there_are_recordings_of_all_generations() -> None:
    assert len(BODIES) > 15
    assert len(PAGES) > 3


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_recorded_bundle_survives(body: bytes) -> None:
    assert body_of(NONE, Route.BUNDLE, body) == (body, {})
    left, found = body_of(WORDS, Route.BUNDLE, body)
    old, new = json.loads(body), json.loads(left)
    assert list(old) == list(new)
    for before, after in zip(old["Evts"], new["Evts"], strict=True):
        if before["Kind"] in (8193, 8197):
            (name, properties, *rest), (left_name, left_properties, *left_rest) = before["Args"], after["Args"]
            assert [left_name, *left_rest] == [name, *rest]
            assert same(json.loads(properties), json.loads(left_properties))
            continue
        assert same(before, after)
    assert body_of(WORDS, Route.BUNDLE, left)[0] == left
    assert bool(found) == (left != body)


@pytest.mark.parametrize("body", PAGES, ids=range(len(PAGES)))
def test_a_recorded_page_survives(body: bytes) -> None:
    assert redact_page(Redactor(NONE), body) == body
    old, new = json.loads(body), json.loads(redact_page(Redactor(WORDS), body))
    assert same(old, new)
    assert [old.get(name) for name in IDS] == [new.get(name) for name in IDS]
    assert old["Url"] != new["Url"]
