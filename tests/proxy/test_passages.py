"""Names in ``CDN-Loop``: whose they are."""

from __future__ import annotations

import re

import pytest

from fsproxy.core.wire.header_values import index
from fsproxy.proxy.passages import Passages, handed_on, new_passage
from fsproxy.telemetry.metrics import Metrics


def test_a_name_is_new_each_time_and_says_nothing() -> None:
    made = {new_passage() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[0-9a-f]{16}", name) for name in made)


@pytest.mark.parametrize("said", [None, 7, "", "x", "0123456789ABCDEF", "0123456789abcdef\r\nX: y", ["a"]])
def test_only_a_name_that_we_would_have_made_is_handed_on(said: object) -> None:
    assert handed_on(said) != said
    assert handed_on("0123456789abcdef") == "0123456789abcdef"


@pytest.mark.parametrize(
    "value",
    [b"%b", b"a, %b", b"%b;a=b, c", b'a; x="%b', b"\xff,%b", b"a,,%b ,"],
    ids=lambda value: value.decode("latin-1"),
)
def test_it_is_found_wherever_it_stands(value: bytes) -> None:
    metrics = Metrics()
    passages = Passages(new_passage(), metrics)
    assert passages.is_loop(index(((b"CDN-Loop", b"other"), (b"cdn-LOOP", value % passages.name))))
    assert not passages.is_loop(index(((b"CDN-Loop", value % b"other"),)))
    assert not passages.is_loop(index(((b"X", passages.name),)))
    assert metrics.loops[()] == 1
