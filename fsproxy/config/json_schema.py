"""The configuration's JSON Schema, for editors."""

from __future__ import annotations

from typing import Any

from fsproxy.config.models.root import Root


def json_schema() -> dict[str, Any]:
    """A JSON Schema (2020-12) that describes every key. The loader checks more than a schema can say."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Root.model_json_schema(by_alias=True)}
