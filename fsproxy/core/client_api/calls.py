"""The one form of every client API call, whatever wire form it came in (rules.md 2)."""

from __future__ import annotations

import sys
from enum import Enum, unique
from typing import Any

import msgspec

from fsproxy.core.json.member_names import NO_NAMES, KnownNames
from fsproxy.core.json.strict import Fault, parse_object
from fsproxy.core.model import CallKind
from fsproxy.core.reasons import RejectionCode

Steps = tuple[str | int, ...]
"""Where a member stands in a document: names of objects, positions in lists, from its root."""

NOWHERE: Steps = ()
UID = "uid"
MAX_LEAVES = 5_000
"""Properties of one call that are judged; an org can hold no more names (rules.md 2)."""
ORDER_COMPLETED = "Order Completed"
"""The one event whose properties may hold lists of objects (rules.md 2)."""


@unique
class Typing(Enum):
    """Where the type of a property stands."""

    SUFFIX = "what follows the last _ of its name"
    SCHEMA = "the schema, and only there"
    INFERRED = "the schema, else the value"


class Breach(msgspec.Struct, frozen=True, gc=False):
    """A rule that a call as a whole breaks: the code, and the rejection's detail."""

    code: RejectionCode
    detail: str


class Call(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One client API call, read but not judged."""

    kind: CallKind
    name: object = None
    """An event's name as it came, of any type; None for the other kinds."""
    typing: Typing = Typing.SUFFIX
    properties: dict[str, Any] = {}
    """The properties, nested as they came; empty when they could not be read."""
    schema: dict[str, Any] = {}
    breaches: tuple[Breach, ...] = ()
    """What was found wrong with the call while it was read."""
    read: bool = True
    """False: so wrong that nothing else is known of it, not even whether it had a name."""
    at: Steps = NOWHERE
    """Where in its document the properties stand; NOWHERE: they are the document."""
    schema_at: Steps = NOWHERE
    envelope: tuple[tuple[str, str], ...] = ()
    """Reserved properties beside the properties, as (name in ``around``, reserved name): ``/v2/users``."""
    around: dict[str, Any] = {}
    is_whole: bool = False
    """It is rejected for any property that is: two readers would find different properties in it."""
    size: int = sys.maxsize
    """The properties' JSON is no longer than that, in bytes of UTF-8."""

    @property
    def is_uid_only(self) -> bool:
        """The first half of ``identify(uid, vars)`` as recorders send it (wire.md 3)."""
        return self.kind is CallKind.IDENTIFY and self.properties.keys() <= {UID}

    @property
    def gives_uid(self) -> bool:
        """It has the reserved property ``uid``. With an entry in the schema it was written ``uid_str``."""
        return UID in self.properties and not (self.typing is Typing.SCHEMA and UID in self.schema)


def too_big(limit: int) -> Breach:
    """Make the breach of a payload over ``limit`` bytes."""
    return Breach(RejectionCode.TOO_BIG_TO_PARSE, f"larger than {limit} bytes")


def broken(fault: Fault | str) -> Breach:
    """Make the breach of a text that is not the JSON that a call must be."""
    return Breach(RejectionCode.INVALID_JSON, fault.value if isinstance(fault, Fault) else fault)


def unread(kind: CallKind, breach: Breach) -> Call:
    """Make a call of which nothing is known but what is wrong with it."""
    return Call(kind=kind, breaches=(breach,), read=False)


def object_in(holder: dict[str, Any], key: str) -> tuple[dict[str, Any], tuple[Breach, ...]]:
    """Read a member that is an object or absent."""
    found = holder.get(key, {})
    return (found, ()) if type(found) is dict else ({}, (broken(f"{key} is not an object"),))


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
    """Read a body that is one call: its root, or a call of which only what is wrong is known.

    ``names`` are those that are read of it; one of them in other letters would be read by some and not by others.
    """
    if len(body) > limit:
        return unread(kind, too_big(limit))
    root = parse_object(body)
    if isinstance(root, Fault):
        return unread(kind, broken(root))
    return unread(kind, broken(Fault.MISSPELT)) if names.has_misspelt(root) else root
