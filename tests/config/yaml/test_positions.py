"""YAML 1.2 and JSON, with the place of everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError, Place, Problem
from fsproxy.config.schema import Config, UpstreamConfig
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Sequence, Table
from fsproxy.config.yaml.tree import parse


def tree(text: str) -> Table:
    problems: list[Problem] = []
    found = parse(text, "f.yaml", {}, problems)
    assert problems == []
    assert isinstance(found, Table)
    return found


def item(node: Node, index: int) -> Node:
    assert isinstance(node, Sequence)
    return node.items[index]


def test_every_node_knows_its_path_its_place_and_its_keys_place() -> None:
    root = tree("a:\n  - x\n  - {b: [1,\n      y]}\n")

    deepest = root.members["a"]
    deepest = item(deepest, 1)
    assert isinstance(deepest, Table)
    assert deepest.path == "a[1]"
    inner = deepest.members["b"]
    assert (inner.place, inner.key_place) == (Place("f.yaml", 3, 9), Place("f.yaml", 3, 6))
    last = item(inner, 1)
    assert (last.path, last.place, last.key_place) == ("a[1].b[1]", Place("f.yaml", 4, 7), Place("f.yaml", 4, 7))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NO", Kind.TEXT),
        ("no", Kind.TEXT),
        ("on", Kind.TEXT),
        ("off", Kind.TEXT),
        ("yes", Kind.TEXT),
        ("y", Kind.TEXT),
        ("12:30:45", Kind.TEXT),
        ("1_000", Kind.TEXT),
        ("2026-01-01", Kind.TEXT),
        ("'true'", Kind.TEXT),
        ('"1"', Kind.TEXT),
        ("<<", Kind.TEXT),
        ("nan", Kind.TEXT),
        ("true", Kind.BOOL),
        ("FALSE", Kind.BOOL),
        ("010", Kind.INT),
        ("0o17", Kind.INT),
        ("0x1F", Kind.INT),
        ("-7", Kind.INT),
        ("1e3", Kind.FLOAT),
        (".nan", Kind.FLOAT),
        ("1.10", Kind.FLOAT),
        ("null", Kind.NULL),
        ("~", Kind.NULL),
        ("", Kind.NULL),
    ],
)
def test_scalars_are_what_yaml_1_2_says(text: str, kind: Kind) -> None:
    found = tree(f"a: {text}\n").members["a"]

    assert isinstance(found, Scalar)
    assert found.kind is kind


def test_the_countries_of_norway_and_ontario_stay_texts() -> None:
    loaded = load_text("upstream: {url: http://a}\nfilters: {geo: {never: [NO, CA-ON]}}", "f.yaml", {}, Path())

    assert [entry.text for entry in loaded.core.default.filters.geo.never] == ["NO", "CA-ON"]


def test_entries_are_taken_as_they_are_written() -> None:
    """A version of 1.10 is not 1.1, and a placeholder of null is the text null."""
    text = "upstream: {url: http://a}\nfilters: {script: {blocked_versions: [1.10, 0x1F, 007, true]}}\n"
    text += "client_api: {blocked_uids: [null, 0, NaN]}"
    loaded = load_text(text, "f.yaml", {}, Path())

    assert [entry.text for entry in loaded.core.default.filters.script.blocked_versions] == [
        "1.10",
        "0x1F",
        "007",
        "true",
    ]
    assert loaded.core.default.client_api.blocked_uids == {"null", "0", "nan"}


def test_a_port_of_eight_with_zeros_is_decimal() -> None:
    loaded = load_text("upstream: {url: http://a}\nlisten: {port: 0080}\nadmin: {port: 0x50}", "f.yaml", {}, Path())

    assert (loaded.listen.port, loaded.admin.port) == (80, 80)


def test_aliases_stand_for_what_they_name() -> None:
    text = "upstream: {url: http://a}\nfilters: {ip: {block: &all [10.0.0.1], allow: *all}}"
    loaded = load_text(text, "f.yaml", {}, Path())

    assert loaded.core.default.filters.ip.allow == loaded.core.default.filters.ip.block


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_a_configuration_too(indent: int | str | None) -> None:
    text = json.dumps({"upstream": {"url": "http://a/ü"}, "workers": 1, "admin": {"token": None}}, indent=indent)

    assert load_text(text, "f.json", {}, Path()) == Config(upstream=UpstreamConfig(url="http://a/ü"))


def test_a_fault_in_json_has_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text('{\n\t"upstream": {"url": "http://a"},\n\t"workers": "x"\n}', "f.json", {}, Path())

    assert str(caught.value).startswith('f.json:3:13: workers: "x" is not')


def test_columns_count_characters() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("upstream: {url: http://a}\nlog: {format: auto, 'ü€😀': 1, level: loud}\n", "f.yaml", {}, Path())

    assert [(p.line, p.column, p.key_path) for p in caught.value.problems] == [
        (2, 21, "log.ü€😀"),
        (2, 38, "log.level"),
    ]


def test_a_section_with_every_key_commented_out_has_its_defaults() -> None:
    text = "upstream: {url: http://a}\nfilters:\n  ip:\n    # block: []\nserver:\norgs:\n  listed:\n"

    assert load_text(text, "f.yaml", {}, Path()) == Config(upstream=UpstreamConfig(url="http://a"))


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    from fsproxy.config.loader import load

    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xef\xbb\xbfupstream:\r\n  url: http://a\r\n")

    assert load(file, {}).upstream.url == "http://a"


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_libraries_may_escape_every_character(indent: int | str | None) -> None:
    names = {"o-ü": {}, "o-😀": {"filters": {"user_agent": {"block": ["😀\u2028\u0080", "half 𝄞 and \\ud83d"]}}}}
    text = json.dumps({"upstream": {"url": "http://a"}, "orgs": {"listed": names}}, indent=indent, ensure_ascii=True)
    orgs = load_text(text.replace("/", "\\/"), "f.json", {}, Path()).core.orgs

    assert list(orgs) == ["o-ü", "o-😀"]
    assert [entry.text for entry in orgs["o-😀"].filters.user_agent.block] == ["😀\u2028\u0080", "half 𝄞 and \\ud83d"]


def test_a_fault_behind_an_escaped_emoji_has_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text('{"orgs": {"listed": {"\\ud83d\\ude00": {}}}, "mode": "x"}', "f.json", {}, Path())

    assert [str(each)[:18] for each in caught.value.problems] == ["f.json:1:1: upstre", "f.json:1:52: mode:"]


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ude00\ud83d"])
def test_half_a_character_is_a_fault(half: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f'{{"upstream": {{"url": "http://a"}}, "audit": {{"to": "a{half}"}}}}', "f.json", {}, Path())

    (problem,) = caught.value.problems
    assert str(problem).startswith("f.json:1:51: audit.to: holds half a character; allowed: both halves")
