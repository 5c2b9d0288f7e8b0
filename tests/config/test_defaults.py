"""Defaults stand in two places, and in a file for the reader; here they are kept the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import yaml

from fsproxy.config.loader import load, load_text
from fsproxy.config.models.orgs import OrgSection
from fsproxy.config.models.root import Root
from fsproxy.config.schema import Config, UpstreamConfig
from fsproxy.config.sections import Section

SMALLEST = "upstream: {url: http://127.0.0.1:9000}\n"
ANNOTATED = Path(__file__).parents[2] / "config" / "fsproxy.yaml"


def test_the_smallest_file_gives_the_defaults_of_the_schema() -> None:
    loaded = load_text(SMALLEST, "fsproxy.yaml", {}, Path())

    assert loaded == Config(upstream=UpstreamConfig(url="http://127.0.0.1:9000"))


def test_the_annotated_file_says_the_defaults() -> None:
    """Compared without the entries' places: in the file they have one."""
    annotated = load(ANNOTATED, {})
    cookie = annotated.core.default.filters.opt_out.cookies[0]
    assert cookie.where.startswith(f"{ANNOTATED}:")

    filters = annotated.core.default.filters
    nowhere = replace(filters, opt_out=replace(filters.opt_out, cookies=(replace(cookie, where=""),)))
    core = replace(annotated.core, default=replace(annotated.core.default, filters=nowhere))

    assert replace(annotated, core=core, files=(), hashes={}) == load_text(SMALLEST, "fsproxy.yaml", {}, Path())


def keys(section: type[Section], path: str = "") -> set[str]:
    """Every key path of the models but those of orgs.listed and of lists, whose members are free."""
    found: set[str] = set()
    for name, field in section.model_fields.items():
        inner = f"{path}{field.alias or name}"
        found.add(inner)
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Section) and kind is not OrgSection:
                found |= keys(kind, f"{inner}.")
    return found


def test_the_annotated_file_has_every_key() -> None:
    def paths(tree: Any, path: str = "") -> set[str]:
        if not isinstance(tree, dict):
            return set()
        return {f"{path}{key}" for key in tree} | {p for key, v in tree.items() for p in paths(v, f"{path}{key}.")}

    written = paths(yaml.safe_load(ANNOTATED.read_text("utf-8")))

    assert keys(Root) - written == {
        "listen.tls.cert",  # written as listen.tls: null
        "listen.tls.key",
        "filters.ramping.schedule.from",  # written as an empty list
        "filters.ramping.schedule.share",
    }


def test_the_walk_reaches_nested_and_optional_sections() -> None:
    assert {"filters.geo.source.region_header", "state.persist.every"} <= keys(Root)


def test_a_loaded_configuration_names_its_files_and_their_hashes() -> None:
    loaded = load(ANNOTATED, {})

    assert loaded.files == (str(ANNOTATED.absolute()),)
    assert set(loaded.hashes) == set(loaded.files)
    assert all(len(digest) == 64 for digest in loaded.hashes.values())
