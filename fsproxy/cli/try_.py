"""``try``: what a configuration would change about live traffic, as the running proxy finds out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from fsproxy.cli.admin_port import TOKEN, own_address, read_address, token_given
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import echo_error, load_or_exit
from fsproxy.config.files import MOST_LIST_BYTES, Files, UnreadableError
from fsproxy.config.loader import lists_in
from fsproxy.config.yaml.substitution import names_in
from fsproxy.core.units import duration
from fsproxy.core.units import share as share_of

_LONGEST = 86_400.0


def _duration(_: click.Context, __: click.Parameter, value: str) -> float:
    try:
        seconds = duration(value)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= _LONGEST:
        raise click.BadParameter("a duration from 1s to 24h, such as 10m")
    return seconds


def _share(_: click.Context, __: click.Parameter, value: str) -> float:
    try:
        share = share_of(value)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise click.BadParameter("a share above 0 up to 100%, such as 10%")
    return share


@click.command(
    "try",
    cls=Documented,
    statuses={
        0: "nothing would change",
        1: "it has faults, the proxy is not reached or refuses, or judged nothing",
        3: "something would change",
    },
    examples=[
        "fsproxy try new.yaml",
        "fsproxy try new.yaml --for 1h --share 100% --json > change.json",
        "fsproxy try new.yaml --admin https://fsproxy.internal:8081",
    ],
)
@click.argument("path", metavar="NEW.yaml", type=click.Path(path_type=Path))
@click.option("--for", "seconds", default="10m", show_default=True, callback=_duration, help="How long; at most 24h.")
@click.option("--share", default="10%", show_default=True, callback=_share, help="The share of requests to judge.")
@click.option(
    "--admin",
    callback=read_address,
    help=f"The admin port. Without it, NEW.yaml's own admin section says where it is. The token is that of {TOKEN}, "
    "else, without --admin, NEW.yaml's own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end, as GET /api/try answers.")
def try_(path: Path, seconds: float, share: float, admin: str | None, *, as_json: bool) -> None:
    """Have the running proxy judge live pages, uploads and calls with NEW.yaml as well, and show what would change.

    Requests go on being decided by the rules in force. Nothing is stored, and no quota, rate or name is used up.

    NEW.yaml, its lists and the values of the variables that it names are read here and sent to the proxy. Ctrl-C ends
    the trial there, too.
    """
    from fsproxy.cli.asking import NotReachedError  # noqa: PLC0415 - slow to import
    from fsproxy.cli.trial_run import TrialRun  # noqa: PLC0415
    from fsproxy.cli.trial_text import show  # noqa: PLC0415

    config = load_or_exit(path)
    token = token_given() or (config.admin.token if admin is None else None)
    candidate = {**_candidate(path), "for": seconds, "share": share}
    live = not as_json and sys.stdout.isatty()
    run = TrialRun(admin or own_address(config.admin), token, on_news=show if live else None)
    try:
        found = asyncio.run(run.run(candidate))
    except NotReachedError as error:
        for fault in (error.answer or {}).get("faults", ()):
            echo_error("\n".join(filter(None, (fault["text"], fault["excerpt"]))))
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)
    if found["changed"] or found["uploads_changed"] or found["calls_changed"]:
        raise SystemExit(3)
    if not found["pages"] and not found["uploads"]:
        if as_json:
            echo_error("no page and no upload was judged")
        raise SystemExit(1)


def _candidate(path: Path) -> dict[str, Any]:
    """Return what the proxy must know of a file that was loaded without a fault."""
    files = Files(path.parent)
    text = files.text(path)
    try:
        lists = {name: files.text(path.parent / name, MOST_LIST_BYTES) for name in lists_in(text, os.environ)}
    except UnreadableError as error:
        raise click.ClickException(f"a list of {path} {error}") from None
    environ = {name: os.environ[name] for name in names_in(text) if name in os.environ}
    return {"config": text, "name": path.name, "lists": lists, "environ": environ}
