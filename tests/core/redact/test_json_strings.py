"""Which strings of a text are redacted, and where it is said that something was found."""

from __future__ import annotations

import json

import pytest

from fsproxy.core.model import Route
from fsproxy.core.redact.documents import redact_call
from fsproxy.core.redact.events import redact_event
from fsproxy.core.redact.json_strings import Redactor, object_at
from fsproxy.core.redact.redaction import Match, UnreadableError
from support.redacting import redaction

ANN = "ann@example.com"
MASKED = "*" * len(ANN)


@pytest.mark.parametrize(
    ("text", "is_url"),
    [
        ("https://x.example/ann@example.com", True),
        ("\n HTTP+x.y-z://ann@example.com", True),
        ("//x.example/ann@example.com", True),
        ("/ann@example.com", True),
        ("?to=ann@example.com", True),
        ("#ann@example.com", True),
        ("./ann@example.com", True),
        ("../ann@example.com", True),
        ("www.x.example/ann@example.com", True),
        ("wwwx.example/ ann@example.com", False),
        (".../ ann@example.com", False),
        ("1a://ann@example.com", False),
        ("to: /ann@example.com", False),
        ("ann@example.com", False),
    ],
)
def test_a_property_that_begins_as_a_url_does_is_one(text: str, *, is_url: bool) -> None:
    redactor = Redactor(redaction({"mask": "email", "in": ["urls"]}))
    body = json.dumps({"p": {ANN: text}})
    expected = body.replace(json.dumps(text)[1:-1], json.dumps(text)[1:-1].replace(ANN, MASKED))
    assert redact_call(Route.DIRECT_EVENT, redactor, body.encode()).decode() == (expected if is_url else body)


def test_a_name_is_told_from_a_value_by_the_colon_behind_it() -> None:
    redactor = Redactor(redaction({"mask": "email", "in": ["strings"]}))
    body = f'{{"{ANN}" \t:"{ANN}","b":["{ANN}" , "{ANN}" ]}}'
    expected = f'{{"{ANN}" \t:"{MASKED}","b":["{MASKED}" , "{MASKED}" ]}}'
    assert redactor.document(body.encode(), {}, redactor.rest) == expected.encode()


def test_each_string_with_a_match_is_noted_with_its_place_and_that_in_its_own_json() -> None:
    noted: list[tuple[int, int | None, list[Match]]] = []
    redactor = Redactor(redaction({"mask": "email", "in": ["properties", "strings"]}), lambda *each: noted.append(each))
    event = json.dumps({"Args": ["A", json.dumps({"a": ANN}), "", 1, "", ANN]}).encode()
    redactor.at = 100
    redact_event(redactor, event)
    outer, inner = event.index(b'"{'), json.dumps({"a": ANN}).index(f'"{ANN}')
    assert noted == [
        (100 + outer, inner, [Match(0, len(ANN), 0, ANN)]),
        (100 + event.rindex(b'"ann'), None, [Match(0, len(ANN), 0, ANN)]),
    ]
    assert dict(redactor.found) == {0: 2}


@pytest.mark.parametrize("data", [b"", b"[]", b'"a"', b"{", b'{"a"}'])
def test_where_there_is_no_object_none_can_be_read(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        object_at(data, 0)
