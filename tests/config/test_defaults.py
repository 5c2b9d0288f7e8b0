"""Defaults are in the table of keys, and in a file for people; here they are kept the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from fsproxy.config.key_tree import ROOT, Group, keys_of
from fsproxy.config.loader import load, load_text
from fsproxy.config.schema import Config, UpstreamConfig
from fsproxy.core.keys import SectionOf

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


def keys(group: Group, path: str = "") -> set[str]:
    """Every key path but those of orgs.listed, whose keys are free."""
    found: set[str] = set()
    for name, member in group.members.items():
        inner = f"{path}{name}"
        found.add(inner)
        if isinstance(member, Group):
            found |= keys(member, f"{inner}.")
        elif isinstance(reader := member[0][1].reader, SectionOf):
            found |= keys(keys_of(reader.kind), f"{inner}.")
    return found


def test_the_annotated_file_has_every_key() -> None:
    def paths(tree: Any, path: str = "") -> set[str]:
        if not isinstance(tree, dict):
            return set()
        return {f"{path}{key}" for key in tree} | {p for key, v in tree.items() for p in paths(v, f"{path}{key}.")}

    written = paths(yaml.safe_load(ANNOTATED.read_text("utf-8")))

    assert keys(ROOT) - written == {
        "listen.tls.cert",  # written as listen.tls: null
        "listen.tls.key",
        "filters.ramping.schedule.from",  # written as an empty list
        "filters.ramping.schedule.share",
        "upstream.rewrite.path",
        "upstream.rewrite.to",
        *(f"state.redis.sentinel.{name}" for name in ("master", "nodes", "username", "password", "tls")),
        *(f"state.redis.tls.{name}" for name in ("verify", "ca", "cert", "key")),
        *(f"redact.rules.{name}" for name in ("mask", "exclude", "hash", "in", "id", "mode")),
    }


def test_the_walk_reaches_nested_and_optional_sections() -> None:
    assert {"filters.geo.source.region_header", "state.persist.every"} <= keys(ROOT)


def test_a_loaded_configuration_names_its_files_and_their_hashes() -> None:
    loaded = load(ANNOTATED, {})

    assert loaded.files == (str(ANNOTATED.absolute()),)
    assert set(loaded.hashes) == set(loaded.files)
    assert all(len(digest) == 64 for digest in loaded.hashes.values())
