"""What calls look like that were found valid before: the next one of the same shape is compared, not walked.

A site sends the same event with the same properties again and again. A shape holds the names of every object of a
call, in order, and the types that its values must have. A call that fits has passed every rule that the walk would
apply, and gets the walk's own verdict on the first one; whatever does not fit is walked. Nothing here says no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from operator import contains, itemgetter
from typing import Any

import msgspec

from fsproxy.core.client_api.calls import Call, Typing
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
_WIDEST_CHARACTER = 4
_NUMBERS, _STRINGS, _BOOLEANS, _INTEGERS = (frozenset(kinds) for kinds in ({int, float}, {str}, {bool}, {int}))
_ATOMS: dict[PropertyType, frozenset[type]] = {
    PropertyType.STR: _STRINGS,
    PropertyType.INT: _INTEGERS,
    PropertyType.REAL: _NUMBERS,
    PropertyType.DATE: _STRINGS,
    PropertyType.BOOL: _BOOLEANS,
}
_ELEMENTS: dict[PropertyType, frozenset[type]] = {
    PropertyType.STRS: _STRINGS,
    PropertyType.INTS: _INTEGERS,
    PropertyType.REALS: _NUMBERS,
    PropertyType.DATES: _STRINGS,
    PropertyType.BOOLS: _BOOLEANS,
}
_LISTS, _OBJECTS = frozenset({list}), frozenset({dict})
_LEVELS = 16
"""Objects in each other in a shape; each is a call of a function in another. Sites send two or three."""
_NONE_RESERVED: Mapping[str, int] = {}
_Pick = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class UnknownShapeError(Exception):
    """A call holds what no shape describes: lists of objects, an integer written as a fraction."""


class _Lists(msgspec.Struct, frozen=True, gc=False):
    """The lists of one type in an object."""

    pick: _Pick
    elements: frozenset[type]
    declared: PropertyType
    is_date: Callable[[str], bool]
    inferred: _Pick | None
    """Those whose type was told from what is in them, so that an empty one has another."""


class Node(msgspec.Struct, frozen=True, gc=False):
    """One object of a shape."""

    names: tuple[str, ...]
    kinds: tuple[type, ...]
    allowed: tuple[frozenset[type], ...] | None
    """Where numbers may be of either kind; None: the ``kinds`` alone."""
    strings: _Pick | None
    integers: _Pick | None
    dates: _Pick | None
    is_date: Callable[[str], bool]
    lists: tuple[_Lists, ...]
    reserved: tuple[tuple[int, int], ...]
    """Place and longest length, in characters."""
    below: tuple[tuple[int, Node], ...]


def fits(node: Node, members: dict[str, Any], size: int, *, small: bool) -> bool:
    """Tell whether an object of valid JSON has this shape, and every value in it the size that it may have.

    ``small``: the whole text is no larger than the ``size`` of one value.
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
    # Loops, as a generator costs more than most objects.
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
    # A fraction may be written shorter than it counts, nothing else.
    return (small and lists.declared is not PropertyType.REALS) or max(map(len, map(_encode, found))) <= size


def _are_elements(lists: _Lists, elements: list[Any]) -> bool:
    if not lists.elements.issuperset(map(type, elements)):
        return False
    if elements and lists.declared is PropertyType.INTS:
        return _are_64_bits(elements)
    return lists.declared is not PropertyType.DATES or all(map(lists.is_date, elements))


def _are_small(strings: tuple[str, ...], size: int) -> bool:
    if max(map(len, strings)) * _WIDEST_CHARACTER <= size:
        return True
    return all(len(each) * _WIDEST_CHARACTER <= size or len(each.encode()) <= size for each in strings)


def _are_64_bits(integers: Iterable[int]) -> bool:
    return bool(min(integers) >= INT_MIN and max(integers) <= INT_MAX)


def _are_dates(texts: tuple[str, ...], size: int, is_date: Callable[[str], bool]) -> bool:
    return all(map(is_date, texts)) and max(map(len, texts)) <= size


def learn(call: Call, settings: ClientApiSettings, reserved: Mapping[str, int]) -> Node | None:
    """Make the shape of a call that the walk found nothing wrong with; None when it has none."""
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
    hyphen: bool,  # noqa: FBT001 - as it is told to ``read_name``
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
            declared, told = _declared(call, key, value, described, hyphen)
            places.setdefault(declared, []).append(place)
            allowed.append(_ATOMS.get(declared, _LISTS))
            if not told and declared is not PropertyType.STRS:
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
    """Tell the type of a property, and whether something else than its value told it."""
    declared: object
    told = True
    if call.typing is Typing.SUFFIX:
        declared = read_name(key, hyphen)
    elif type(entry := described.get(key)) is str:
        declared = TYPES.get(entry)
    else:
        declared, told = inferred_type(value), False
    if not isinstance(declared, PropertyType):
        raise UnknownShapeError
    return declared, told


def _pick(places: list[int]) -> _Pick:
    # Of one place alone it would give the value itself; of a slice it gives a tuple.
    return itemgetter(*places) if len(places) > 1 else itemgetter(slice(places[0], places[0] + 1))
