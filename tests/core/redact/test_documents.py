"""What of a page and of each single call is never touched, and what is, whatever place a rule names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fsproxy.core.client_api.reading.server_api import ServerCall
from fsproxy.core.model import Route
from fsproxy.core.redact.documents import redact_call, redact_page
from fsproxy.core.redact.json_strings import Redactor
from fsproxy.core.redact.redaction import UnreadableError
from support.redacting import ANN, EVERYWHERE, HASHED, MASKED

SCHEMA = {"properties": {"a": ANN}}

CALLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (Route.DIRECT_EVENT, {"name": ANN, "n": ANN}, {"properties": {"a": ANN}, "p": {"a": ANN}, "other": ANN}),
    (Route.DIRECT_IDENTIFY, {}, {"uid": HASHED, "email": ANN, "other": [ANN]}),
    (Route.DIRECT_SET_USER_VARS, {}, {"uid": HASHED, "email": ANN, "other": [ANN]}),
    (ServerCall.CUSTOM_VARS, {}, {"uid": HASHED, "a_str": ANN}),
    (ServerCall.EVENT, {"name": ANN, "timestamp": ANN, "schema": SCHEMA}, {"properties": {"a": ANN}, "context": ANN}),
    (ServerCall.EVENT_BATCH, {"name": ANN, "timestamp": ANN, "schema": SCHEMA}, {"properties": [ANN], "user": ANN}),
    (
        ServerCall.USER,
        {"id": ANN, "schema": SCHEMA},
        {"uid": HASHED, "display_name": ANN, "email": ANN, "properties": {"a": ANN}, "other": ANN},
    ),
    (ServerCall.USER_BATCH, {"id": ANN, "schema": SCHEMA}, {"uid": HASHED, "display_name": ANN, "other": ANN}),
]


def sent(left: object) -> bytes:
    return json.dumps(left).replace(HASHED, ANN).encode()


def without_ann(redacted: object) -> bytes:
    return json.dumps(redacted).replace(ANN, MASKED).encode()


@pytest.mark.parametrize(("form", "kept", "redacted"), CALLS)
def test_of_a_call_its_names_and_ids_are_kept_and_all_else_is_redacted(
    form: str, kept: dict[str, Any], redacted: dict[str, Any]
) -> None:
    body = sent({**kept, **redacted})
    expected = json.loads(without_ann(redacted))
    assert redact_call(form, Redactor(EVERYWHERE), body) == json.dumps({**kept, **expected}).encode()


@pytest.mark.parametrize(
    ("form", "name", "kept", "redacted"),
    [
        (
            ServerCall.CUSTOM_EVENT,
            "event",
            {"event_name": ANN, "timestamp": ANN, "session_url": ANN},
            {"event_data": {"a": ANN}, "other": ANN},
        ),
        (ServerCall.EVENT, "user", {"id": ANN}, {"uid": HASHED, "other": ANN}),
        (ServerCall.EVENT, "session", {"id": ANN}, {"use_most_recent": ANN}),
        (ServerCall.EVENT_BATCH, "user", {"id": ANN}, {"uid": HASHED, "other": ANN}),
    ],
)
def test_so_it_is_inside_of_the_objects_of_a_call(
    form: str, name: str, kept: dict[str, Any], redacted: dict[str, Any]
) -> None:
    expected = {name: {**kept, **json.loads(without_ann(redacted))}}
    assert redact_call(form, Redactor(EVERYWHERE), sent({name: {**kept, **redacted}})) == json.dumps(expected).encode()
    assert redact_call(form, Redactor(EVERYWHERE), sent({name: [ANN]})) == without_ann({name: [ANN]}), "not the object"


KEPT = "OrgId UserId SessionId PageId TabId SessionKeyHash PageKeyHash CompiledVersion CompiledTimestamp SnippetVersion"


@pytest.mark.parametrize("name", [*KEPT.split(), "Doctype", "orgid"])
def test_the_ids_and_versions_of_a_page_are_kept(name: str) -> None:
    body = sent({name: ANN})
    assert redact_page(Redactor(EVERYWHERE), body) == body


@pytest.mark.parametrize("name", ["Url", "Base", "Referrer", "Title", "url"])
def test_the_addresses_and_other_texts_of_a_page_are_redacted(name: str) -> None:
    assert redact_page(Redactor(EVERYWHERE), sent({name: ANN})) == without_ann({name: ANN})
    assert redact_page(Redactor(EVERYWHERE), sent({"AppId": ANN})) == json.dumps({"AppId": HASHED}).encode()


@pytest.mark.parametrize("body", [b"", b"[]", b'"a"', b"{", b"{}{}", b"{} x", b'{"a":1,}', b"null"])
def test_what_is_no_object_and_nothing_else_cannot_be_read(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        redact_page(Redactor(EVERYWHERE), body)
    with pytest.raises(UnreadableError):
        redact_call(Route.DIRECT_EVENT, Redactor(EVERYWHERE), body)
