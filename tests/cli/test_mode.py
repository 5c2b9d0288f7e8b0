"""``fsproxy mode``: the kill switch from a terminal. What it does is in the walk of ``how-to/kill-switch.md``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from fsproxy.cli import main
from support.ports import free_ports


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["panic"], 2, "'enforce', 'shadow', 'bypass'"),
        (["--privacy", "off"], 2, "--privacy goes with a mode"),
        (["bypass", "--privacy", "no"], 2, "'on', 'off'"),
        (["bypass", "--admin", "127.0.0.1:8081"], 2, "http://HOST"),
        (["bypass", "--admin", "http://127.0.0.1:{port}"], 1, "is not reached"),
    ],
)
def test_what_cannot_be_switched_is_said(words: list[str], status: int, said: str) -> None:
    (port,) = free_ports(1)
    done = CliRunner().invoke(main, ["mode", *(word.format(port=port) for word in words)])
    assert (done.exit_code, said in done.output) == (status, True), done.output
