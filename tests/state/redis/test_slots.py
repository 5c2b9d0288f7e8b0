"""The slot of a key, and the map from slots to nodes."""

from __future__ import annotations

import pytest

from fsproxy.config.hosts import Node
from fsproxy.state.redis.servers.slots import SLOTS, SlotMap, slot_map, slot_of

A, B, C = Node("10.0.0.1", 6379), Node("10.0.0.2", 6379), Node("10.0.0.2", 6380)
HALVES = SlotMap((A,) * 8000 + (B,) * (SLOTS - 8000))


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        # From the specification: the CRC of "123456789" is 31C3.
        ("123456789", 0x31C3),
        ("foo", 12182),
        ("bar", 5061),
        ("{foo}", 12182),
        ("fsproxy:1:{foo}:s:1", 12182),
        ("{foo}{bar}", 12182),
        # Only what stands in the first braces counts, and only if there is something in them.
        ("x{}{foo}", slot_of("x{}{foo}")),
        ("}{foo}", 12182),
        ("{foo", slot_of("{foo")),
        ("{{foo}}", slot_of("{foo")),
        ("", 0),
    ],
)
def test_the_slot_of_a_key(key: str, slot: int) -> None:
    assert slot_of(key) == slot


def test_empty_or_open_braces_are_no_tag() -> None:
    assert slot_of("x{}{foo}") != slot_of("foo")
    assert slot_of("{foo") != slot_of("foo")


def test_a_map_is_read_from_an_answer() -> None:
    reply = [
        [0, 99, [b"10.0.0.1", 6379, b"id", []], [b"10.0.0.2", 6380, b"id2", [b"hostname", b"x"]]],
        [100, 16383, [b"10.0.0.2", 6379, b"id3"]],
    ]
    found = slot_map(reply, A)
    assert found.owners[99] == A
    assert found.owners[100] == B
    assert found.replicas == {A: (C,), B: ()}
    assert found.nodes() == [A, B, C]
    assert found.counts() == {A: 100, B: SLOTS - 100}
    assert (found.is_served, found.unserved()) == (True, 0)
    assert not SlotMap().is_served


@pytest.mark.parametrize("host", [None, b"", b"?", ""])
def test_a_host_that_is_left_out_is_the_one_that_was_asked(host: bytes | str | None) -> None:
    assert slot_map([[5, 5, [host, 7001, b"id"]]], A).owners[5] == Node("10.0.0.1", 7001)


def test_a_slot_of_nobody() -> None:
    found = slot_map([[5, 6, [b"h", 1, b"id"]]], A)
    assert (found.owners[4], found.unserved()) == (None, SLOTS - 2)


@pytest.mark.parametrize("reply", [None, b"OK", [[1]], [[0, SLOTS, [b"h", 1]]], [[-1, 4, [b"h", 1]]], [[0, 1, []]]])
def test_what_is_no_map(reply: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        slot_map(reply, A)


def test_one_slot_moves() -> None:
    moved = HALVES.moved(7999, B)
    assert (moved.owners[7998], moved.owners[7999], moved.counts()[B]) == (A, B, SLOTS - 7999)
    assert HALVES.owners[7999] == A


def test_a_key_is_found_in_the_slots_of_a_node() -> None:
    one = HALVES.moved(3, C)
    for node in (A, B, C):
        key = one.key_at(node, "p:{~", "}:")
        assert key is not None
        assert one.owners[slot_of(key)] == node
    assert HALVES.key_at(C, "p:{~", "}:") is None
