"""The shapes of valid calls: a call of a known shape is compared with it instead of walked.

A site sends the same event with the same properties again and again. A shape holds the names in every object of such a
call, in order, and for the values of each object what they must be. ``learn`` makes the shape of a call in which the
walk found nothing wrong; ``fits`` compares another call with it. A call that fits passes every rule that the walk would
apply, so the walk's result for the first call holds for it. A call that does not fit is walked: no shape rejects.

The comparison works on all values of an object together: one tuple of their types, one ``itemgetter`` for each kind of
value that needs a closer look (strings may be too long, integers too large, dates no dates). So most of it runs inside
C functions, without a step of the interpreter for each property.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from operator import contains, itemgetter
from typing import Any

import msgspec

from fsproxy.core.client_api.calls import WIDEST_CHARACTER, Call, Typing
from fsproxy.core.client_api.validation.names import TYPES, PropertyType, read_name
from fsproxy.core.client_api.validation.values import (
    INT_MAX,
    INT_MIN,
    LONGEST_ATOM,
    SHORTEST_ELEMENT,
    inferred_type,
    is_date,
    is_offset_date,
)
from fsproxy.core.json.in_parts import PART
from fsproxy.core.settings import ClientApiSettings

_encode = msgspec.json.Encoder().encode
_NUMBERS, _STRINGS, _BOOLEANS, _INTEGERS = (frozenset(kinds) for kinds in ({int, float}, {str}, {bool}, {int}))
_ATOMS: dict[PropertyType, frozenset[type]] = {
    PropertyType.STR: _STRINGS,
    PropertyType.INT: _INTEGERS,
    PropertyType.REAL: _NUMBERS,
    PropertyType.DATE: _STRINGS,
    PropertyType.BOOL: _BOOLEANS,
}
_ELEMENTS = {PropertyType(f"{atom}s"): kinds for atom, kinds in _ATOMS.items()}
_LISTS, _OBJECTS = frozenset({list}), frozenset({dict})
_LEVELS = 16
"""Nested objects in a shape; each level is one more call in the interpreter's stack. Sites send two or three."""
_NONE_RESERVED: Mapping[str, int] = {}
_Pick = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class UnknownShapeError(Exception):
    """The call has something that no shape describes: a list of objects, or an integer written as a fraction."""


class _Lists(msgspec.Struct, frozen=True, gc=False):
    """The lists of one type in an object."""

    pick: _Pick
    elements: frozenset[type]
    declared: PropertyType
    is_date: Callable[[str], bool]
    inferred: _Pick | None
    """Those whose type was inferred from their elements. They must not be empty, as the type would be another."""


class Node(msgspec.Struct, frozen=True, gc=False):
    """One object of a shape."""

    names: tuple[str, ...]
    kinds: tuple[type, ...]
    allowed: tuple[frozenset[type], ...] | None
    """The types that each value may have, where two fit a ``real`` one; None: there is no ``real`` one."""
    strings: _Pick | None
    integers: _Pick | None
    dates: _Pick | None
    is_date: Callable[[str], bool]
    lists: tuple[_Lists, ...]
    reserved: tuple[tuple[int, int], ...]
    """Place and longest length, in characters, of each reserved property."""
    below: tuple[tuple[int, Node], ...]


def fits(node: Node, members: dict[str, Any], size: int, *, small: bool) -> bool:
    """Return whether an object has this shape, and whether every value has at most ``size`` bytes.

    ``small``: the whole text has at most ``size`` bytes, so that most values need no look at their size.
    """
    if tuple(members) != node.names:
        return False
    values = tuple(members.values())
    kinds = tuple(map(type, values))
    if kinds != node.kinds and (node.allowed is None or not all(map(contains, node.allowed, kinds))):
        return False
    if node.strings is not None and not small and not _are_small(node.strings(values), size):
        return False
    if node.integers is not None and not _are_64_bits(node.integers(values)):
        return False
    if node.dates is not None and not _are_dates(node.dates(values), size, node.is_date):
        return False
    return not (node.lists or node.reserved or node.below) or _rest_fits(node, values, size, small=small)


def _rest_fits(node: Node, values: tuple[Any, ...], size: int, *, small: bool) -> bool:
    # These are loops, because a generator costs more than a look at most objects.
    for lists in node.lists:
        if not _fit(lists, values, size, small=small):
            return False
    for place, length in node.reserved:
        if len(values[place]) > length:
            return False
    for place, below in node.below:  # noqa: SIM110 - see above
        if not fits(below, values[place], size, small=small):
            return False
    return True


