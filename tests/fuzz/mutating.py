"""A small mutator of bytes for where atheris is not installed: seeded, so that a run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator

from fuzz.harness import Target

_ODD = (b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\r\n", b"\t", b" ", b'"', b"\\", b",", b"-", b"0", b"9" * 20)
_REPEATS = (2, 3, 17, 70)


def inputs(target: Target, seed: int) -> Iterator[bytes]:
    """The target's seeds as they are, then changes of them, without end."""
    yield from target.seeds
    yield b""
    chance = random.Random(f"{seed} {target.name}")
    while True:
        data = bytearray(chance.choice(target.seeds))
        for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 9))):
            _change(data, target, chance)
        yield bytes(data[: target.longest])


def _change(data: bytearray, target: Target, chance: random.Random) -> None:
    """One change in place."""
    at = chance.randint(0, len(data))
    length = min(chance.choice((1, 1, 2, 4, 8, 30)), len(data) - at)
    match chance.randrange(8):
        case 0 if length:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            del data[at : at + length]
        case 2:
            data[at:at] = data[at : at + length] * chance.choice(_REPEATS)
        case 3:
            data[at : at + length] = chance.choice(_ODD)
        case 4 | 5:
            data[at : at + (length if chance.random() < 0.5 else 0)] = chance.choice(target.tokens)
        case 6:
            other = chance.choice(target.seeds)
            cut = chance.randint(0, len(other))
            data[at:] = other[cut:]
        case _:
            other = chance.choice(target.seeds)
            cut = chance.randint(0, len(other))
            data[at:at] = other[cut : cut + 60]
