"""The configuration's JSON Schema, for editors."""

from __future__ import annotations

from typing import Any

from fsproxy.config.key_tree import ROOT, Fields, Group, keys_of
from fsproxy.core.keys import STRING, FileOf, JsonSchema, Leaf, ListOf, MapOf, Reader, SectionOf

_REFERENCE: JsonSchema = {"type": "string", "pattern": r"\$\{"}
"""A reference to the environment, which may replace any scalar."""
_NULL: JsonSchema = {"type": "null"}
_Defs = dict[str, JsonSchema]


def json_schema(root: Group = ROOT) -> dict[str, Any]:
    """Return a JSON Schema (2020-12) that describes every key, of another file too if ``root`` has its keys.

    The loader checks more than a schema can say.
    """
    defs: _Defs = {}
    whole = _object(root, defs)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": dict(sorted(defs.items())), **whole}


def _object(group: Group, defs: _Defs) -> JsonSchema:
    required = [name for name, found in group.members.items() if not isinstance(found, Group) and _is_needed(found)]
    return {
        "type": "object",
        "description": group.description,
        "properties": {
            name: _object(found, defs) if isinstance(found, Group) else _property(found, defs)
            for name, found in group.members.items()
        },
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _is_needed(found: Fields) -> bool:
    return found[0][1].default is ...


def _property(found: Fields, defs: _Defs) -> JsonSchema:
    _, key = found[-1]
    schema = {**_value(key.reader, defs), "description": key.description}
    written_out = key.default is ... or (isinstance(key.reader, SectionOf) and key.default == {})
    return schema if written_out else {**schema, "default": key.default}


def _value(reader: Reader[Any], defs: _Defs) -> JsonSchema:
    if isinstance(reader, Leaf):
        forms = [reader.schema] if reader.schema == STRING else [reader.schema, _REFERENCE]
        forms += [_NULL] if reader.nullable else []
        return {"anyOf": forms} if len(forms) > 1 else reader.schema
    if isinstance(reader, ListOf):
        whole: JsonSchema = {"type": "array", "items": reader.schema}
        if reader.lone:
            return {"anyOf": [reader.schema, {**whole, "minItems": 1}]}
        return whole if reader.word is None else {"anyOf": [{"const": reader.word}, whole]}
    if isinstance(reader, MapOf):
        mapping: JsonSchema = {"type": "object", "additionalProperties": _value(reader.value, defs)}
        return {"anyOf": [mapping, _NULL]} if reader.nullable else mapping
    if isinstance(reader, FileOf):
        return {"type": ["string", "null"]}
    name = reader.kind.__name__.lstrip("_")
    if name not in defs:
        defs[name] = _object(keys_of(reader.kind), defs)
    section = {"$ref": f"#/$defs/{name}"}
    if reader.many:
        return {"type": "array", "items": section}
    return {"anyOf": [section, _NULL]} if reader.nullable else section
