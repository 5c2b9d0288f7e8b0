"""Merge keys, and top-level keys that are there for anchors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fsproxy.config.loader import lists_in, load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config
from support.documents import text_of

UPSTREAM = "upstream: {url: http://a}\n"


def loaded(text: str, **environ: str) -> Config:
    return load_text(UPSTREAM + text, "f.yaml", environ, Path())


def faults(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(text, **environ)
    return [str(problem) for problem in caught.value.problems]


def test_a_merge_key_adds_what_is_not_there() -> None:
    config = loaded("x-limits: &limits\n  max_body: 1MB\n  max_page: 2KB\nserver:\n  max_page: 3KB\n  <<: *limits\n")

    assert (config.server.max_body, config.server.max_page) == (1 << 20, 3 << 10)


def test_of_several_sources_the_first_wins_and_what_they_merge_comes_along() -> None:
    config = loaded("""
x-a: &a {max_body: 1MB}
x-b: &b {<<: *a, max_page: 2KB}
x-c: &c {max_page: 4KB, max_header: 5KB, max_body: 6MB}
server: {<<: [*b, *c]}
""")

    assert (config.server.max_page, config.server.max_body, config.server.max_header) == (2 << 10, 1 << 20, 5 << 10)


def test_orgs_share_a_section_by_merging() -> None:
    config = loaded("""
x-strict: &strict
  filters: {geo: {never: [FR]}, url: {max_length: 9}}
orgs:
  listed:
    o-1: *strict
    o-2: {<<: *strict, mobile: false}
""")

    one, two = config.core.orgs["o-1"], config.core.orgs["o-2"]
    assert one.filters.geo.never == two.filters.geo.never
    assert (one.mobile, two.mobile, two.filters.url.max_length) == (True, False, 9)


def test_what_is_merged_keeps_the_place_where_it_is_written() -> None:
    config = loaded("x-ip: &ip\n  block: [10.0.0.1]\nfilters: {ip: {<<: *ip}}\n")
    assert config.core.default.filters.ip.block[0].where == "f.yaml:3:11"

    blok, address = faults("x-ip: &ip\n  blok: 1\n  allow: [10.0.0]\nfilters: {ip: {<<: *ip}}\n")
    assert blok.startswith("f.yaml:3:3: filters.ip.blok: is not a known key (did you mean block?)")
    assert address.startswith('f.yaml:4:11: filters.ip.allow[0]: "10.0.0" is not an address pattern')


def test_a_whole_file_may_be_merged() -> None:
    assert (
        load_text("x-all: &all {upstream: {url: http://a}, mode: shadow}\n<<: *all\n", "f", {}, Path()).mode == "shadow"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x-a: &a {mode: off, mode: shadow}\nfilters: {ip: {<<: *a}, geo: *a}", "2:21: x-a.mode: is there twice"),
        ("server: {drain: 1s, <<: {max_body: 1MB}, drain: 2s}", "2:42: server.drain: is there twice"),
        ("x-a: &a {}\nserver: {<<: *a, <<: *a}", "3:18: server.<<: is there twice"),
        ("server: {<<: 7}", "2:14: server.<<: cannot be merged; allowed: an alias of a mapping"),
        ("server: {<<: [{}, [7]]}", "2:19: server.<<: cannot be merged"),
        ("server: &s {<<: *s}", "2:9: server.<<: cannot be merged"),
        ("server: {'<<': {}}", "2:10: server.<<: is not a known key"),
        ("server: {x-drain: 1s}", "2:10: server.x-drain: is not a known key"),
        ("x-a: &a {drain: '${NONE}'}\nserver: {<<: *a}", "2:17: server.drain: *** refers to NONE, which"),
    ],
)
def test_a_fault_is_told_once_where_it_is_written(text: str, fault: str) -> None:
    (found,) = faults(text)
    assert found.startswith(f"f.yaml:{fault}")


def test_merging_that_grows_without_bound_is_refused() -> None:
    keys = ", ".join(f"k{number}: 1" for number in range(400))
    (found,) = faults(f"x-a: &a {{{keys}}}\nserver: {{<<: [{', '.join(['*a'] * 300)}]}}")
    assert "is repeated too often by aliases" in found


def test_keys_for_anchors_are_not_read_by_themselves() -> None:
    config = loaded("x-any: [1, {a: '${NOT_SET}'}]\nx-list: ['file:not-there.txt']\nmode: shadow")

    assert config == loaded("mode: shadow")
    assert lists_in("x-a: ['file:a.txt']\nfilters: {ip: {block: ['file:b.txt']}}", {}) == ["b.txt"]


def test_a_secret_that_is_merged_is_a_text_and_shown_nowhere() -> None:
    text = "x-a: &a {token: '${T}', read_token: hunter2, port: x}\nadmin: {<<: *a, token: hunter3}"
    with pytest.raises(ConfigError) as caught:
        loaded(text, T="12345")
    shown = "".join(f"{problem}{problem.excerpt}" for problem in caught.value.problems)
    assert "hunter" not in shown

    assert loaded("x-a: &a {token: '${T}'}\nadmin: {<<: *a}", T="12345").admin.token == "12345"


def test_the_example_of_the_reference_says_each_thing_once() -> None:
    (example,) = re.findall(r"```yaml\n(x-.*?)```", text_of("reference/configuration.md"), re.DOTALL)
    orgs = load_text(example, "f.yaml", {}, Path()).core.orgs
    assert {name: org.filters.url.max_length for name, org in orgs.items()} == {"o-SHOP-na1": 2048, "o-NEWS-na1": 512}
    assert all([zone.text for zone in org.filters.geo.never] == ["EU"] for org in orgs.values())
