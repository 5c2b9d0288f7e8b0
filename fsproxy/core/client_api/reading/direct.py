"""Reads the calls of direct routes: the body is one call, as a page sends it without a recorder (rules.md 3)."""

from __future__ import annotations

from typing import Any

from fsproxy.core.client_api.calls import Breach, Call, broken, too_big, unread
from fsproxy.core.json.member_names import NO_NAMES, KnownNames
from fsproxy.core.json.strict import Fault, parse_object
from fsproxy.core.model import CallKind

_EVENT_NAMES = KnownNames(("name", "properties", "n", "p"))


def read_event(body: bytes, limit: int) -> Call:
    """Read the body of ``/client/event``: ``{"name", "properties"}``, or the same as ``n`` and ``p``."""
    root = read_document(CallKind.EVENT, body, limit, _EVENT_NAMES)
    if isinstance(root, Call):
        return root
    name = "name" if "name" in root else "n"
    holder = "properties" if "properties" in root else "p"
    properties, breaches = object_in(root, holder)
    return Call(
        kind=CallKind.EVENT,
        name=root.get(name),
        properties=properties,
        breaches=breaches,
        at=(holder,),
        size=len(body),
    )


def read_identify(body: bytes, limit: int) -> Call:
    """Read the body of ``/client/identify``: ``{"uid", ...vars}``."""
    return _flat(CallKind.IDENTIFY, body, limit)


def read_user_vars(body: bytes, limit: int) -> Call:
    """Read the body of ``/client/setUserVars`` and of the server's ``customvars``: ``{...vars}``."""
    return _flat(CallKind.SET_USER_VARS, body, limit)


def _flat(kind: CallKind, body: bytes, limit: int) -> Call:
    root = read_document(kind, body, limit)
    return root if isinstance(root, Call) else Call(kind=kind, properties=root, size=len(body))


def read_document(kind: CallKind, body: bytes, limit: int, names: KnownNames = NO_NAMES) -> dict[str, Any] | Call:
    """Return the root of a body that is one call; or, if it cannot be read, a call with its breach.

    ``limit`` is in bytes. ``names`` are the members that are read of the root: with one of them in other letters
    the body is broken, because only some readers would find it.
    """
    if len(body) > limit:
        return unread(kind, too_big(limit))
    root = parse_object(body)
    if isinstance(root, Fault):
        return unread(kind, broken(root))
    return unread(kind, broken(Fault.MISSPELT)) if names.has_misspelt(root) else root


def object_in(holder: dict[str, Any], key: str) -> tuple[dict[str, Any], tuple[Breach, ...]]:
    """Return a member that must be an object or absent, and the breach if it is anything else."""
    found = holder.get(key, {})
    return (found, ()) if type(found) is dict else ({}, (broken(f"{key} is not an object"),))
