"""The shapes that are known, and the verdicts that go with them: bounded, as clients choose what is learned."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from fsproxy.core.client_api.calls import Call, ValidatedCall
from fsproxy.core.client_api.validation.shapes import Node, fits, learn
from fsproxy.core.settings import ClientApiSettings

BUDGET = 16 * 1024 * 1024
"""Bytes, about, that all shapes may take; clients choose what is learned."""
LARGEST = BUDGET // 4
"""Of one shape. One of 5,000 properties takes 1.5 MB."""
_MOST_KEYS = 256
_MOST_ALIKE = 4
"""Shapes whose roots have the same names."""
_MOST_EVENTS = 64
"""Events of one shape whose names are kept; those of others are put together with each call."""
_NAME_COST, _NODE_COST, _PLACE_COST = 100, 400, 110
_MOST_SEEN = 4096
_WIDEST_CHARACTER = 4
_Key = tuple[int, int, int, int]


class KnownNames(tuple[str, ...]):
    """The names of a shape's verdict: one object for all calls of the shape, so it can be known again as itself."""

    __slots__ = ()


class _Shape(msgspec.Struct, gc=False):
    """Of one shape: events of many names may have it, as a site gives all of them the same properties."""

    settings: ClientApiSettings
    """Held, so that no other settings can be where these were."""
    schema: dict[str, Any]
    root: Node
    verdict: ValidatedCall
    """On the call that it was learned of."""
    begin: int
    """Where the path begins in the names of that."""
    cost: int
    verdicts: dict[object, ValidatedCall]
    """By the event's name."""


class Shapes:
    """The shapes that are known, with the verdict on calls that have them. Bounded; the one not met longest goes first.

    A shape is learned when it is met for the second time: names that are made up on the fly cost nothing here.
    Threads may share it: each step on the table is one of the interpreter's.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, tuple[_Shape, ...]] = OrderedDict()
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return sum(map(len, list(self._known.values())))

    @property
    def cost(self) -> int:
        """Bytes, about."""
        return sum(shape.cost for alike in list(self._known.values()) for shape in alike)

    def find(self, call: Call, settings: ClientApiSettings) -> ValidatedCall | None:
        """Give the verdict on a call whose JSON is valid; None: it must be walked."""
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
                return shape.verdicts.get(call.name) or self._named(shape, call)
        return None

    def _named(self, shape: _Shape, call: Call) -> ValidatedCall:
        """Give the verdict with the names that the call's have, and keep it while there is room."""
        prefix = call.name_prefix
        begin = shape.begin
        names = tuple([prefix + name[begin:] for name in shape.verdict.names])
        if len(shape.verdicts) < _MOST_EVENTS:
            cost = _cost_of(names)
            if self.cost + cost <= BUDGET:
                names = KnownNames(names)
                shape.cost += cost
                shape.verdicts[call.name] = msgspec.structs.replace(shape.verdict, names=names)
        return msgspec.structs.replace(shape.verdict, names=names)

    def note(
        self, call: Call, settings: ClientApiSettings, reserved: Mapping[str, int], verdict: ValidatedCall
    ) -> None:
        """Remember a call that the walk found nothing wrong with: at the second time its shape."""
        key = _key(call, settings)
        seen = hash(key)
        if seen not in self._seen:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen.add(seen)
            return
        cost = _cost_of(verdict.names) + _PLACE_COST * len(verdict.places) + len(repr(call.schema))
        root = learn(call, settings, reserved) if cost <= LARGEST else None
        if root is None:
            return
        cost += _cost_of_tree(root)
        if cost > LARGEST:
            return
        own = msgspec.structs.replace(verdict, names=KnownNames(verdict.names))
        alike = self._known.get(key, ())[: _MOST_ALIKE - 1]
        self._known[key] = (
            _Shape(settings, call.schema, root, own, len(call.name_prefix), cost, {call.name: own}),
            *alike,
        )
        while len(self._known) > _MOST_KEYS or self.cost > BUDGET:
            with suppress(KeyError):  # another thread made the room
                self._known.popitem(last=False)


def _cost_of(names: tuple[str, ...]) -> int:
    return sum(_WIDEST_CHARACTER * len(name) + _NAME_COST for name in names)


def _cost_of_tree(node: Node) -> int:
    return _NODE_COST + _cost_of(node.names) + sum(_cost_of_tree(below) for _, below in node.below)


def _key(call: Call, settings: ClientApiSettings) -> _Key:
    # The hash of an enum's member is written in Python; there is one of each for ever.
    return id(settings), id(call.kind), id(call.typing), hash(tuple(call.properties))
