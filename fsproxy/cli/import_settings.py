"""``import-settings``: the vendor's settings exports become a configuration of fsproxy."""

from __future__ import annotations

import os
from typing import IO

import click

from fsproxy.cli.documented import Documented
from fsproxy.config.files import MOST_BYTES
from fsproxy.config.vendor.export import VendorSettingsError
from fsproxy.config.vendor.relay import relay_to_yaml
from fsproxy.config.vendor.settings import to_yaml

_LONGEST_ORG = 256
"""Characters of an org's id."""


@click.command(
    "import-settings",
    cls=Documented,
    statuses={0: "the configuration was printed", 1: "a file is not such an export"},
    examples=[
        "fsproxy import-settings --org o-1ABC-na1 blocking.json domain.json > fsproxy.yaml",
        "fsproxy import-settings --relay relay.yaml > fsproxy.yaml",
    ],
)
@click.argument("files", metavar="[FILE]...", type=click.File("rb"), nargs=-1)
@click.option("--org", help="The org of these settings; without it they become those of all orgs.")
@click.option(
    "--relay",
    type=click.File("rb"),
    help="The configuration of the vendor's traffic relay, in place of FILE. An empty one: the variables alone.",
)
def import_settings(files: tuple[IO[bytes], ...], org: str | None, relay: IO[bytes] | None) -> None:
    """Turn exported settings (JSON; - is standard input) into a configuration on standard output.

    FILE holds the blocking, domain, geo or features settings: alone, under their names in one object, or as a
    history of versions, of which the newest is taken. Or --relay is the YAML file of the vendor's relay; its
    variables, such as TRAFFIC_RELAY_TARGET, are taken from the environment. Each setting that cannot be carried over
    becomes a comment in the output.
    """
    if bool(files) is bool(relay):
        raise click.UsageError("give FILE, or --relay FILE" if not files else "give FILE or --relay FILE, not both")
    if org is not None and (relay or not (0 < len(org) <= _LONGEST_ORG and org.isprintable())):
        raise click.BadParameter("a relay has no org" if relay else "this is not the id of an org", param_hint="--org")
    names = [str(getattr(file, "name", "-")) for file in (relay, *files) if file is not None]
    texts = [_text(file, name) for file, name in zip([relay] if relay else files, names, strict=True)]
    try:
        if relay is not None:
            text, left = relay_to_yaml(texts[0], names[0], os.environ)
        else:
            text, left = to_yaml(texts, org, names)
    except VendorSettingsError as error:
        raise click.ClickException(str(error)) from None
    click.echo(text.encode(), nl=False)
    if left:
        what = "1 setting was" if left == 1 else f"{left} settings were"
        click.echo(f"{what} not carried over; the comments in the output say why", err=True)


def _text(file: IO[bytes], name: str) -> str:
    try:
        raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise click.ClickException(f"{name} is larger than {MOST_BYTES // 2**20} MB")
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException(f"{name} is not UTF-8") from None
