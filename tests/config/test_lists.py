"""Entries, and the files that hold them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fsproxy.config.loader import load, load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config
from fsproxy.core.settings import DomainRule, Entry, ListedEntry

UPSTREAM = "upstream: {url: http://a}\n"


def in_folder(folder: Path, text: str, **lists: str | bytes) -> Path:
    for name, content in lists.items():
        (folder / f"{name}.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    file = folder / "f.yaml"
    file.write_text(UPSTREAM + text, "utf-8")
    return file


def loaded(text: str) -> Config:
    return load_text(UPSTREAM + text, "f.yaml", {}, Path())


def test_every_entry_knows_where_it_stands() -> None:
    config = loaded("filters:\n  ip:\n    block:\n      - 10.0.0.1\n      - '10.0.0.0/8'\n    allow: ['::1']")

    assert config.core.default.filters.ip.block == (
        Entry("10.0.0.1", "f.yaml:5:9"),
        Entry("10.0.0.0/8", "f.yaml:6:9"),
    )
    assert config.core.default.filters.ip.allow == (Entry("::1", "f.yaml:7:13"),)


def test_a_section_tells_where_its_keys_stand() -> None:
    config = loaded("filters:\n  opt_out: {gpc: true, cookies: []}")

    assert config.core.default.filters.opt_out.places == {"gpc": "f.yaml:3:18", "cookies": "f.yaml:3:33"}


def test_domain_rules_keep_their_order_verb_and_id() -> None:
    config = loaded("filters: {domain: {rules: [{capture: a.example}, {block: '*.example', id: rest}]}}")

    assert config.core.default.filters.domain.rules == (
        DomainRule(capture=True, pattern=Entry("a.example", "f.yaml:2:38")),
        DomainRule(capture=False, pattern=Entry("*.example", "f.yaml:2:58", "rest")),
    )


def test_domain_rules_may_have_a_path_a_share_and_an_end() -> None:
    config = loaded(
        "filters: {domain: {rules: [{block: '**', path: /account/**, until: 2027-03-01},"
        " {capture: a.example, share: 12.5%, id: some}]}}"
    )

    assert config.core.default.filters.domain.rules == (
        DomainRule(False, Entry("**", "f.yaml:2:36"), "/account/**", None, 1_803_859_200),
        DomainRule(True, Entry("a.example", "f.yaml:2:91", "some"), None, 0.125, None),
    )


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("{block: a, share: 10%}", "share: is not a known key; allowed: id, path, until"),
        ("{block: a, pathh: /x}", "pathh: is not a known key (did you mean path?); allowed: id, path, until"),
        ("{capture: a, path: x}", 'path: "x" is not a path pattern'),
        ("{capture: a, path: '/a?b'}", 'path: "/a?b" is not a path pattern'),
        ("{capture: a, share: 101%}", 'share: "101%" is not a share; allowed: 0% to 100%'),
        ("{capture: a, until: tomorrow}", 'until: "tomorrow" is not a date; allowed: a date such as 2026-01-31'),
        ("{path: /x}", "is not a rule; allowed: {capture: PATTERN} or {block: PATTERN}, and id, path, share, until"),
    ],
)
def test_what_a_domain_rule_cannot_have_is_said_at_its_place(rule: str, fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(f"filters: {{domain: {{rules: [{rule}]}}}}")

    (problem,) = raised.value.problems
    assert fault in str(problem)


def test_any_rule_may_have_an_id() -> None:
    config = loaded("filters: {ip: {block: [{pattern: 10.0.0.1, id: printer}]}}")

    assert config.core.default.filters.ip.block == (Entry("10.0.0.1", "f.yaml:2:34", "printer"),)


def test_a_file_stands_for_its_lines_but_for_blank_ones_and_comments(tmp_path: Path) -> None:
    file = in_folder(
        tmp_path,
        "filters: {ip: {block: [10.0.0.1, 'file:ips.txt', 10.0.0.9]}}",
        ips="# printers\n10.0.0.2\r\n\n  10.0.0.3  \n  # more\n10.0.0.4",
    )

    config = load(file, {})

    ips = tmp_path / "ips.txt"
    assert config.core.default.filters.ip.block == (
        Entry("10.0.0.1", f"{file}:2:24"),
        ListedEntry("10.0.0.2", f"{ips}:2:1"),
        ListedEntry("10.0.0.3", f"{ips}:4:1"),
        ListedEntry("10.0.0.4", f"{ips}:6:1"),
        Entry("10.0.0.9", f"{file}:2:50"),
    )


def test_every_file_is_named_with_its_hash(tmp_path: Path) -> None:
    file = in_folder(
        tmp_path,
        "filters: {deleting_user: {block: ['file:users.txt']}, blocked_user: {block: ['file:users.txt']}}",
        users="u-1\n",
    )

    config = load(file, {})

    assert config.files == (str(file), str(tmp_path / "users.txt"))
    assert config.hashes == {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in config.files}


def test_a_file_of_a_domain_rule_is_a_rule_for_each_line(tmp_path: Path) -> None:
    file = in_folder(tmp_path, "filters: {domain: {rules: [{block: 'file:d.txt'}]}}", d="a.example\nb.example\n")

    rules = load(file, {}).core.default.filters.domain.rules

    assert [(rule.capture, rule.pattern.text) for rule in rules] == [(False, "a.example"), (False, "b.example")]


def test_other_lists_may_come_from_files_too(tmp_path: Path) -> None:
    file = in_folder(tmp_path, "client_ip: {trusted_proxies: ['file:lb.txt']}", lb="10.0.0.0/8\n::1\n")

    assert list(map(str, load(file, {}).client_ip.trusted_proxies)) == ["10.0.0.0/8", "::1/128"]


def test_a_wrong_line_is_a_fault_of_its_file(tmp_path: Path) -> None:
    file = in_folder(
        tmp_path,
        "mode: x\nfilters: {ip: {block: ['file:ips.txt']}}",
        ips="10.0.0.2\n\n999.0.0.1\n10.0.0.0/64\n",
    )

    with pytest.raises(ConfigError) as caught:
        load(file, {})

    ips = str(tmp_path / "ips.txt")
    assert [(p.file, p.line, p.column, p.key_path, p.value) for p in caught.value.problems] == [
        (str(file), 2, 7, "mode", '"x"'),
        (ips, 3, 1, "filters.ip.block[0]", '"999.0.0.1"'),
        (ips, 4, 1, "filters.ip.block[0]", '"10.0.0.0/64"'),
    ]


@pytest.mark.parametrize(
    "text", ["filters: {on_bundles: ['file:l.txt']}", "client_api: {rate: {event: ['file:l.txt']}}"]
)
def test_a_wrong_line_of_a_list_of_values_is_one_fault(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(in_folder(tmp_path, text, l="nonsense\n"), {})

    assert [(p.file, p.line) for p in caught.value.problems] == [(str(tmp_path / "l.txt"), 1)]


def test_a_file_that_cannot_be_used_is_a_fault_of_the_entry(tmp_path: Path) -> None:
    file = in_folder(
        tmp_path,
        "filters: {deleting_user: {block: ['file:none.txt', 'file:latin.txt', 'file:.', \"file:a\\0b\"]}}",
        latin=b"a\n\xe9\n",
    )

    with pytest.raises(ConfigError) as caught:
        load(file, {})

    assert [(p.line, p.column) for p in caught.value.problems] == [(2, 35), (2, 52), (2, 70), (2, 80)]
    assert [p.fault.split(":")[0] for p in caught.value.problems] == [
        "is not there",
        "is not UTF-8 in line 2",
        "cannot be read",
        "cannot be read",
    ]


def test_an_id_cannot_be_shared_by_the_lines_of_a_file(tmp_path: Path) -> None:
    file = in_folder(tmp_path, "filters: {ip: {block: [{pattern: 'file:ips.txt', id: x}]}}", ips="::1\n")

    with pytest.raises(ConfigError, match="cannot share an id"):
        load(file, {})


def test_lists_are_relative_to_the_configuration_not_to_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    in_folder(tmp_path / "conf", "filters: {ip: {block: ['file:ips.txt']}}", ips="::1\n")
    monkeypatch.chdir(tmp_path)

    config = load(Path("conf/f.yaml"), {})

    assert config.core.default.filters.ip.block == (ListedEntry("::1", "conf/ips.txt:1:1"),)
    assert config.files == (str(tmp_path / "conf" / "f.yaml"), str(tmp_path / "conf" / "ips.txt"))


def test_many_lines_are_all_there(tmp_path: Path) -> None:
    lines = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(100_000)]
    file = in_folder(tmp_path, "filters: {ip: {block: ['file:ips.txt']}}", ips="\n".join(lines))

    assert [entry.text for entry in load(file, {}).core.default.filters.ip.block] == lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, ":1:1: is not there"),
        (b"mode: enforce\n# \xff\n", ":2:1: is not UTF-8 in line 2"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_a_fault(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "f.yaml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load(file, {})

    assert str(caught.value) == f"{file}{message}"


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


def test_a_comment_may_stand_behind_an_entry(tmp_path: Path) -> None:
    (tmp_path / "ip.txt").write_text("# all\n10.0.0.1 # office\n10.0.0.2\t#printer\n  10.0.0.3  \n #10.0.0.4\n")
    (tmp_path / "uid.txt").write_text("Customer #12\nann#1 # left in May\nbob #\n")
    (tmp_path / "agent.txt").write_text("Bot #1\nregex:a\\s#b  # of ours\n")
    config = load(
        in_folder(
            tmp_path,
            "filters: {ip: {block: ['file:ip.txt']}, deleting_user: {block: ['file:uid.txt']}, "
            "user_agent: {block: ['file:agent.txt']}}",
        ),
        {},
    ).core.default.filters

    assert [entry.text for entry in config.ip.block] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert [entry.text for entry in config.deleting_user.block] == ["Customer #12", "ann#1", "bob"]
    assert [entry.text for entry in config.user_agent.block] == ["Bot #1", "regex:a\\s#b"]


def test_a_fault_beside_a_comment_shows_the_entry_alone(tmp_path: Path) -> None:
    (tmp_path / "ip.txt").write_text("10.0.0.x # office\n")
    with pytest.raises(ConfigError) as caught:
        load(in_folder(tmp_path, "filters: {ip: {block: ['file:ip.txt']}}"), {})

    (problem,) = caught.value.problems
    assert (problem.line, problem.value) == (1, '"10.0.0.x"')
