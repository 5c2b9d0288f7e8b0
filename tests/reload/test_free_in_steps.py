"""Freeing what is large: all of it, nothing else, a little at a time."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from fsproxy.config.loader import load_text
from fsproxy.proxy.generation import Generation
from fsproxy.reload.free_in_steps import free_in_steps

CONFIG = "upstream: {url: http://127.0.0.1:9}\nfilters: {ip: {block: [10.0.0.1, 10.0.0.0/8]}}\n"


def test_a_generation_is_freed_whole_and_the_next_one_is_not_touched(tmp_path: Path) -> None:
    config = load_text(CONFIG, "fsproxy.yaml", {}, tmp_path)
    first, second = Generation.compile(config, 1), Generation.compile(config, 2)
    policy = second.snapshot.default
    things: list[object] = [first]
    gc.disable()
    try:
        inner = id(first.snapshot.default.on_page[0])
        del first
        free_in_steps(things)
        # Freed by reference counts alone, without a collection.
        assert all(id(each) != inner or each is policy.on_page[0] for each in gc.get_objects())
    finally:
        gc.enable()
    assert things == []
    assert second.config is config
    assert config.upstream.url == "http://127.0.0.1:9"
    assert policy.on_page


def test_what_is_large_is_freed_with_what_is_in_it_and_what_is_shared_stays() -> None:
    class Freed:
        pass

    one, shared = Freed(), {"a": [1, 2, 3]}
    watched = weakref.ref(one)
    things: list[object] = [{"many": list(range(5_000)), "numbers": dict.fromkeys(range(5_000), 1)}, [one], (shared,)]
    del one
    free_in_steps(things)
    assert watched() is None
    assert shared == {"a": [1, 2, 3]}


def test_circles_end() -> None:
    circle: list[object] = []
    circle.append(circle)
    free_in_steps([circle])
    assert circle[0] is circle
    circle.clear()
