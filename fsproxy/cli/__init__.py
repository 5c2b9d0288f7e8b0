"""The command line."""

from __future__ import annotations

import errno

import click

from fsproxy import __version__
from fsproxy.cli.check import check, schema
from fsproxy.cli.explain import explain
from fsproxy.cli.import_settings import import_settings
from fsproxy.cli.replay import replay
from fsproxy.cli.serve import demo, serve
from fsproxy.cli.validate import validate
from fsproxy.cli.why import why

_HELP = """\
A reverse proxy in front of a session-capture backend: blocks, validates, forwards, and says why.

\b
Exit status of every command:
  0  done (explain: captured; replay: nothing changes; validate: fine; why: found)
  1  the input is at fault, said on stderr (validate: something is rejected; why: nothing found)
  2  wrong usage
  3  the answer is the other one (explain: blocked; replay: something changes)

\b
Shell completion: eval "$(_FSPROXY_COMPLETE=bash_source fsproxy)", or zsh_source, or for fish:
  _FSPROXY_COMPLETE=fish_source fsproxy | source

Example: fsproxy serve --config fsproxy.yaml
"""
"""The marks keep click from filling paragraphs."""


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """A full disk behind ``>`` is no fault of the program's."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise click.ClickException(f"cannot write: {error.strerror}") from None


@click.group(cls=_Group, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fsproxy")
def main() -> None:
    """See ``_HELP``."""


for _command in (serve, demo, check, explain, validate, why, replay, import_settings, schema):
    main.add_command(_command)
