"""Three shells complete the commands and their options."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsproxy.cli import main
from support.tools import tool

TYPED = [
    (["im"], "import-settings"),
    (["re"], "replay"),
    (["replay", "--fail"], "--fail-on-undecidable"),
    (["validate", "b"], "bundle"),
]


def completed(shell: str, instruction: str, words: list[str] | None = None) -> str:
    """What the program answers to a shell."""
    env = {"_FSPROXY_COMPLETE": f"{shell}_{instruction}"}
    if words is not None:
        # fish hands over the word that is being typed, the others its place.
        place = words[-1] if shell == "fish" else str(len(words))
        env |= {"COMP_WORDS": " ".join(["fsproxy", *words]), "COMP_CWORD": place}
    return CliRunner().invoke(main, [], env=env, prog_name="fsproxy").output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(("words", "offered"), TYPED)
def test_commands_options_and_choices_are_completed(shell: str, words: list[str], offered: str) -> None:
    printed = completed(shell, "complete", words)
    assert offered in printed.replace(",", "\n").replace("\t", "\n").split("\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("words", [["replay", "audit"], ["why", "id", "--audit", "audit"], ["check", "fs"]])
def test_files_are_left_to_the_shell(shell: str, words: list[str]) -> None:
    assert "file" in completed(shell, "complete", words)


@pytest.mark.parametrize(("shell", "calls"), [("zsh", "compdef"), ("fish", "complete --no-files --command fsproxy")])
def test_the_script_for_a_shell_binds_the_program(shell: str, calls: str) -> None:
    printed = completed(shell, "source")
    assert calls in printed
    assert f"_FSPROXY_COMPLETE={shell}_complete" in printed


def test_bash_itself_completes_with_the_script(tmp_path: Path) -> None:
    """In the place of fsproxy is a program that only prints what it was asked for."""
    asked = tmp_path / "fsproxy"
    asked.write_text('#!/bin/sh\necho "plain,$_FSPROXY_COMPLETE/$COMP_CWORD"\n')
    asked.chmod(0o755)
    script = completed("bash", "source")
    done = subprocess.run(
        [
            *(tool("bash"), "--norc", "-c"),
            f'{script}\nCOMP_WORDS=(fsproxy re); COMP_CWORD=1; _fsproxy_completion fsproxy; echo "${{COMPREPLY[@]}}"',
        ],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split("\n")[-2] == "bash_complete/1", done.stderr
