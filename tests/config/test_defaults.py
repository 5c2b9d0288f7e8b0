"""Defaults stand in two places, and in a file for the reader; here they are kept the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from fsproxy.config.loader import load, load_text
from fsproxy.config.models import Root
from fsproxy.config.schema import Config, UpstreamConfig
from fsproxy.config.sections import Section

SMALLEST = "upstream: {url: http://127.0.0.1:9000}\n"
ANNOTATED = Path(__file__).parents[2] / "config" / "fsproxy.yaml"


def test_the_smallest_file_gives_the_defaults_of_the_schema() -> None:
    loaded = load_text(SMALLEST, "fsproxy.yaml", {}, Path())

    assert loaded == Config(upstream=UpstreamConfig(url="http://127.0.0.1:9000"))


def test_the_annotated_file_says_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared without the entries' places: in the file they have one."""
    annotated = load(ANNOTATED, {})
    smallest = load_text(SMALLEST, "fsproxy.yaml", {}, Path())
    cookie = annotated.core.default.filters.opt_out.cookies[0]

    assert cookie.where.startswith(f"{ANNOTATED}:")
    assert repr(annotated).replace(cookie.where, "").replace(repr(annotated.files), "()") == repr(smallest)


def keys(section: type[Section], path: str = "") -> dict[str, type[Section] | None]:
    """Every key path of the models; orgs apart, whose keys are free."""
    found: dict[str, type[Section] | None] = {}
    for name, field in section.model_fields.items():
        inner = f"{path}{field.alias or name}"
        found[inner] = None
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            found |= keys(field.annotation, f"{inner}.")
    return found


def test_the_annotated_file_has_every_key() -> None:
    def paths(tree: Any, path: str = "") -> set[str]:
        if not isinstance(tree, dict):
            return set()
        return {f"{path}{key}" for key in tree} | {p for key, v in tree.items() for p in paths(v, f"{path}{key}.")}

    written = paths(yaml.safe_load(ANNOTATED.read_text("utf-8")))

    assert keys(Root).keys() - written == set()


def test_every_section_of_the_models_is_reached_by_the_walk() -> None:
    assert "filters.geo.source.region_header" in keys(Root)
    assert not any(get_args(section) for section in keys(Root).values())


def test_a_loaded_configuration_names_its_files_and_their_hashes() -> None:
    loaded = load(ANNOTATED, {})

    assert loaded.files == (str(ANNOTATED.absolute()),)
    assert set(loaded.hashes) == set(loaded.files)
    assert all(len(digest) == 64 for digest in loaded.hashes.values())
