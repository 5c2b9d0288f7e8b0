"""``config``: what it prints is the annotated configuration, and a configuration that starts."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from fsproxy.cli import main
from fsproxy.config.loader import load

ANNOTATED = Path(__file__).parents[2] / "config" / "fsproxy.yaml"


def test_the_annotated_configuration_is_printed_as_it_is(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["config"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == ANNOTATED.read_text("utf-8")
    (tmp_path / "fsproxy.yaml").write_text(done.stdout)
    assert load(tmp_path / "fsproxy.yaml", {}).listen.port == 8080
