"""What does not need the program does not import it: the help answers at once, and a checkout needs no installation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGE = {"aiohttp", "redis", "yaml", "re2", "prometheus_client", "structlog", "msgspec", "uvloop"}
RUN = """\
import contextlib, io, json, sys
sys.argv = ["fsproxy", *sys.argv[1:]]
from fsproxy.cli import main
with contextlib.redirect_stdout(io.StringIO()) as printed:
    main(standalone_mode=False, prog_name="fsproxy")
print(json.dumps([printed.getvalue(), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def run(*words: str, program: str = RUN, python: tuple[str, ...] = ()) -> str:
    """What a program in a process of its own prints."""
    command = [sys.executable, *python, "-c", program, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("word", "printed"), [("--help", "import-settings"), ("--version", "fsproxy, version ")])
def test_the_help_and_the_version_import_no_large_package(word: str, printed: str) -> None:
    output, imported = json.loads(run(word))
    assert printed in output
    assert "click" in imported
    assert LARGE.isdisjoint(imported)


def test_a_command_imports_its_own_module_alone() -> None:
    _, imported = json.loads(run("schema"))
    assert "msgspec" in imported
    assert {"aiohttp", "redis", "prometheus_client"}.isdisjoint(imported)


def test_the_package_is_imported_from_a_checkout_without_an_installation() -> None:
    """Without site-packages there is neither metadata nor any dependency."""
    program = "import sys; sys.path.insert(0, '.'); import fsproxy; print(fsproxy.__version__)"
    assert run(program=program, python=("-I", "-S")) != ""
