"""The same call in every form it can ride in: how it is sent, and what of it arrived."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from integration.calls.rig import Exchange, Rig, bundle_of, calls_of, events_of, first, fresh, second

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one call. ``left`` are its dotted names with their types; None: the call did not arrive."""

    exchange: Exchange
    left: list[str] | None


Send = Callable[[Rig, str, Properties], Awaitable[Outcome]]


def suffixed(properties: Properties, path: str = "") -> list[str]:
    """Dotted names of the leaves, as the first generation writes them."""
    found = []
    for key, value in properties.items():
        if isinstance(value, dict):
            found += suffixed(value, f"{path}{key}.")
        else:
            found.append(path + key)
    return found


def split(properties: Properties) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same for the second generation: without suffixes, and the schema that holds them."""
    plain: dict[str, Any] = {}
    schema: dict[str, Any] = {}
    for key, value in properties.items():
        name, underscore, kind = key.rpartition("_")
        if isinstance(value, dict):
            plain[key], schema[key] = split(value)
        elif not underscore:
            plain[key] = value
        else:
            plain[name], schema[name] = value, kind
    return plain, schema


def joined(plain: Properties, schema: Any, path: str = "") -> list[str]:
    """The inverse, for what arrived; what has no entry is set without a type."""
    found = []
    for key, value in plain.items():
        entry = schema.get(key) if isinstance(schema, dict) else None
        if isinstance(value, dict):
            found += joined(value, entry, f"{path}{key}.")
        else:
            found.append(f"{path}{key}_{entry}" if isinstance(entry, str) else path + key)
    assert not isinstance(schema, dict) or set(schema) <= set(plain), "an entry is left of a property that is gone"
    return found


def _left_in_bundle(sent: bytes) -> list[str] | None:
    calls = calls_of(sent)
    if not calls:
        kinds = [each["Kind"] for each in events_of(sent)]
        assert 98 not in kinds, "a companion is left of a call that is gone"
        return None
    (call,) = calls
    args = call["Args"]
    return suffixed(json.loads(args[1])) if len(args) < 5 else joined(json.loads(args[1]), json.loads(args[4]))


def in_bundle(generation: int, path: str = "/rec/bundle/v2", zipped: str = "") -> Send:
    """``generation`` 1, 2 (apiVersion 1) or 3 (apiVersion 2)."""

    async def send(rig: Rig, name: str, properties: Properties) -> Outcome:
        call = first(name, properties) if generation == 1 else second(name, *split(properties), generation - 1)
        got = await rig.upload(bundle_of(call), path=path, zipped=zipped)
        if path == "/rec/event" and got.forwarded is None:
            return Outcome(got, None)
        return Outcome(got, _left_in_bundle(got.sent))

    return send


def directly(*, short: bool = False) -> Send:
    async def send(rig: Rig, name: str, properties: Properties) -> Outcome:
        body = {"n": name, "p": properties} if short else {"name": name, "properties": properties}
        got = await rig.direct("event", body)
        return Outcome(
            got, None if got.forwarded is None else suffixed(json.loads(got.sent)["p" if short else "properties"])
        )

    return send


async def custom_event(rig: Rig, name: str, properties: Properties) -> Outcome:
    got = await rig.server(
        "/users/v1/individual/u1/customevent", {"event": {"event_name": name, "event_data": properties}}
    )
    return Outcome(got, None if got.forwarded is None else suffixed(json.loads(got.sent)["event"]["event_data"]))


def _v2(name: str, properties: Properties) -> dict[str, Any]:
    plain, schema = split(properties)
    return {"name": name, "user": {"uid": "u1"}, "properties": plain, "schema": {"properties": schema}}


def _left_in_v2(item: Any) -> list[str]:
    return joined(item["properties"], item["schema"]["properties"])


async def v2_event(rig: Rig, name: str, properties: Properties) -> Outcome:
    got = await rig.server("/v2/events", _v2(name, properties))
    return Outcome(got, None if got.forwarded is None else _left_in_v2(json.loads(got.sent)))


async def v2_batch(rig: Rig, name: str, properties: Properties) -> Outcome:
    """Among two valid ones, so that something always arrives."""
    other = {"name": fresh("e"), "properties": {}}
    got = await rig.server("/v2/events/batch", {"requests": [other, _v2(name, properties), other]})
    items = json.loads(got.sent)["requests"]
    assert items[0] == items[-1] == other
    return Outcome(got, _left_in_v2(items[1]) if len(items) == 3 else None)


EVENTS: dict[str, Send] = {
    "bundle 1": in_bundle(1),
    "bundle 1, gzip by query": in_bundle(1, zipped="query"),
    "bundle 2, v1 path, gzip by header": in_bundle(2, path="/rec/bundle", zipped="header"),
    "bundle 2": in_bundle(2),
    "bundle 2, apiVersion 2": in_bundle(3),
    "rec/event 1": in_bundle(1, path="/rec/event"),
    "rec/event 2, gzip by query": in_bundle(2, path="/rec/event", zipped="query"),
    "direct": directly(),
    "direct, short": directly(short=True),
    "customevent": custom_event,
    "v2/events": v2_event,
    "v2/events/batch": v2_batch,
}


async def set_user_vars(rig: Rig, name: str, properties: Properties) -> Outcome:
    got = await rig.direct("setUserVars", properties)
    return Outcome(got, None if got.forwarded is None else suffixed(json.loads(got.sent)))


async def identify(rig: Rig, name: str, properties: Properties) -> Outcome:
    got = await rig.direct("identify", {"uid": "u1", **properties})
    return Outcome(got, None if got.forwarded is None else [n for n in suffixed(json.loads(got.sent)) if n != "uid"])


async def custom_vars(rig: Rig, name: str, properties: Properties) -> Outcome:
    got = await rig.server("/users/v1/individual/u1/customvars", properties)
    return Outcome(got, None if got.forwarded is None else suffixed(json.loads(got.sent)))


USERS: dict[str, Send] = {
    "bundle 1": in_bundle(1),
    "bundle 2, gzip by query": in_bundle(2, zipped="query"),
    "bundle 2, apiVersion 2": in_bundle(3),
    "rec/event 2": in_bundle(2, path="/rec/event"),
    "identify": identify,
    "setUserVars": set_user_vars,
    "customvars": custom_vars,
}


def bundled(carrier: str) -> bool:
    return carrier.startswith(("bundle", "rec"))
