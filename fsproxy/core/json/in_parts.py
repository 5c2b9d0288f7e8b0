"""Looks through long lists part by part: one step of the interpreter over all would keep other threads waiting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PART = 8192
"""Elements that are looked at in one step: 0.2 ms at most."""


def in_parts(values: list[Any]) -> Iterator[list[Any]]:
    """Give the list itself, or its parts if it is long."""
    if len(values) <= PART:
        yield values
        return
    for at in range(0, len(values), PART):
        yield values[at : at + PART]


def kinds_of(values: list[Any]) -> set[type]:
    """Give the types of the elements."""
    if len(values) <= PART:
        return set(map(type, values))
    kinds: set[type] = set()
    for part in in_parts(values):
        kinds.update(map(type, part))
    return kinds


def all_within(values: list[Any], least: float, most: float) -> bool:
    """Tell whether no number of the list is less or more than that."""
    return all(min(part) >= least and max(part) <= most for part in in_parts(values) if part)
