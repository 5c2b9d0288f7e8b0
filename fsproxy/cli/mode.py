"""``mode``: show and switch the mode of a running proxy."""

from __future__ import annotations

from pathlib import Path

import click

from fsproxy.cli.admin_port import port_given, port_options
from fsproxy.cli.documented import Documented


@click.command(
    cls=Documented,
    statuses={0: "done", 1: "the proxy is not reached or refuses"},
    examples=["fsproxy mode", "fsproxy mode bypass", "fsproxy mode bypass --privacy off", "fsproxy mode enforce"],
)
@click.argument("wanted", required=False, type=click.Choice(["enforce", "shadow", "bypass"]))
@click.option("--privacy", type=click.Choice(["on", "off"]), help="off: bypass ends the privacy rules too.")
@port_options
def mode(wanted: str | None, privacy: str | None, admin: str | None, path: Path | None) -> None:
    """Show the mode of a running proxy, or switch it: enforce, shadow, or bypass, the kill switch.

    It holds until the next change or a restart. The privacy rules (opt_out, deleting_user, redact) stay on in all of
    them, unless --privacy off comes with bypass.
    """
    from fsproxy.cli.asking import answers  # noqa: PLC0415 - slow to import

    if wanted is None and privacy is not None:
        raise click.UsageError("--privacy goes with a mode")
    url, token = port_given(admin, path)
    body = None if wanted is None else {"mode": wanted, **({"privacy": privacy} if privacy is not None else {})}
    (answer,) = answers(url, token, [("/mode", body)])
    ended = ", and the privacy rules are off" if answer.get("privacy") == "off" else ""
    click.echo(f"The mode is {answer['mode']}{ended}.")
