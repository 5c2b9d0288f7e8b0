"""Every command explains its exit status and gives examples, and a mistake of the user shows no traceback."""

from __future__ import annotations

import errno
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from fsproxy.cli import main
from fsproxy.cli.documented import Documented

NAMES = main.list_commands(click.Context(main))


def command_of(name: str) -> Documented:
    """The command, which is imported now."""
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, Documented)
    return command


def run(*words: str, stdin: str | bytes = "") -> Result:
    return CliRunner().invoke(main, list(words), input=stdin, prog_name="fsproxy")


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_tells_its_exit_statuses_and_gives_examples_on_one_line(name: str) -> None:
    command = command_of(name)
    printed = run(name, "--help").output
    assert "Exit status:" in printed
    assert {0, 2} <= set(command.statuses)
    for status, text in command.statuses.items():
        assert f"  {status}  {text}" in printed
    assert command.examples
    for example in command.examples:
        assert f"  {example}\n" in printed


@pytest.mark.parametrize("name", NAMES)
def test_an_example_names_only_options_and_arguments_that_there_are(name: str) -> None:
    command = command_of(name)
    for example in command.examples:
        words = shlex.split(example.rpartition("| ")[2].partition(" > ")[0])
        assert words[:2] == ["fsproxy", name]
        with click.Context(main) as above:
            parser = command.make_parser(click.Context(command, parent=above, info_name=name))
            parser.parse_args(words[2:])


def test_the_groups_help_says_what_exit_statuses_mean_and_how_to_complete() -> None:
    printed = run("--help").output
    for word in ("Exit status", "  0 ", "  1 ", "  2 ", "  3 ", "_FSPROXY_COMPLETE", *NAMES):
        assert word in printed


MISTAKES = {
    "check": ["{file}"],
    "serve": ["--config", "{file}"],
    "doctor": ["--config", "{file}"],
    "explain": ["--config", "{file}"],
    "explain, a request": ["--config", "{good}", "--request", "{file}"],
    "validate": ["event", "{file}"],
    "validate, a bundle": ["bundle", "{file}"],
    "why": ["x", "--audit", "{file}"],
    "why, rules": ["x", "--audit", "{good}", "--config", "{file}"],
    "replay": ["{file}", "--config", "{good}"],
    "replay, rules": ["{good}", "--config", "{file}"],
    "replay, old rules": ["{good}", "--config", "{good}", "--against", "{file}"],
    "import-settings": ["{file}"],
    "try": ["{file}"],
}
CONTENTS = {
    "a folder": None,
    "nothing": b"",
    "no text": bytes(range(256)) * 9,
    "cut gzip": b"\x1f\x8b\x08\x00cut",
    "JSON of another kind": b"[1, 2]\n",
    "deep JSON": b"[" * 100_000,
    "YAML that is none": b"a: [b\n\tc: *d",
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", MISTAKES)
def test_a_file_of_the_wrong_kind_is_reported_and_never_traced(tmp_path: Path, name: str, content: str) -> None:
    file, good = tmp_path / "file", tmp_path / "good.yaml"
    held = CONTENTS[content]
    file.mkdir() if held is None else file.write_bytes(held)
    good.write_text("upstream: {url: http://127.0.0.1:9000}\n")
    words = [word.format(file=file, good=good) for word in MISTAKES[name]]
    done = run(name.partition(",")[0], *words)
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in {1, 2}
    assert done.stderr or name == "validate"


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["--header", "no-colon"], "--header"),
        (["--country", "USA"], "--country"),
        (["--country", "U"], "--country"),
        (["--ip", "10.0.0"], "--ip"),
    ],
)
def test_an_option_that_means_nothing_is_wrong_usage_and_named(tmp_path: Path, words: list[str], printed: str) -> None:
    config = tmp_path / "fsproxy.yaml"
    config.write_text("upstream: {url: http://127.0.0.1:9000}\n")
    done = run("explain", "--config", str(config), "--url", "https://www.example.com/", *words)
    assert (done.exit_code, printed in done.stderr) == (2, True)


def test_what_was_not_given_is_named_where_it_decides(tmp_path: Path) -> None:
    config = tmp_path / "fsproxy.yaml"
    config.write_text("upstream: {url: http://127.0.0.1:9000}\n")
    nothing = run("explain", "--config", str(config))
    assert (nothing.exit_code, nothing.stdout) == (2, "")
    assert "--url: every page has one" in " ".join(nothing.stderr.split())
    config.write_text(
        "upstream: {url: http://127.0.0.1:9000}\norgs: {unlisted: block}\nfilters: {ip: {block: [10.0.0.1]}}\n"
    )
    page = ("explain", "--config", str(config), "--url", "https://www.example.com/")
    assert "what was not given: --org, --ip." in run(*page).stdout
    assert "not given" not in run(*page, "--org", "o-1", "--ip", "10.0.0.2").stdout


def test_a_full_disk_is_reported() -> None:
    """Another fault of the system is a fault of ours, and is shown whole."""

    @click.command()
    @click.argument("number", type=int)
    def fails(number: int) -> None:
        raise OSError(number, "said by the system")

    group = type(main)("group", commands={"fails": fails})
    done = CliRunner().invoke(group, ["fails", str(errno.ENOSPC)])
    assert (done.exit_code, done.stderr) == (1, "Error: cannot write: said by the system\n")
    assert isinstance(CliRunner().invoke(group, ["fails", str(errno.EBADF)]).exception, OSError)
