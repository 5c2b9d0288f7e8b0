"""``serve``: the proxy, in one process or with workers."""

from __future__ import annotations

import os
from pathlib import Path

import click

from fsproxy.app import App
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import CONFIG_OPTION, load_or_exit
from fsproxy.cli.running import run
from fsproxy.config.schema import Config
from fsproxy.fleet.supervisor import Supervisor
from fsproxy.fleet.take_over import Predecessor
from fsproxy.reload.build_generation import Source


@click.command(
    cls=Documented,
    statuses={0: "the proxy was stopped", 1: "it cannot start, or the configuration is at fault"},
    examples=["fsproxy serve --config config/fsproxy.yaml"],
)
@CONFIG_OPTION
@click.option(
    "--take-over", is_flag=True, help="Replace the program that serves on these ports: it drains once this one listens."
)
def serve(path: Path, *, take_over: bool) -> None:
    """Run the proxy until SIGTERM or SIGINT; then finish the requests under way and exit with status 0."""
    config = load_or_exit(path)
    source = Source(path, dict(os.environ))
    run(config, lambda: _serve(config, source, take_over=take_over))


async def _serve(config: Config, source: Source, *, take_over: bool) -> None:
    predecessor = await Predecessor.find(config) if take_over else None
    try:
        if config.workers > 1:
            await Supervisor(config, source, predecessor).run()
        else:
            await App(config, source, predecessor=predecessor).run()
    finally:
        if predecessor is not None:
            await predecessor.close()
