"""The command line. Each command is a module of this package, which is imported when the command is needed."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click
from click.shell_completion import CompletionItem

from fsproxy import __version__

_SUMMARIES = {
    "serve": "Run the proxy.",
    "demo": "Run it in front of a built-in backend, with rules to try.",
    "check": "Check a configuration file.",
    "doctor": "Test a deployment from end to end.",
    "explain": "Show what would be decided about a session, and why.",
    "validate": "Check the client API calls in a file.",
    "redact": "Show what would be masked in a file.",
    "plan": "Write a plan of names from those that were sent.",
    "why": "Show what became of a request, a page or a session.",
    "mode": "Show or switch the mode of a running proxy.",
    "lists": "Change the lists of a running proxy: users, addresses.",
    "try": "Show what a configuration would change about live traffic.",
    "replay": "Show which recorded decisions other rules would change.",
    "import-settings": "Turn the vendor's settings exports into a configuration.",
    "config": "Print a configuration with every key, to begin with.",
    "schema": "Print the JSON Schema of the configuration, for editors.",
}
# click would fill the paragraphs without these marks.
_HELP = """\
A reverse proxy in front of a session-capture backend: it blocks, validates, forwards, and says why.

\b
Exit status of every command:
  0  done (explain: captured; replay, try: nothing changes; validate: nothing is rejected; why: found)
  1  the input is at fault; standard error says how (validate: something is rejected; why: nothing found)
  2  wrong usage
  3  the other answer (explain: blocked; replay, try: something changes; redact: a match; doctor: warnings alone)

\b
Shell completion: eval "$(_FSPROXY_COMPLETE=bash_source fsproxy)", or zsh_source, or for fish:
  _FSPROXY_COMPLETE=fish_source fsproxy | source

Example: fsproxy serve --config fsproxy.yaml
"""


class _Group(click.Group):
    """Lists commands by their summaries, without importing what they need."""

    def __init__(self, *args: Any, summaries: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.summaries = summaries or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.summaries, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.summaries:
            return super().get_command(ctx, cmd_name)
        # No module can be imported by a name that is a keyword.
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"{__name__}.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [
            CompletionItem(name, help=text) for name, text in self.summaries.items() if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> object:
        if os.getpid() == 1:
            # The kernel keeps signals without a handler from PID 1: until ``serve`` has its own, nothing could stop it.
            signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # A full disk behind ``>`` is no fault of the program.
            raise click.ClickException(f"cannot write: {error.strerror}") from None


@click.group(cls=_Group, summaries=_SUMMARIES, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fsproxy")
def main() -> None:
    """Run the command line; ``_HELP`` is its help."""
