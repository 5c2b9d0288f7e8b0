"""Looks through long lists part by part, because other threads wait during each step of the interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PART = 8192
"""Elements that are looked at in one step; they take at most 0.2 ms."""


def kinds_of(values: list[Any]) -> set[type]:
    """Return the types of the elements."""
    if len(values) <= PART:
        return set(map(type, values))
    kinds: set[type] = set()
    for part in _parts(values):
        kinds.update(map(type, part))
    return kinds


def all_within(values: list[Any], least: float, most: float) -> bool:
    """Return whether all numbers of the list are between ``least`` and ``most``."""
    if len(values) <= PART:
        return not values or (min(values) >= least and max(values) <= most)
    return all(min(part) >= least and max(part) <= most for part in _parts(values))


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    return (values[at : at + PART] for at in range(0, len(values), PART))
