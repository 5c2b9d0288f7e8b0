"""The shell's tab key knows the commands and their options."""

from __future__ import annotations

import pytest
from click.shell_completion import BashComplete

from fsproxy.cli import main


@pytest.mark.parametrize(
    ("typed", "incomplete", "offered"),
    [([], "im", ["import-settings"]), ([], "re", ["replay"]), (["replay"], "--fail", ["--fail-on-undecidable"])],
)
def test_commands_and_options_are_completed(typed: list[str], incomplete: str, offered: list[str]) -> None:
    complete = BashComplete(main, {}, "fsproxy", "_FSPROXY_COMPLETE")
    assert [each.value for each in complete.get_completions(typed, incomplete)] == offered
