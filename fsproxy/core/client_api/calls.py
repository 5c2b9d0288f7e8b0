"""The one form that every client API call is read into, and what validation finds in it (rules.md 2)."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from enum import Enum, unique
from typing import Any

import msgspec

from fsproxy.core.json.scanner import NOWHERE, Steps
from fsproxy.core.json.strict import Fault
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import CallKind, Rejection
from fsproxy.core.reasons import RejectionCode

UID = "uid"
MAX_LEAVES = 5_000
"""Properties of one call that are validated; an org can hold no more names (rules.md 2)."""
WIDEST_CHARACTER = 4
"""Bytes in UTF-8. A text of at most a quarter as many characters as a limit has bytes is within it."""
ORDER_COMPLETED = "Order Completed"
"""The one event whose properties may hold lists of objects (rules.md 2)."""


NAME_KINDS: dict[CallKind, NameKind] = {
    CallKind.EVENT: NameKind.EVENT_PROPERTY,
    CallKind.IDENTIFY: NameKind.USER_PROPERTY,
    CallKind.SET_USER_VARS: NameKind.USER_PROPERTY,
    CallKind.PAGE: NameKind.PAGE_PROPERTY,
}
"""The kind of names that a call's properties are counted as; those of documents are not counted."""


@unique
class Typing(Enum):
    """What gives a property its type."""

    SUFFIX = "what follows the last _ of its name"
    SCHEMA = "the schema, and only the schema"
    INFERRED = "the schema, else the value"


class Breach(msgspec.Struct, frozen=True, gc=False):
    """A rule that a call as a whole breaks: the code, and the rejection's detail."""

    code: RejectionCode
    detail: str


class Call(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One client API call, read and not yet validated."""

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
    """False: the call could not be read at all, so not even its name is known."""
    at: Steps = NOWHERE
    """Where the properties are in their document; NOWHERE: they are the document."""
    schema_at: Steps = NOWHERE
    envelope: tuple[tuple[str, str], ...] = ()
    """Reserved properties that are not among the properties but in ``around``, as (name there, reserved name).

    Only ``/v2/users`` has them.
    """
    around: dict[str, Any] = {}
    is_whole: bool = False
    """One rejected property rejects the call, because two readers would find different properties in it."""
    size: int = sys.maxsize
    """The JSON of the properties has at most this many bytes of UTF-8."""
    key: Hashable = None
    """By which an event is learned, see ``validation.learned``; None: it is not."""
    learned: ValidatedCall | None = None
    """What the rules say of an event that is learned. Its properties and schema were not read."""

    @property
    def is_uid_only(self) -> bool:
        """Whether this is the first half of ``identify(uid, vars)`` as recorders send it (wire.md 3)."""
        return self.kind is CallKind.IDENTIFY and self.properties.keys() <= {UID}

    @property
    def gives_uid(self) -> bool:
        """Whether it has the reserved property ``uid``. With an entry in the schema the page wrote ``uid_str``."""
        return UID in self.properties and not (self.typing is Typing.SCHEMA and UID in self.schema)


class ValidatedCall(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the rules say of one call."""

    rejected: bool = False
    """The call itself is cut out; otherwise only what is in ``cuts``."""
    rejections: Sequence[Rejection] = ()
    """All of them, in order of appearance; the call's own first."""
    cuts: tuple[Steps, ...] = ()
    """Where the rejected properties are in the call's document."""
    schema_cuts: tuple[Steps, ...] = ()
    """Where the entries of the schema are that are cut with them."""
    names: tuple[str, ...] = ()
    """Canonical names (``path_type``; of an event, ``event/path_type``) of what survives, without duplicates."""
    page_name: str = ""
    """The digest that stands for the value of ``pageName``, if it is valid; "": there is none."""
    places: tuple[tuple[Steps, Steps | None], ...] = ()
    """Of a call with a schema: where the property of each name is, and its entry. Empty if ``is_shared``."""
    is_shared: bool = False
    """Several properties may have one name, or one entry of the schema."""
    survivors: int = 0
    """Properties that are not cut, reserved ones included."""
    noted: Sequence[Rejection] = ()
    """What the plan of names only reports: its mode is shadow, or it allows this (rules.md 9)."""


def too_big(limit: int) -> Breach:
    """Return the breach of a payload over ``limit`` bytes."""
    return Breach(RejectionCode.TOO_BIG_TO_PARSE, f"larger than {limit} bytes")


def broken(fault: Fault | str) -> Breach:
    """Return the breach of a text that is not the JSON that a call must be."""
    return Breach(RejectionCode.INVALID_JSON, fault.value if isinstance(fault, Fault) else fault)


def unread(kind: CallKind, breach: Breach) -> Call:
    """Return a call of which only its breach is known."""
    return Call(kind=kind, breaches=(breach,), read=False)
