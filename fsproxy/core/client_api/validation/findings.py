"""What is found in one call, and what follows from it: rejections, cuts, names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fsproxy.core.client_api.calls import ORDER_COMPLETED, Call, Steps, Typing
from fsproxy.core.client_api.validation.details import cut, property_detail
from fsproxy.core.client_api.validation.flattened import NO_ENTRIES, FlattenedEntries
from fsproxy.core.client_api.validation.names import PropertyType
from fsproxy.core.client_api.validation.values import reserved_problem
from fsproxy.core.model import CallKind, Rejection
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.settings import ClientApiSettings

Schema = dict[str, Any] | None


class WalkedObject:
    """An object of the call that the walk is in."""

    __slots__ = ("entry", "kept", "members", "outer", "path", "schema", "steps")

    def __init__(self, value: dict[str, Any], schema: object, path: str, steps: Steps, entry: Steps) -> None:
        self.members: Iterator[tuple[str, Any]] = iter(value.items())
        self.kept = 0
        """Of its members, those that are not cut."""
        self.schema: Schema = schema if isinstance(schema, dict) else None
        self.path = path
        """Of its members: "" or ends in a dot."""
        self.steps = steps
        self.entry = entry
        """Where ``schema`` stands."""
        self.outer: WalkedObject | None = None
        """Where it is a member, and goes when nothing is left in it; elements of lists stay."""


def prefix_of(call: Call) -> str:
    """Give what stands before the path in the names that a call's properties are counted by.

    A path holds no slash, so the last one divides, whatever the event is called.
    """
    return f"{call.name}/" if call.kind is CallKind.EVENT and isinstance(call.name, str) else ""


class Findings:
    """What the walk through a call's properties notes on its way."""

    __slots__ = (
        "_call",
        "_details",
        "_entries",
        "_flattened",
        "_in_lists",
        "_kept_entries",
        "_leaves",
        "_lists_pass",
        "_max_leaves",
        "_prefix",
        "_settings",
        "_shown",
        "cuts",
        "names",
        "rejections",
        "survivors",
    )

    def __init__(self, call: Call, settings: ClientApiSettings, max_leaves: int) -> None:
        self._call = call
        self._settings = settings
        self._max_leaves = max_leaves
        self._leaves = 0
        event = call.name if call.kind is CallKind.EVENT and isinstance(call.name, str) else None
        self._lists_pass = event == ORDER_COMPLETED
        self._shown = cut(event) if event is not None else None
        self._prefix = prefix_of(call)
        self._flattened = NO_ENTRIES
        if call.schema and call.typing is not Typing.SUFFIX:
            self._flattened = FlattenedEntries(call.schema, call.schema_at, settings.property_name_length)
        self._entries: list[Steps] = []
        self._kept_entries: set[Steps] = set()
        self._in_lists = False  # the elements of a list share entries
        self._details: dict[tuple[RejectionCode, PropertyType | None], str] = {}
        self.rejections: list[Rejection] = []
        self.cuts: list[Steps] = []
        self.names: dict[str, tuple[Steps, Steps | None]] = {}
        """Canonical names of what survives: where it stands, and where the schema's entry for it does.

        Of a name that holds its whole path, nowhere.
        """
        self.survivors = 0

    @property
    def has_flattened_entries(self) -> bool:
        """Whether the schema says something by a dotted path."""
        return bool(self._flattened)

    @property
    def is_shared(self) -> bool:
        """Whether several properties may have one name, or one entry of the schema."""
        return self._in_lists or bool(self._flattened)

    def places(self) -> tuple[tuple[Steps, Steps | None], ...]:
        """Return where the property of each name stands, and its entry in the schema; nothing where the name says it.

        Nothing, either, where several share.
        """
        if self.is_shared or self._call.typing is Typing.SUFFIX:
            return ()
        root, schema_root = len(self._call.at), len(self._call.schema_at)
        if not root and not schema_root:
            return tuple(self.names.values())
        return tuple((steps[root:], entry and entry[schema_root:]) for steps, entry in self.names.values())

    def entries_to_cut(self) -> tuple[Steps, ...]:
        """Give the schema's entries of rejected properties, but not one that a survivor shares."""
        shared = {place[:length] for place in self._kept_entries for length in range(1, len(place) + 1)}
        return tuple(dict.fromkeys(each for each in self._entries if each not in shared))

    def reserved_leaf(
        self, key: str, value: object, length: int, steps: Steps, detail: Callable[[RejectionCode, int], str]
    ) -> bool:
        """Judge a reserved property: a string with a length of its own, never counted among the names."""
        self._leaves += 1
        if self._leaves > self._max_leaves:
            self._reject(RejectionCode.CARDINALITY_EXCEEDED, key, steps)
            return False
        code = reserved_problem(value, length)
        if code is None:
            self.survivors += 1
            return True
        self.cuts.append(steps)
        self.rejections.append(Rejection(code, self._call.kind, self._shown, key, detail(code, length)))
        return False

    def _reject(self, code: RejectionCode, path: str, where: Steps, declared: PropertyType | None = None) -> None:
        self.cuts.append(where)
        detail = self._details.get((code, declared))
        if detail is None:
            detail = self._details[(code, declared)] = property_detail(code, self._settings, declared)
        self.rejections.append(Rejection(code, self._call.kind, self._shown, cut(path), detail))
