"""What a fuzzing target is, and the little that targets share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of hostile input, and what must hold whatever stands in it."""

    name: str
    check: Callable[[bytes], None]
    """Raises when a property does not hold, or when the code under test raises what it should not."""
    seeds: tuple[bytes, ...]
    """Inputs of the shapes that occur."""
    tokens: tuple[bytes, ...]
    """Pieces that mean something to the reader of such inputs."""
    inputs: int
    """How many the bounded run of the test suite takes: about half a second's worth."""
    longest: int = 4096
    """Bytes."""


def head_and_rest(data: bytes) -> tuple[int, bytes]:
    """The first byte chooses a variant; the rest is the input."""
    return (data[0], data[1:]) if data else (0, b"")


def lines(data: bytes, most: int = 24) -> list[str]:
    """Lines of any text: what is not UTF-8 becomes replacement characters."""
    return data.decode("utf-8", "replace").split("\n")[:most]
