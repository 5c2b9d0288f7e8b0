"""Whatever stands in the file, the answer is a configuration or a list of faults, never another exception."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config
from fsproxy.config.summary import summary

ANNOTATED = (Path(__file__).parents[2] / "config" / "fsproxy.yaml").read_text("utf-8")


def paths(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(tree, dict):
        return []
    return [(*path, key) for key in tree] + [p for key, value in tree.items() for p in paths(value, (*path, key))]


TREE = yaml.safe_load(ANNOTATED)
PATHS = paths(TREE)
KEYS = st.sampled_from(sorted({path[-1] for path in PATHS} | {"only", "from", "pattern", "id", "capture", "block"}))
SCALARS = st.sampled_from(
    [
        *[None, True, 0, 1, -1, 10**30, 1.5, "9" * 5000, "", " ", "x", "*", "/x", "10.0.0.0/8", "::", "US", "a=b"],
        *["25%", "10/s", "5s", "8MB", "2026-01-01", "02-29", "yearly", "hashed", "redis", "off", "any", "all"],
        *["${X}", "${NONE}", "${", "$${", "file:", "file:x", "regex:(", "http://[", "http://a:99999"],
        *["\ud83d\ude00", "\x85", "\u2028"],
    ]
)
VALUES = st.recursive(
    SCALARS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | KEYS, inner, max_size=3),
    max_leaves=5,
)


def result(text: str) -> None:
    found = loaded(text)
    if isinstance(found, Config):
        assert summary(found)
    else:
        assert found.problems
        assert all(problem.line > 0 and problem.column > 0 for problem in found.problems)
        assert str(found)


def loaded(text: str) -> Config | ConfigError:
    try:
        return load_text(text, "f.yaml", {"X": "1"}, Path("/nonexistent"))
    except ConfigError as error:
        return error


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(PATHS), VALUES, min_size=1, max_size=3), st.none() | VALUES)
def test_any_value_under_any_key(changes: dict[tuple[str, ...], Any], org: Any) -> None:
    tree = json.loads(json.dumps(TREE))
    tree["orgs"]["listed"] = {"o-1": org, "o-2": {"filters": json.loads(json.dumps(TREE["filters"]))}}
    for path, value in changes.items():
        node = tree
        for key in path[:-1]:
            node = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node[path[-1]] = value

    result(json.dumps(tree, ensure_ascii=False))


@settings(max_examples=150)
@given(
    st.integers(0, len(ANNOTATED)), st.integers(0, 40), st.text(max_size=5) | st.sampled_from("[]{}&*!|>'\"%@`#,?:-\t")
)
def test_any_text_anywhere_in_the_file(start: int, length: int, text: str) -> None:
    result(ANNOTATED[:start] + text + ANNOTATED[start + length :])
