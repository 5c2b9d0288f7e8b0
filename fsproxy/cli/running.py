"""Running the proxy for a command, from the first line on standard error to the exit status."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine

import click

from fsproxy.app import run_until_end
from fsproxy.cli.loading import give_up
from fsproxy.config.schema import Config
from fsproxy.config.summary import summary
from fsproxy.fleet.descriptors import raise_limit
from fsproxy.fleet.listening import StartError, require_free_ports
from fsproxy.state.repeats import refuse_disabled
from fsproxy.telemetry.logs import configure_logs

PORT_KEYS = ("listen.port", "admin.port")
PORT_OPTIONS = ("--port", "--admin-port")


def run(
    config: Config, main: Callable[[], Coroutine[None, None, None]], *, ports: tuple[str, str] | None = PORT_KEYS
) -> None:
    """Run ``main`` until it ends. Exit with status 1 and one line on standard error when it cannot start.

    ``ports``: what sets the data port and the admin port; None if other programs may have them.
    """
    configure_logs(config.log.level, config.log.format)
    problem = refuse_disabled(os.environ)
    if problem is not None:
        give_up(f"fsproxy: {problem}")
    raise_limit(config)
    try:
        if ports is not None:
            asyncio.run(require_free_ports(config, ports))
        click.echo(summary(config), err=True)
        run_until_end(config, main)
    except StartError as error:
        give_up(f"fsproxy: {error}")
