"""``check``: the faults of a configuration, found without running it."""

from __future__ import annotations

from pathlib import Path

import click

from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import compile_or_exit, give_up
from fsproxy.config.summary import summary
from fsproxy.telemetry.destination import link_problem


@click.command(
    cls=Documented,
    statuses={0: "the file has no faults", 1: "it has faults, which standard error lists"},
    examples=["fsproxy check config/fsproxy.yaml"],
)
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check the configuration FILE and list all of its faults at once, each with line and column."""
    config = compile_or_exit(file).config
    fault = link_problem(config.audit.to)
    if fault is not None:
        give_up(f"{file}: audit.to {config.audit.to}: {fault}")
    click.echo(f"{file}: fine. {summary(config)}")
