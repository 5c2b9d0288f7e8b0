"""Running the proxy for a command, from the first line on standard error to the exit status."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine

import click

from fsproxy.app import loop_factory
from fsproxy.cli.loading import give_up
from fsproxy.config.schema import Config
from fsproxy.config.summary import summary
from fsproxy.fleet.descriptors import raise_limit
from fsproxy.fleet.listening import StartError
from fsproxy.proxy.geo import GeoError
from fsproxy.state.cache import refuse_disabled
from fsproxy.telemetry.logs import configure_logs


def run(config: Config, main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run ``main`` until it ends. Exit with status 1 and one line on standard error when it cannot start."""
    configure_logs(config.log.level, config.log.format)
    problem = refuse_disabled(os.environ)
    if problem is not None:
        give_up(f"fsproxy: {problem}")
    raise_limit(config)
    click.echo(summary(config), err=True)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(main())
    except (StartError, GeoError) as error:
        give_up(f"fsproxy: {error}")
    except OSError as error:
        if str(error.filename) != config.audit.to:
            raise
        give_up(f"fsproxy: audit.to {config.audit.to}: {error.strerror}")
