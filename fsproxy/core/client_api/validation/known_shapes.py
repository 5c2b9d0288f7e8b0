"""The table of known shapes, with the result of validation for each (see ``shapes``). Its size is bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from fsproxy.core.client_api.calls import WIDEST_CHARACTER, Call, ValidatedCall
from fsproxy.core.client_api.validation.shapes import Node, fits, learn
from fsproxy.core.settings import ClientApiSettings

BUDGET = 16 * 1024 * 1024
"""Approximate bytes of all shapes together. Clients choose what is learned, so there must be a bound."""
LARGEST = BUDGET // 4
"""Approximate bytes of one shape. A shape of 5,000 properties takes 1.5 MB."""
_MOST_KEYS = 256
_MOST_ALIKE = 4
"""Shapes with the same names at the root: they differ in types, or below the root."""
_MOST_EVENTS = 64
"""Event names of one shape for which the names to count are kept; for other events they are made with each call."""
_NAME_COST, _NODE_COST, _PLACE_COST = 100, 400, 110
"""Approximate bytes of a string, an object, and a place in a document."""
_MOST_SEEN = 4096
"""Shapes that were met once."""
_Key = tuple[int, int, int, int]


class ShapeNames(tuple[str, ...]):
    """The names of a known shape. They are one object for all its calls, so others can recognize it by identity."""

    __slots__ = ()


class _Shape(msgspec.Struct, gc=False):
    """A known shape. A site may give many events the same properties, so it keeps a result for each event's name."""

    settings: ClientApiSettings
    """Kept alive, so that no other settings can get the same ``id``, which is part of the key."""
    schema: dict[str, Any]
    root: Node
    validated: ValidatedCall
    """The result for the call that it was learned from."""
    begin: int
    """Where the path begins in the names of that result."""
    cost: int
    by_event: dict[object, ValidatedCall]
    """The results by the event's name."""


class Shapes:
    """The known shapes. When there is no room for a new one, the one that was not met for the longest time is dropped.

    A shape is learned when it is met for the second time, so property names that are used only once take no room.
    Threads may share the table, because each step on it is atomic in the interpreter.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, tuple[_Shape, ...]] = OrderedDict()
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return sum(map(len, list(self._known.values())))

    @property
    def cost(self) -> int:
        """Approximate bytes of all shapes."""
        return sum(shape.cost for alike in list(self._known.values()) for shape in alike)

    def find(self, call: Call, settings: ClientApiSettings) -> ValidatedCall | None:
        """Return the result for a call that was read without a breach; None: it must be walked."""
        key = _key(call, settings)
        alike = self._known.get(key)
        if alike is None:
            return None
        size = settings.value_size
        small = call.size <= size
        for shape in alike:
            if (
                fits(shape.root, call.properties, size, small=small)
                and shape.schema == call.schema
                and shape.settings is settings
            ):
                with suppress(KeyError):  # another thread needed the room
                    self._known.move_to_end(key)
                return shape.by_event.get(call.name) or self._named(shape, call)
        return None

    def _named(self, shape: _Shape, call: Call) -> ValidatedCall:
        """Return the shape's result with the names under this event, and keep it while there is room."""
        prefix = call.name_prefix
        begin = shape.begin
        names = tuple([prefix + name[begin:] for name in shape.validated.names])
        if len(shape.by_event) < _MOST_EVENTS:
            cost = _cost_of(names)
            if self.cost + cost <= BUDGET:
                names = ShapeNames(names)
                shape.cost += cost
                shape.by_event[call.name] = msgspec.structs.replace(shape.validated, names=names)
        return msgspec.structs.replace(shape.validated, names=names)

    def note(
        self, call: Call, settings: ClientApiSettings, reserved: Mapping[str, int], validated: ValidatedCall
    ) -> None:
        """Note a call in which the walk found nothing wrong. At the second time, learn its shape."""
        key = _key(call, settings)
        seen = hash(key)
        if seen not in self._seen:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen.add(seen)
            return
        cost = _cost_of(validated.names) + _PLACE_COST * len(validated.places) + len(repr(call.schema))
        root = learn(call, settings, reserved) if cost <= LARGEST else None
        if root is None:
            return
        cost += _cost_of_tree(root)
        if cost > LARGEST:
            return
        own = msgspec.structs.replace(validated, names=ShapeNames(validated.names))
        alike = self._known.get(key, ())[: _MOST_ALIKE - 1]
        self._known[key] = (
            _Shape(settings, call.schema, root, own, len(call.name_prefix), cost, {call.name: own}),
            *alike,
        )
        while len(self._known) > _MOST_KEYS or self.cost > BUDGET:
            with suppress(KeyError):  # another thread made the room
                self._known.popitem(last=False)


def _cost_of(names: tuple[str, ...]) -> int:
    return sum(WIDEST_CHARACTER * len(name) + _NAME_COST for name in names)


def _cost_of_tree(node: Node) -> int:
    return _NODE_COST + _cost_of(node.names) + sum(_cost_of_tree(below) for _, below in node.below)


def _key(call: Call, settings: ClientApiSettings) -> _Key:
    # An enum's member is never freed, so its id is unique; its hash would be computed by slow Python code.
    return id(settings), id(call.kind), id(call.typing), hash(tuple(call.properties))
