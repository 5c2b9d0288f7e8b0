"""The command line. Exit status: 0 done, 1 the input is at fault (said on stderr), 2 wrong usage."""

from __future__ import annotations

import click

from fsproxy import __version__
from fsproxy.cli.check import check, schema
from fsproxy.cli.explain import explain
from fsproxy.cli.import_settings import import_settings
from fsproxy.cli.replay import replay
from fsproxy.cli.serve import demo, serve
from fsproxy.cli.validate import validate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fsproxy")
def main() -> None:
    """A reverse proxy in front of a session-capture backend: blocks, validates, forwards, and says why."""


for _command in (serve, demo, check, explain, validate, replay, import_settings, schema):
    main.add_command(_command)
