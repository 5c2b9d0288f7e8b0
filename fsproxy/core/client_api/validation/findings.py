"""What the walk through a call finds: rejections, cuts and names, and what follows from them for the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fsproxy.core.client_api.calls import MAX_LEAVES, ORDER_COMPLETED, Breach, Call, Typing
from fsproxy.core.client_api.validation.details import cut, property_detail, reserved_detail
from fsproxy.core.client_api.validation.flattened import NO_ENTRIES, FlattenedEntries
from fsproxy.core.client_api.validation.values import reserved_problem
from fsproxy.core.json.scanner import Steps
from fsproxy.core.model import CallKind, PropertyType, Rejection
from fsproxy.core.name_digest import name_digest
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

Schema = dict[str, Any] | None


class WalkedObject:
    """An object of the call, while the walk is in it."""

    __slots__ = ("entry", "kept", "members", "outer", "path", "schema", "steps")

    def __init__(self, value: dict[str, Any], schema: object, path: str, steps: Steps, entry: Steps) -> None:
        self.members: Iterator[tuple[str, Any]] = iter(value.items())
        """Those that the walk has not come to yet."""
        self.kept = 0
        """How many of the others are not cut."""
        self.schema: Schema = schema if isinstance(schema, dict) else None
        """The part of the schema that describes this object."""
        self.path = path
        """The prefix of its members' paths: "" or a path with a dot at its end."""
        self.steps = steps
        """Where the object is."""
        self.entry = entry
        """Where ``schema`` is."""
        self.outer: WalkedObject | None = None
        """The object that it is cut out of when nothing is left in it. Elements of lists stay: they have none."""


class Findings:
    """What the walk through a call's properties has found so far."""

    __slots__ = (
        "_by_suffix",
        "_call",
        "_details",
        "_entries",
        "_flattened",
        "_in_lists",
        "_kept_entries",
        "_leaves",
        "_lists_pass",
        "_prefix",
        "_refused",
        "_reserved",
        "_settings",
        "_shown",
        "cuts",
        "names",
        "page_name",
        "rejections",
        "survivors",
    )

    def __init__(
        self, call: Call, settings: ClientApiSettings, reserved: Mapping[str, int], refused: Mapping[str, Breach]
    ) -> None:
        self._reserved = reserved
        self._refused = refused
        """Names that are rejected although they are valid, each with the reason."""
        self._by_suffix = call.typing is Typing.SUFFIX
        self._call = call
        self._settings = settings
        self._leaves = 0
        event = call.name if call.kind is CallKind.EVENT and isinstance(call.name, str) else None
        self._lists_pass = event == ORDER_COMPLETED
        self._shown = cut(event) if event is not None else None
        # What precedes the path in the counted names of properties. An event's name may hold a slash and a path cannot,
        # so the last slash divides the two.
        self._prefix = f"{event}/" if event is not None else ""
        self._flattened = NO_ENTRIES
        if call.schema and not self._by_suffix:
            self._flattened = FlattenedEntries(call.schema, call.schema_at, settings.property_name_length)
        self._entries: list[Steps] = []  # the schema's entries of rejected properties
        self._kept_entries: set[Steps] = set()  # those of accepted ones that others may share
        self._in_lists = False  # the elements of a list share entries
        self._details: dict[tuple[RejectionCode, PropertyType | None], str] = {}
        self.rejections: list[Rejection] = []
        self.cuts: list[Steps] = []
        self.names: dict[str, tuple[Steps, Steps | None]] = {}
        """Canonical names of what survives, each with the place of the property and of its entry in the schema.

        Where suffixes give the types, the name holds the whole path, and both places are empty.
        """
        self.page_name = ""
        self.survivors = 0

    @property
    def is_shared(self) -> bool:
        """Whether several properties may have one name, or one entry of the schema."""
        return self._in_lists or bool(self._flattened)

    def places(self) -> tuple[tuple[Steps, Steps | None], ...]:
        """Return where the property of each name is, and its entry, relative to the properties and to the schema.

        The result is empty if several properties share a name or an entry, or if the names hold the paths.
        """
        if self.is_shared or self._by_suffix:
            return ()
        root, schema_root = len(self._call.at), len(self._call.schema_at)
        if not root and not schema_root:
            return tuple(self.names.values())
        return tuple((steps[root:], entry and entry[schema_root:]) for steps, entry in self.names.values())

    def entries_to_cut(self) -> tuple[Steps, ...]:
        """Return the schema's entries of rejected properties, except those that a survivor shares."""
        if not self._entries:
            return ()
        shared = {place[:length] for place in self._kept_entries for length in range(1, len(place) + 1)}
        return tuple(dict.fromkeys(each for each in self._entries if each not in shared))

    def _validate_envelope(self) -> None:
        """Validate the reserved properties beside the properties, under the names that they have there."""
        call = self._call
        for member, reserved in call.envelope:
            length = self._settings.reserved.get(reserved)
            if member in call.around and length is not None:
                self._validate_reserved(member, call.around[member], length, (*call.at[:-1], member))
        if call.kind is CallKind.IDENTIFY:
            self.survivors += 1  # its uid, which is beside the properties as well

    def _validate_reserved(self, key: str, value: object, length: int, steps: Steps) -> None:
        """Validate a reserved property: it is a string of at most ``length`` characters."""
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            self._reject(RejectionCode.CARDINALITY_EXCEEDED, key, steps)
            return
        code = reserved_problem(value, length)
        if code is None and self._call.kind is CallKind.PAGE and self._settings.cardinality.page_names is not None:
            self.page_name = name_digest(str(value))
            if self.page_name in self._refused:
                code = RejectionCode.CARDINALITY_EXCEEDED
        if code is None:
            self.survivors += 1
            return
        self.cuts.append(steps)
        self.rejections.append(Rejection(code, self._call.kind, self._shown, key, reserved_detail(code, length)))

    def _reject(self, code: RejectionCode, path: str, where: Steps, declared: PropertyType | None = None) -> None:
        self.cuts.append(where)
        detail = self._details.get((code, declared))
        if detail is None:
            detail = self._details[(code, declared)] = property_detail(code, self._settings, declared)
        self.rejections.append(Rejection(code, self._call.kind, self._shown, cut(path), detail))

    def _reject_suffixed(
        self, key: str, declared: PropertyType | RejectionCode, code: RejectionCode | None, path: str, steps: Steps
    ) -> None:
        """Reject for what comes first in the order of the rules; ``code`` is the value's problem."""
        where = (*steps, key)
        if declared is RejectionCode.INVALID_PROPERTY_NAME:
            self._reject(declared, path, where)
        elif len(path) > self._settings.property_name_length:
            self._reject(RejectionCode.PROPERTY_NAME_TOO_LONG, path, where)
        elif isinstance(declared, RejectionCode):
            self._reject(declared, path, where)
        elif code is not None:
            self._reject(code, path, where, declared)
        else:
            self._refuse(self._refused[self._prefix + path], path, where)

    def _refuse(self, breach: Breach, path: str, where: Steps) -> None:
        """Reject a valid property by its name."""
        self.cuts.append(where)
        self.rejections.append(Rejection(breach.code, self._call.kind, self._shown, cut(path), breach.detail))

    def _reject_entry(self, code: RejectionCode, key: str, inside: WalkedObject) -> None:
        """Reject a member, and cut the schema's entries for it and for everything in it."""
        path = inside.path + key
        self._reject(code, path, (*inside.steps, key))
        if inside.schema and key in inside.schema:
            self._entries.append((*inside.entry, key))
        if self._flattened:
            self._entries += self._flattened.under(path)
