"""Tables are plain text in a pipe, have lines on a terminal, and are never read as markup."""

from __future__ import annotations

import io
import sys

import pytest

from fsproxy.cli.tables import echo_table, progress

ROWS = [(5, "[red]x[/red]", ""), (10, "y", "z")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_is_plain_text_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    echo_table("Title", ("pages", "what", "more"), ROWS)
    assert (
        capsys.readouterr().out
        == "Title:\n  pages  what          more\n      5  [red]x[/red]\n     10  y             z\n"
    )


def test_a_table_without_rows_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    echo_table("Title", ("pages",), [])
    assert capsys.readouterr().out == ""


def test_a_table_on_a_terminal_has_lines_and_shows_markup_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    echo_table("Title", ("pages", "what", "more"), ROWS)
    assert "[red]x[/red]" in terminal.getvalue()
    assert "\u2502" in terminal.getvalue()


def test_without_rich_a_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rich.console", "rich.table", "rich.text", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    echo_table("Title", ("pages", "what", "more"), ROWS)
    with progress("label", 10) as advance:
        advance(5)
    assert terminal.getvalue().startswith("Title:\n")


def test_a_bar_is_shown_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, terminal = io.StringIO(), Terminal()
    for stream in (pipe, terminal):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress("replaying", 100) as advance:
            advance(50)
    assert pipe.getvalue() == ""
    assert "replaying" in terminal.getvalue()
