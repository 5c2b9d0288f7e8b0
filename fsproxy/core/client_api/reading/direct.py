"""Reads the calls of direct routes: the body is one call, as a page sends it without a recorder (rules.md 3)."""

from __future__ import annotations

from typing import Any

from fsproxy.core.client_api.calls import Breach, Call, broken, too_big, unread
from fsproxy.core.client_api.validation.learned import EVENTS
from fsproxy.core.json.member_names import NO_NAMES, KnownNames
from fsproxy.core.json.strict import Fault, parse_object
from fsproxy.core.model import CallKind
from fsproxy.core.settings import ClientApiSettings

_EVENT_NAMES = KnownNames(("name", "properties", "n", "p"))
_LEARNED_NAMES = {"name", "properties"}
_LONGEST_KEY = 512
"""Bytes before an event's properties, if they come last."""


def recognize_event(body: bytes, settings: ClientApiSettings) -> Call | None:
    """Return the call that a body is, if it is an event that is learned. It takes at most 3 ms."""
    return EVENTS.find(_key_of(body), body, settings) if len(body) <= settings.max_payload else None


def _key_of(body: bytes) -> bytes:
    """Return what precedes an event's properties, if they come last; else nothing."""
    return body[: max(0, body.find(b"{", 1, _LONGEST_KEY))]


def read_event(body: bytes, settings: ClientApiSettings, *, anew: bool = False) -> Call:
    """Read the body of ``/client/event``: ``{"name", "properties"}``, or the same as ``n`` and ``p``.

    Unless ``anew``, an event that is learned is only recognized, and its properties are not read.
    """
    key = _key_of(body)
    known = EVENTS.find(key, body, settings) if not anew and len(body) <= settings.max_payload else None
    if known is not None:
        return known
    root = read_document(CallKind.EVENT, body, settings.max_payload, _EVENT_NAMES)
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
        key=key if key and root.keys() == _LEARNED_NAMES else None,
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
