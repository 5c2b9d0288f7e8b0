"""``schema``: the configuration's JSON Schema."""

from __future__ import annotations

import json

import click

from fsproxy.cli.documented import Documented
from fsproxy.config.json_schema import json_schema


@click.command(
    cls=Documented, statuses={0: "the schema was printed"}, examples=["fsproxy schema > fsproxy.schema.json"]
)
def schema() -> None:
    """Print the JSON Schema of the configuration. Editors use it to complete and check the file."""
    click.echo(json.dumps(json_schema(), indent=2))
