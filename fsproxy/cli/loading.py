"""Loading a configuration for a command: all of its faults on stderr, and exit status 1."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from fsproxy.config.loader import load
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config

CONFIG_OPTION = click.option(
    "--config",
    "path",
    required=True,
    envvar="FSPROXY_CONFIG",
    type=click.Path(path_type=Path),
    help="The configuration file (or FSPROXY_CONFIG).",
)


def load_or_exit(path: Path, extra: Mapping[str, str] | None = None) -> Config:
    """The configuration, or the end of the program with every fault of the file on stderr.

    ``extra`` is put over the environment for ``${NAME}``.
    """
    try:
        return load(path, {**os.environ, **(extra or {})})
    except ConfigError as error:
        click.echo(str(error), err=True)
        count = len(error.problems)
        click.echo(f"{path}: {count} fault{'' if count == 1 else 's'}; nothing was started", err=True)
        raise SystemExit(1) from None
