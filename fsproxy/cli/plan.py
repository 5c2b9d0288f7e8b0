"""``plan``: a plan of names, written from the names that the proxy has counted."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from urllib.parse import urlencode

import click

from fsproxy.cli.admin_port import TOKEN, read_address, token_given
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import config_option, load_or_exit
from fsproxy.clock import now
from fsproxy.config.loader import load_plan
from fsproxy.config.schema import Config, RedisConfig, StateBackend
from fsproxy.core.plan_writing import NameRow, learned_plan
from fsproxy.state.sqlite.file import read_names
from fsproxy.state.sqlite.schema import DamagedFileError, reason_of

_ANSWER_SECONDS = 60.0


@click.command(
    cls=Documented,
    statuses={0: "the plan is written", 1: "the names cannot be read, there are none, or the file is there already"},
    examples=[
        "fsproxy plan learn --config fsproxy.yaml --output plan.yaml",
        "fsproxy plan learn --config fsproxy.yaml --org o-1ABC-na1",
        "fsproxy plan learn --admin http://127.0.0.1:8081",
    ],
)
@click.argument("what", metavar="learn", type=click.Choice(["learn"]))
@config_option(required=False)
@click.option(
    "--admin",
    callback=read_address,
    help=f"Ask the running proxy at this admin port instead. The token is that of {TOKEN}.",
)
@click.option("--org", help="Learn from the names of this org alone.")
@click.option("--output", type=click.Path(path_type=Path), help="Write to this new file, not to standard output.")
def plan(what: str, path: Path | None, admin: str | None, org: str | None, output: Path | None) -> None:  # noqa: ARG001 - there is one so far
    """Write the plan of names (plan.file) that has every name which the proxy has counted.

    The names are read where the proxy counts them: from the SQLite file of state.persist, or from Redis. Calls are
    counted unless client_api.cardinality.mode is off. The server API's orgs are among them, as auth:...
    """
    if admin is not None:
        text = _asked(admin, org)
    elif path is not None:
        config = load_or_exit(path)
        text = learned_plan(_names(config, org), config.core, now())
    else:
        raise click.UsageError("give --config, or --admin")
    if not text:
        raise click.ClickException("no name was counted yet" + (f" for {org}" if org is not None else ""))
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(f"{output} is there already; write to another file, and compare the two") from None
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
    click.echo(str(load_plan(output)))


def _names(config: Config, org: str | None) -> Iterable[NameRow]:
    state = config.state
    if state.backend is StateBackend.REDIS:
        return _in_redis(state.redis, org)
    if state.persist is None:
        raise click.ClickException("state.persist is null: only the running proxy knows the names; ask it with --admin")
    file = Path(state.persist.path)
    if not file.is_file():
        raise click.ClickException(f"{file} is not there; run this in the working folder of the proxy")
    try:
        return [row for row in read_names(file) if org is None or row[0] == org]
    except (sqlite3.Error, DamagedFileError) as error:
        raise click.ClickException(f"{file} cannot be read: {reason_of(error)}") from None


def _in_redis(config: RedisConfig, org: str | None) -> list[NameRow]:
    try:
        from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

        from fsproxy.state.redis.kept_names import kept_names  # noqa: PLC0415
    except ImportError:
        raise click.ClickException("redis-py is not installed: pip install fsproxy[redis]") from None

    async def read() -> list[NameRow]:
        async with aclosing(kept_names(config, org)) as names:
            return [row async for row in names]

    try:
        return asyncio.run(read())
    except (RedisError, OSError) as error:
        # Its text may hold the address, and so a password.
        raise click.ClickException(f"Redis (state.redis) cannot be read: {type(error).__name__}") from None


def _asked(admin: str, org: str | None) -> str:
    """Return the plan that the running proxy answers."""
    from fsproxy.cli.asking import answers  # noqa: PLC0415 - slow to import

    path = f"/api/plan?{urlencode({'org': org})}" if org else "/api/plan"
    (answer,) = answers(admin, token_given(), [(path, None)], _ANSWER_SECONDS)
    return str(answer.get("plan", ""))
