"""``fsproxy lists``: what it asks for, and what is wrong usage. docs/how-to/lists.md shows the rest, and is run."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fsproxy.cli import main
from fsproxy.cli.lists import _questions, _read
from support.ports import free_ports


def run(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["lists", *words], input=stdin, prog_name="fsproxy")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "geo", "DE", "--for", "1d"), "'geo' is not one of"),
        (("add", "ip"), "add what?"),
        (("remove",), "remove what?"),
        (("add", "ip", "10.0.0.1"), "--for belongs to add"),
        (("remove", "ip", "10.0.0.1", "--for", "1d"), "--for belongs to add"),
        (("show", "ip", "10.0.0.1"), "show takes a name at the most"),
        (("show", "--admin", "127.0.0.1:8081"), "http://HOST or https://HOST"),
    ],
)
def test_what_has_no_meaning_is_wrong_usage(words: tuple[str, ...], told: str) -> None:
    done = run(*words)
    assert (done.exit_code, told in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_an_empty_standard_input_changes_nothing() -> None:
    assert run("add", "ip", "-", "--for", "1d", stdin="# nobody\n\n").exit_code == 2


def test_a_proxy_that_is_not_there_is_said_with_its_address_from_the_file(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = tmp_path / "fsproxy.yaml"
    config.write_text(f"upstream: {{url: http://127.0.0.1:9000}}\nadmin: {{port: {port}}}\n")
    for words in (("--config", str(config)), ("--admin", f"http://127.0.0.1:{port}")):
        done = run("add", "deleting_user", "-", "--for", "1d", *words, stdin="ann # a comment\nb#n\n")
        assert (done.exit_code, done.stdout) == (1, "")
        assert f"the admin port http://127.0.0.1:{port} is not reached" in done.stderr
        assert "ann" not in done.stderr


def test_many_entries_are_sent_in_several_requests() -> None:
    users = [f"u{number}" for number in range(2_001)]
    asked = _questions("add", "blocked_user", users, "1d")
    assert [(name, len(wish["add"]), wish["for"]) for name, wish in asked if wish is not None] == [
        ("blocked_user", 1_000, "1d"),
        ("blocked_user", 1_000, "1d"),
        ("blocked_user", 1, "1d"),
    ]
    assert _questions("remove", "ip", ["10.0.0.1"], None) == [("ip", {"remove": ["10.0.0.1"]})]
    assert _questions("show", None, [], None) == [("blocked_user", None), ("deleting_user", None), ("ip", None)]


def test_what_is_read_has_the_comments_of_a_list_file(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "# all of them\nCustomer #12\nann # left us\n10.0.0.1 #office\n"
    monkeypatch.setattr("sys.stdin", StringIO(lines))
    assert _read(("-",), "blocked_user") == ["Customer #12", "ann", "10.0.0.1 #office"]
    monkeypatch.setattr("sys.stdin", StringIO(lines))
    assert _read(("-",), "ip")[-1] == "10.0.0.1"
