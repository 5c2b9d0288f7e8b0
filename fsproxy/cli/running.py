"""Running the proxy for a command, from the first line on standard error to the exit status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import click

from fsproxy.app import run_until_end
from fsproxy.cli.host_checks import host_errors
from fsproxy.cli.loading import exit_with
from fsproxy.config.problems import HostError
from fsproxy.config.schema import Config
from fsproxy.config.summary import summary
from fsproxy.fleet.descriptors import raise_limit
from fsproxy.telemetry.logs import configure_logs


def run(
    config: Config, main: Callable[[], Coroutine[None, None, None]], path: Path | None = None, *, ports: bool = True
) -> None:
    """Run ``main`` until it ends. Exit with status 1, and all reasons on standard error, when it cannot start.

    ``path``: the user's file, if there is one. ``ports``: they must be free.
    """
    configure_logs(config.log.level, config.log.format)
    errors = asyncio.run(host_errors(config, ports=ports))
    if errors:
        exit_with(errors, path)
    raise_limit(config)
    click.echo(summary(config), err=True)
    try:
        run_until_end(main)
    except HostError as error:
        exit_with([error], path)
