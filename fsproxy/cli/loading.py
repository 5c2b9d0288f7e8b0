"""Loading a configuration for a command, which ends with exit status 1 when something is at fault."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from fsproxy.config.files import Files, UnreadableError
from fsproxy.config.loader import load, located
from fsproxy.config.problems import ConfigError, HostError, Problem, in_order
from fsproxy.config.schema import Config
from fsproxy.core.wording import counted
from fsproxy.proxy.generation import Generation

_PORT_OPTIONS = {"listen.port": "--port", "admin.port": "--admin-port"}
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


def load_or_exit(path: Path) -> Config:
    """Return the configuration, or write every fault of the file to standard error and exit."""
    try:
        return load(path, os.environ)
    except ConfigError as error:
        echo_faults(str(path), error.problems)
        raise SystemExit(1) from None


def compile_or_exit(path: Path) -> Generation:
    """Return the compiled configuration, or write what is wrong with it to standard error and exit."""
    config = load_or_exit(path)
    try:
        return Generation.compile(config, 1)
    except HostError as error:
        echo_faults(str(path), placed_in_file([error], path))
        raise SystemExit(1) from None


def without_file(fault: Problem | HostError) -> str:
    """Return a fault of a run without a file, in which ports are set by options."""
    if isinstance(fault, Problem):
        return fault.without_place
    option = _PORT_OPTIONS.get(fault.key_path)
    return str(fault) if option is None else f"port {fault.value} {fault.fault}. {option} sets another port."


def placed_in_file(errors: Iterable[HostError], path: Path) -> list[Problem | HostError]:
    """Return the errors with their places in the user's file, as far as it can still be read."""
    text = ""
    with suppress(UnreadableError):
        text = Files(path.parent).text(path)
    return placed(errors, text, path)


def placed(errors: Iterable[HostError], text: str, path: Path) -> list[Problem | HostError]:
    """Return the errors; those at a key come last, in the order of the configuration's text, with their places."""
    found = [(located(error, text, str(path), os.environ) if text and error.key_path else error) for error in errors]
    others = [each for each in found if isinstance(each, HostError)]
    return [*others, *in_order((each for each in found if isinstance(each, Problem)), str(path))]


def echo_faults(name: str, faults: Sequence[Problem | HostError]) -> None:
    """Write faults to standard error, with the lines that they are in, and their number."""
    for fault in faults:
        if isinstance(fault, Problem):
            place = f"{fault.file}:{fault.line}:{fault.column}:"
            echo_error(f"{click.style(place, bold=True)}{str(fault)[len(place) :]}")
            line, _, mark = fault.excerpt.partition("\n")
            if line:
                echo_error(f"{line}\n{click.style(mark, fg='red')}")
        else:
            echo_error(f"fsproxy: {fault}")
    echo_error(f"{name}: {counted(len(faults), 'fault was', 'faults were')} found")


def echo_error(text: str) -> None:
    """Write a line to standard error, without its colours if that is no terminal or NO_COLOR is set."""
    click.echo(text, err=True, color=False if os.environ.get("NO_COLOR") else None)
