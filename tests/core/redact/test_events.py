"""Which places of an event a rule looks at, and which it never does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fsproxy.core.redact.events import redact_event
from fsproxy.core.redact.json_strings import Redactor
from fsproxy.core.redact.redaction import UnreadableError
from support.redacting import ANN, EVERYWHERE, HASHED, MASKED


def left(event: Any) -> Any:
    return json.loads(redact_event(Redactor(EVERYWHERE), json.dumps(event).encode()))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (  # the name, the properties, the source, the version and the schema, and what may come in future
            {"Kind": 8197, "Args": [ANN, f'{{"a": "{ANN}"}}', ANN, ANN, ANN, ANN, [ANN]]},
            {"Kind": 8197, "Args": [ANN, f'{{"a": "{MASKED}"}}', ANN, MASKED, ANN, MASKED, [MASKED]]},
        ),
        ({"args": [ANN, "{}"], "ARGS": [ANN]}, {"args": [ANN, "{}"], "ARGS": [ANN]}),
        ({"Args": ANN, "Other": [ANN, ANN]}, {"Args": MASKED, "Other": [MASKED, MASKED]}),
        ({"Args": {"a": ANN}, "When": ANN}, {"Args": {"a": MASKED}, "When": MASKED}),
        ({"Args": ["A", {"a": ANN}]}, {"Args": ["A", {"a": MASKED}]}),
        ({"Args": ["user", f'{{"uid": "{ANN}"}}']}, {"Args": ["user", f'{{"uid": "{HASHED}"}}']}),
        ({"Args": ["user", f'["{ANN}"]']}, {"Args": ["user", f'["{MASKED}"]']}),
        ({"Args": ["event", f'{{"uid": "{ANN}"}}']}, {"Args": ["event", f'{{"uid": "{MASKED}"}}']}),
        (
            {"Args": ["user", f'{{"uid": "{ANN}"}}', "fs", 1, '{"uid":"str"}']},
            {"Args": ["user", f'{{"uid": "{MASKED}"}}', "fs", 1, '{"uid":"str"}']},
        ),
        (
            {"Args": ["user", f'{{"uid": "{ANN}"}}', "fs", 2, '{"uid":"str"}']},
            {"Args": ["user", f'{{"uid": "{HASHED}"}}', "fs", 2, '{"uid":"str"}']},
        ),
        (
            {"Args": ["user", f'{{"uid": "{ANN}"}}', "fs", 1, '{"id":"str"}']},
            {"Args": ["user", f'{{"uid": "{HASHED}"}}', "fs", 1, '{"id":"str"}']},
        ),
    ],
)
def test_names_sources_and_schemas_are_kept_and_all_else_is_redacted(event: Any, expected: Any) -> None:
    assert left(event) == expected


@pytest.mark.parametrize("event", [b"[]", b"{", b'{"Args":[}', b'{"Args":["A","{"]}', b'{"Args":["A","no JSON"]}'])
def test_an_event_whose_properties_cannot_be_read_is_refused(event: bytes) -> None:
    with pytest.raises(UnreadableError):
        redact_event(Redactor(EVERYWHERE), event)
