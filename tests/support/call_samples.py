"""Bundles and bodies of the shapes that recorders of both generations send."""

from __future__ import annotations

import json
from typing import Any

OPAQUE = [
    '{"Kind":25,"Args":["http://localhost/","<!DOCTYPE html>"],"When":13}',
    '{"Kind":2,"Args":[-1,-1,["<#document","[",":name","html","\\"}]{[",1.50,1E3]],"When":85}',
    '{ "Kind" : 57 , "Args" : [ ] , "When" : 92 }',
    '{"Kind":45,"Args":["cut \\ud83d emoji","819"],"When":93}',
    "[]",
    '"8197"',
    "8197",
    '{"Kind":58,"Args":[8197,8193,{"Kind":8197}],"When":94}',
]
API = '{"Kind":98,"Args":["api","event","dom",null,false],"When":1}'
SET_VARS = '{"Kind":98,"Args":["api","setVars","dom",null,false],"When":1}'


def compact(value: Any) -> str:
    """Write JSON as ``JSON.stringify`` does."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def event(kind: int, args: Any, when: Any = 5) -> str:
    return compact({"Kind": kind, "Args": args, "When": when})


def first(name: str, properties: Any, kind: int = 8197, when: Any = 5) -> str:
    """Make a call of the first generation: suffixes in the names."""
    return event(kind, [name, compact(properties)], when)


def second(name: str, properties: Any, schema: Any = None, kind: int = 8197, version: int = 1, when: Any = 5) -> str:
    """Make a call of the second generation: types in the schema."""
    return event(kind, [name, compact(properties), None, version, compact(schema or {})], when)


def user(properties: Any, when: Any = 5) -> str:
    return first("user", properties, 8193, when)


def bundle(*events: str, seq: int = 1) -> bytes:
    return f'{{"Seq":{seq},"When":1,"Evts":[{",".join(events)}]}}'.encode()
