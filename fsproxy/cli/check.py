"""``check`` and ``schema``: the configuration, looked at without running it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import load_or_exit
from fsproxy.config.json_schema import json_schema
from fsproxy.config.summary import summary
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.geo import GeoError
from fsproxy.telemetry.destination import link_problem


@click.command(
    cls=Documented,
    statuses={0: "fine", 1: "has faults, which are told on standard error"},
    examples=["fsproxy check config/fsproxy.yaml"],
)
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check a configuration FILE: all of its faults at once, each with line and column."""
    config = load_or_exit(file)
    try:
        Generation.compile(config, 1)
    except GeoError as error:
        _refuse(f"{file}: {error}")
    fault = link_problem(config.audit.to)
    if fault is not None:
        _refuse(f"{file}: audit.to {config.audit.to}: {fault}")
    click.echo(f"{file}: fine. {summary(config)}")


def _refuse(problem: str) -> None:
    click.echo(problem, err=True)
    raise SystemExit(1)


@click.command(cls=Documented, statuses={0: "printed"}, examples=["fsproxy schema > fsproxy.schema.json"])
def schema() -> None:
    """Print the configuration's JSON Schema, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))