def _fit(lists: _Lists, values: tuple[Any, ...], size: int, *, small: bool) -> bool:
    found = lists.pick(values)
    if max(map(len, found)) * SHORTEST_ELEMENT > size:
        return False
    if sum(map(len, found)) <= PART:
        if not _are_elements(lists, list(chain.from_iterable(found))):
            return False
    elif not all(_are_elements(lists, each) for each in found):
        return False
    if lists.inferred is not None and not all(lists.inferred(values)):
        return False
    # In a small text only real numbers may count more bytes than were written: 1e9 counts as 1000000000.0.
    return (small and lists.declared is not PropertyType.REALS) or max(map(len, map(_encode, found))) <= size


def _are_elements(lists: _Lists, elements: list[Any]) -> bool:
    if not lists.elements.issuperset(map(type, elements)):
        return False
    if elements and lists.declared is PropertyType.INTS:
        return _are_64_bits(elements)
    return lists.declared is not PropertyType.DATES or all(map(lists.is_date, elements))


def _are_small(strings: tuple[str, ...], size: int) -> bool:
    if max(map(len, strings)) * WIDEST_CHARACTER <= size:
        return True
    return all(len(each) * WIDEST_CHARACTER <= size or len(each.encode()) <= size for each in strings)


def _are_64_bits(integers: Iterable[int]) -> bool:
    return bool(min(integers) >= INT_MIN and max(integers) <= INT_MAX)


def _are_dates(texts: tuple[str, ...], size: int, is_date: Callable[[str], bool]) -> bool:
    return all(map(is_date, texts)) and max(map(len, texts)) <= size


def learn(call: Call, settings: ClientApiSettings, reserved: Mapping[str, int]) -> Node | None:
    """Return the shape of a call in which the walk found nothing wrong; None if no shape describes it."""
    if call.envelope or settings.value_size < LONGEST_ATOM:
        return None
    try:
        return _node(call, call.properties, call.schema, settings.allow_hyphen, reserved)
    except UnknownShapeError:
        return None


def _node(
    call: Call,
    members: dict[str, Any],
    schema: object,
    hyphen: bool,  # noqa: FBT001 - passed on to ``read_name``
    reserved: Mapping[str, int],
    levels: int = _LEVELS,
) -> Node:
    places: dict[PropertyType, list[int]] = {}
    inferred: dict[PropertyType, list[int]] = {}
    allowed: list[frozenset[type]] = []
    lengths: list[tuple[int, int]] = []
    below: list[tuple[int, Node]] = []
    described = schema if isinstance(schema, dict) else {}
    is_day = is_offset_date if call.typing is Typing.INFERRED else is_date
    for place, (key, value) in enumerate(members.items()):
        if key in reserved and (call.typing is not Typing.SCHEMA or key not in described):
            lengths.append((place, reserved[key]))
            allowed.append(_STRINGS)
        elif type(value) is dict:
            if levels == 0:
                raise UnknownShapeError
            below.append((place, _node(call, value, described.get(key), hyphen, _NONE_RESERVED, levels - 1)))
            allowed.append(_OBJECTS)
        else:
            declared, is_given = _declared(call, key, value, described, hyphen)
            places.setdefault(declared, []).append(place)
            allowed.append(_ATOMS.get(declared, _LISTS))
            if not is_given and declared is not PropertyType.STRS:
                inferred.setdefault(declared, []).append(place)
        if type(value) not in allowed[-1]:
            raise UnknownShapeError
    pick = {declared: _pick(found) for declared, found in places.items()}
    return Node(
        names=tuple(members),
        kinds=tuple(map(type, members.values())),
        allowed=tuple(allowed) if PropertyType.REAL in places else None,
        strings=pick.get(PropertyType.STR),
        integers=pick.get(PropertyType.INT),
        dates=pick.get(PropertyType.DATE),
        is_date=is_day,
        lists=tuple(
            _Lists(
                pick[declared], elements, declared, is_day, _pick(inferred[declared]) if declared in inferred else None
            )
            for declared, elements in _ELEMENTS.items()
            if declared in places
        ),
        reserved=tuple(lengths),
        below=tuple(below),
    )


def _declared(
    call: Call,
    key: str,
    value: object,
    described: dict[str, Any],
    hyphen: bool,  # noqa: FBT001 - as above
) -> tuple[PropertyType, bool]:
    """Return the type of a property, and whether its name or the schema gives it rather than its value."""
    declared: object
    is_given = True
    if call.typing is Typing.SUFFIX:
        declared = read_name(key, hyphen)
    elif type(entry := described.get(key)) is str:
        declared = TYPES.get(entry)
    else:
        declared, is_given = inferred_type(value), False
    if not isinstance(declared, PropertyType):
        raise UnknownShapeError
    return declared, is_given


def _pick(places: list[int]) -> _Pick:
    # With one place, itemgetter would return the value itself. With a slice of one it returns a tuple, as it must.
    return itemgetter(*places) if len(places) > 1 else itemgetter(slice(places[0], places[0] + 1))
