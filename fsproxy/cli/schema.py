"""``schema``: the configuration's JSON Schema."""

from __future__ import annotations

import json

import click

from fsproxy.cli.documented import Documented
from fsproxy.config.json_schema import json_schema
from fsproxy.config.key_tree import ROOT, keys_of
from fsproxy.core.plan import PlanFile


@click.command(
    cls=Documented,
    statuses={0: "the schema was printed"},
    examples=["fsproxy schema > fsproxy.schema.json", "fsproxy schema --plan > plan.schema.json"],
)
@click.option("--plan", is_flag=True, help="Of a plan of names (plan.file), not of the configuration.")
def schema(*, plan: bool) -> None:
    """Print the JSON Schema of the configuration. Editors use it to complete and check the file."""
    click.echo(json.dumps(json_schema(keys_of(PlanFile) if plan else ROOT), indent=2))
