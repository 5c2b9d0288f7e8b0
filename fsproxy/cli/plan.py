"""``plan``: a plan of names, written from the names that the proxy has kept."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import click

from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import config_option, load_or_exit
from fsproxy.clock import now
from fsproxy.config.schema import Config, RedisConfig, StateBackend
from fsproxy.core.audit.privacy import safe
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import Instant
from fsproxy.core.plan_writing import plan_text
from fsproxy.core.wording import counted
from fsproxy.state.sqlite.file import NameRow, read_names
from fsproxy.state.sqlite.schema import DamagedFileError, reason_of

_MOST_ORGS = 20


@click.command(
    cls=Documented,
    statuses={0: "the plan is written", 1: "the names cannot be read, there are none, or the file is there already"},
    examples=[
        "fsproxy plan learn --config fsproxy.yaml --output plan.yaml",
        "fsproxy plan learn --config fsproxy.yaml --org o-1ABC-na1",
    ],
)
@click.argument("what", metavar="learn", type=click.Choice(["learn"]))
@config_option()
@click.option("--org", help="Learn from the names of this org alone.")
@click.option("--output", type=click.Path(path_type=Path), help="Write to this new file, not to standard output.")
def plan(what: str, path: Path, org: str | None, output: Path | None) -> None:  # noqa: ARG001 - there is one so far
    """Write the plan of names (plan.file) that has every name which the proxy has counted.

    The names are read where the proxy counts them: from the SQLite file of state.persist, or from Redis. Calls are
    counted unless client_api.cardinality.mode is off. The server API's orgs are among them, as auth:...
    """
    config = load_or_exit(path)
    rows = _fresh(_names(config, org), config)
    if not rows:
        raise click.ClickException("no name was counted yet" + (f" for {org}" if org is not None else ""))
    text = plan_text([row[1:] for row in rows], _about({row[0] for row in rows}))
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
    kinds = Counter(kind for kind, _ in {row[1:3] for row in rows})
    events = counted(kinds[NameKind.EVENT_NAME], "event")
    properties = counted(kinds[NameKind.EVENT_PROPERTY], "event property", "event properties")
    users = counted(kinds[NameKind.USER_PROPERTY], "user property", "user properties")
    click.echo(f"{output}: {events}, {properties}, {users}")


def _names(config: Config, org: str | None) -> list[NameRow]:
    state = config.state
    if state.backend is StateBackend.REDIS:
        return _in_redis(state.redis, org)
    if state.persist is None:
        raise click.ClickException("state.persist is null: the names are in the running proxy's memory alone")
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


def _fresh(rows: Iterable[NameRow], config: Config) -> list[NameRow]:
    """Return the names that are not forgotten: each org may keep its own for another time."""
    core, time = config.core, now()

    def since(org: str) -> Instant:
        return Instant(time - core.orgs.get(org, core.default).client_api.cardinality.retention)

    return [row for row in rows if row[3] > since(row[0])]


def _about(orgs: set[str]) -> list[str]:
    shown = ", ".join(safe(each) for each in sorted(orgs)[:_MOST_ORGS])
    more = f" and {len(orgs) - _MOST_ORGS} more" if len(orgs) > _MOST_ORGS else ""
    return [
        f"A plan of names, learned on {datetime.fromtimestamp(now(), UTC):%Y-%m-%d} from {shown}{more}.",
        "It has all that was sent and counted, mistakes too. Take out what should not be sent, and give each event",
        "what it must have: required: [NAME, ...].",
    ]
