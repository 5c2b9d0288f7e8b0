"""The OpenAPI document of the admin port, generated from its table of endpoints and from the types that they name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from fsproxy.admin.state_answers import Error

JSON = "application/json"
"""The media type that everything posted must have. A page of another site cannot send it without a preflight request,
which is not answered, so there is no cross-site request forgery."""
EVENT_STREAM = "text/event-stream"
INVALID = {400: ("What was asked is not valid.", Error)}
SILENT = {503: ("The program is starting, or no worker answers in time.", Error)}
_GUARDED = {
    401: ("The token is missing or wrong.", Error),
    403: ("Off loopback without a configured token, from another site's page, or not with admin.read_token.", Error),
}
_REFERENCE = "#/components/schemas/{name}"
_INFO = {
    "title": "fsproxy admin API",
    "version": "1",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "description": (
        'With workers above 1, an answer is about all workers that answer in time: its "workers" counts them. The past '
        "is kept in memory, and is lost with a process that ends. Without admin.token, only programs and pages on "
        "loopback get an answer, and no page of another site."
    ),
}
_IN_PATH = {"name": "name", "in": "path", "required": True, "description": "Which one."}
_TOKEN = {"type": "http", "scheme": "bearer", "description": "admin.token of the configuration, or admin.read_token."}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. The handler's docstring is its summary and its description in the document."""

    method: str
    path: str
    handler: Callable[..., Any]
    answer: Any = None
    """The type of the answer with status 200."""
    content: str = JSON
    """The media type of that answer."""
    query: type[msgspec.Struct] | None = None
    """Its fields are the parameters."""
    body: Any = None
    """The type of the JSON that is posted."""
    others: Mapping[int, tuple[str, Any]] = field(default_factory=dict)
    """Description and type of the answers with another status, beside those of the guard."""
    is_open: bool = False
    """It needs no token."""
    names: Sequence[str] = ()
    """What may stand for ``{name}`` in the path."""


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document as JSON's own types."""
    types: dict[Any, None] = {Error: None}
    for each in endpoints:
        every = (each.answer, each.query, each.body, *(kind for _, kind in each.others.values()))
        types |= dict.fromkeys(kind for kind in every if kind is not None)
    found, schemas = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    schema_of = dict(zip(types, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        parameters = schemas.pop(each.query.__name__)["properties"] if each.query is not None else {}
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schema_of, parameters)
    components = {"securitySchemes": {"token": _TOKEN}, "schemas": schemas}
    return {"openapi": "3.1.0", "info": _INFO, "security": [{"token": []}], "paths": paths, "components": components}


def _operation(endpoint: Endpoint, schema_of: Mapping[Any, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    def response(text: str, kind: Any, content: str = JSON) -> dict[str, Any]:
        schema = {"schema": schema_of[kind]} if kind is not None else {}
        return {"description": text, "content": {content: schema}}

    summary, _, description = inspect.cleandoc(endpoint.handler.__doc__ or "").partition("\n\n")
    operation: dict[str, Any] = {"summary": summary.removesuffix(".")}
    if description:
        operation["description"] = " ".join(description.split())
    if endpoint.is_open:
        operation["security"] = []
    if parameters:
        operation["parameters"] = [
            {"name": name, "in": "query", "description": schema.pop("description"), "schema": schema}
            for name, schema in parameters.items()
        ]
    if endpoint.names:
        operation["parameters"] = [_IN_PATH | {"schema": {"type": "string", "enum": list(endpoint.names)}}]
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema_of[endpoint.body]}}}
    text = inspect.getdoc(endpoint.answer) if isinstance(endpoint.answer, type) else None
    responses = {200: response((text or summary).partition("\n")[0], endpoint.answer, endpoint.content)}
    others = {**endpoint.others, **({} if endpoint.is_open else _GUARDED)}
    responses |= {status: response(*each) for status, each in sorted(others.items())}
    operation["responses"] = {str(status): each for status, each in responses.items()}
    return operation
