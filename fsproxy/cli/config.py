"""``config``: the annotated configuration."""

from __future__ import annotations

from importlib import resources

import click

from fsproxy.cli.documented import Documented


@click.command(
    cls=Documented,
    statuses={0: "the configuration was printed"},
    examples=["fsproxy config > fsproxy.yaml"],
)
def config() -> None:
    """Print a configuration with every key, its default and a comment, to begin with."""
    click.echo(resources.files("fsproxy").joinpath("fsproxy.yaml").read_text("utf-8"), nl=False)
