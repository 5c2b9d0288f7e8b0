"""``mode``: show and switch the mode of a running proxy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from fsproxy.cli.admin_port import DEFAULT_PORT, TOKEN, own_address, read_address, token_given
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import load_or_exit


@click.command(
    cls=Documented,
    statuses={0: "done", 1: "the proxy is not reached or refuses"},
    examples=["fsproxy mode", "fsproxy mode bypass", "fsproxy mode bypass --privacy off", "fsproxy mode enforce"],
)
@click.argument("wanted", required=False, type=click.Choice(["enforce", "shadow", "bypass"]))
@click.option("--privacy", type=click.Choice(["on", "off"]), help="off: bypass ends the privacy rules too.")
@click.option(
    "--admin",
    callback=read_address,
    help=f"The admin port; {DEFAULT_PORT} without it and without --config. The token is that of {TOKEN}, else, "
    "without --admin, the file's.",
)
@click.option(
    "--config", "path", type=click.Path(path_type=Path), help="The proxy's file, which says where its port is."
)
def mode(wanted: str | None, privacy: str | None, admin: str | None, path: Path | None) -> None:
    """Show the mode of a running proxy, or switch it: enforce, shadow, or bypass, the kill switch.

    It holds until the next change or a restart. The privacy rules (opt_out, deleting_user, redact) stay on in all of
    them, unless --privacy off comes with bypass.
    """
    if wanted is None and privacy is not None:
        raise click.UsageError("--privacy goes with a mode")
    config = load_or_exit(path).admin if path is not None else None
    url = admin or (own_address(config) if config is not None else DEFAULT_PORT)
    token = token_given() or (config.token if config is not None and admin is None else None)
    body = None if wanted is None else {"mode": wanted, **({"privacy": privacy} if privacy is not None else {})}
    answer = asyncio.run(_answer(url, token, body))
    ended = ", and the privacy rules are off" if answer.get("privacy") == "off" else ""
    click.echo(f"The mode is {answer['mode']}{ended}.")


async def _answer(url: str, token: str | None, body: dict[str, str] | None) -> dict[str, Any]:
    from fsproxy.cli.asking import NotReachedError, ask, client  # noqa: PLC0415 - slow to import

    try:
        async with client(url, token) as http:
            return await ask(http, url, "GET" if body is None else "POST", "/mode", body)
    except NotReachedError as error:
        raise click.ClickException(str(error)) from None
