"""Loading a configuration for a command, which ends with exit status 1 when the file is at fault."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from fsproxy.config.loader import load, load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.geo import GeoError

FC = TypeVar("FC", bound=Callable[..., Any] | click.Command)


def config_option(*, required: bool = True) -> Callable[[FC], FC]:
    """Return the option ``--config``, whose parameter is ``path``."""
    return click.option(
        "--config",
        "path",
        required=required,
        envvar="FSPROXY_CONFIG",
        type=click.Path(path_type=Path),
        help="The configuration file (or FSPROXY_CONFIG).",
    )


def load_or_exit(path: Path, extra: Mapping[str, str] | None = None) -> Config:
    """Return the configuration, or write every fault of the file to standard error and exit.

    ``extra`` goes before the environment for ``${NAME}``.
    """
    try:
        return load(path, {**os.environ, **(extra or {})})
    except ConfigError as error:
        count = len(error.problems)
        give_up(f"{error}\n{path}: {'1 fault was' if count == 1 else f'{count} faults were'} found")


def text_or_exit(text: str, name: str) -> Config:
    """Return the configuration of a text that a command made of its options, or write the faults and exit."""
    try:
        return load_text(text, name, os.environ, Path())
    except ConfigError as error:
        give_up("\n".join(f"fsproxy: {problem.without_place}" for problem in error.problems))


def compile_or_exit(path: Path) -> Generation:
    """Return the compiled configuration, or write what is wrong with it to standard error and exit."""
    config = load_or_exit(path)
    try:
        return Generation.compile(config, 1)
    except GeoError as error:
        give_up(f"{path}: {error}")


def give_up(problem: str) -> NoReturn:
    """Write the problem to standard error and exit with status 1."""
    click.echo(problem, err=True)
    raise SystemExit(1)
