"""Every kind of broken configuration, and the whole of what ``check`` prints about it: see ``broken.txt``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsproxy.cli import main
from support.tools import tool

KINDS = Path(__file__).parent / "broken.txt"
NAME, PRINTED = "==== ", "----\n"
HOST = "(this machine) "
"""The beginning of the name of a kind for which the machine is looked at."""


def kinds() -> list[tuple[str, str, str]]:
    """The name, the file and what is printed."""
    parts = [part.partition("\n") for part in KINDS.read_text("utf-8").split(NAME)[1:]]
    halves = [(name, rest.partition(PRINTED)) for name, _, rest in parts]
    return [(name, text.replace("<TAB>", "\t").replace("<NUL>", "\0"), said) for name, (text, _, said) in halves]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the files name."""
    made = tmp_path_factory.mktemp("configurations")
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2", "-subj", "/CN=a", "-x509"]
    for name, more in (("own", ["-nodes"]), ("other", ["-nodes"]), ("locked", ["-passout", "pass:x"])):
        command = [tool("openssl"), "req", *options, *more, "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run(command, cwd=made, check=True, capture_output=True)
    (made / "folder").mkdir()
    (made / "link").symlink_to("audit.jsonl")
    (made / "empty.pem").write_text("")
    (made / "list.txt").write_text("# addresses\n10.0.0.1\n10.0.0.300\n")
    (made / "latin.txt").write_bytes(b"a\nb\xe9\n")
    return made


@pytest.mark.parametrize(("name", "text", "printed"), kinds(), ids=[name for name, _, _ in kinds()])
def test_a_broken_configuration_prints_this(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, printed: str
) -> None:
    monkeypatch.chdir(folder)
    Path("f.yaml").write_text(text)
    done = CliRunner(env={"EMPTY": "", "PASSWORD": "hunter2", "UNSET": None}).invoke(
        main, ["check", "f.yaml"] if name.startswith(HOST) else ["check", "--no-host", "f.yaml"]
    )
    assert (done.stderr, done.stdout, done.exit_code) == (printed, "", 1)
    assert isinstance(done.exception, SystemExit)
    assert "hunter2" not in printed


def test_there_are_some_fifty_kinds_each_with_a_name_of_its_own() -> None:
    assert len({name for name, _, _ in kinds()}) == len(kinds()) >= 50
