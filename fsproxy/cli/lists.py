"""``lists``: show and change the lists of a running proxy."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from fsproxy.cli.admin_port import port_given, port_options
from fsproxy.cli.documented import Documented
from fsproxy.cli.tables import echo_table
from fsproxy.config.files import without_comment
from fsproxy.core.run_time_lists import MOST_ENTRIES
from fsproxy.core.wording import counted

_NAMES = tuple(sorted(name.value for name in MOST_ENTRIES))
_AT_ONCE = 1_000
"""Entries that the API takes in one request."""


@click.command(
    cls=Documented,
    statuses={0: "done", 1: "the proxy is not reached or refuses"},
    examples=[
        "fsproxy lists add deleting_user uid-1234 --for 30d",
        "fsproxy lists add ip 203.0.113.0/24 --for 1d --admin https://fsproxy.internal:8081",
        "fsproxy lists remove blocked_user - < uids.txt",
        "fsproxy lists show",
    ],
)
@click.argument("action", type=click.Choice(["add", "remove", "show"]))
@click.argument("name", required=False, type=click.Choice(_NAMES))
@click.argument("entries", nargs=-1, metavar="[ENTRY]...")
@click.option("--for", "life", help="How long what is added stays: 1s to 366d. It has no default.")
@port_options
@click.option("--json", "as_json", is_flag=True, help="Print the API's answers as JSON.")
def lists(
    action: str,
    name: str | None,
    entries: tuple[str, ...],
    life: str | None,
    admin: str | None,
    path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Change or show the lists that a running proxy has beside its file.

    They are deleting_user and blocked_user (uids) and ip (addresses, networks). A change is in force at once on all
    workers, and within a second on all instances that share one Redis. Entries end by themselves. ENTRY - stands for
    the lines of standard input, where # begins a comment: uids on a command line are seen by others on the machine.
    """
    from fsproxy.cli import asking  # noqa: PLC0415 - slow to import

    wanted = _read(entries, name)
    if action == "show":
        if wanted or life is not None:
            raise click.UsageError("show takes a name at the most")
    elif name is None or not wanted:
        raise click.UsageError(f"{action} what? NAME and ENTRY are needed")
    elif (life is not None) is not (action == "add"):
        raise click.UsageError("--for belongs to add, which needs it: entries end by themselves")
    url, token = port_given(admin, path)
    asked = _questions(action, name, wanted, life)
    answers = asking.answers(url, token, [(f"/api/lists/{each}", change) for each, change in asked])
    if as_json:
        click.echo(json.dumps(answers if len(answers) > 1 else answers[0], indent=2))
    elif action == "show":
        for each in answers:
            _show(each)
    else:
        _tell(answers)


def _questions(
    action: str, name: str | None, wanted: list[str], life: str | None
) -> list[tuple[str, dict[str, Any] | None]]:
    """Return what to ask: for each request the list, and the change or None."""
    if name is None or action == "show":
        return [(each, None) for each in ((name,) if name is not None else _NAMES)]
    more = {"for": life} if life is not None else {}
    starts = range(0, len(wanted), _AT_ONCE)
    return [(name, {action: wanted[start : start + _AT_ONCE], **more}) for start in starts]


def _read(entries: tuple[str, ...], name: str | None) -> list[str]:
    found: list[str] = []
    for each in entries:
        if each == "-":
            lines = (line.strip() for line in sys.stdin)
            # As in a list file: uids may hold blanks, and addresses may not.
            found += [without_comment(line, blanks=name != "ip") for line in lines if line and not line.startswith("#")]
        else:
            found.append(each)
    return found


def _tell(answers: list[dict[str, Any]]) -> None:
    last = answers[-1]
    added, removed = (sum(each[key] for each in answers) for key in ("added", "removed"))
    click.echo(f"{last['name']}: {added} added, {removed} removed, {counted(last['count'], 'entry', 'entries')} now.")
    if last["mode"] != "enforce":
        click.echo(f"The mode of {last['name']} is {last['mode']}: nothing is blocked by it.")
    click.echo("A restart keeps them." if last["not_kept"] is None else f"Not kept: {last['not_kept']}.")


def _show(answer: dict[str, Any]) -> None:
    count = answer["count"]
    click.echo(f"{answer['name']}: {counted(count, 'entry', 'entries')} in force, mode {answer['mode']}.")
    rows = [(each["entry"], _time(each["ends"])) for each in answer["entries"]]
    echo_table("Entries, the first to end first", ("entry", "ends"), rows)
    if count > len(rows):
        click.echo(f"{count - len(rows)} more are not shown; the last ends {_time(answer['last_end'])}.")
    if answer["not_kept"] is not None and count:
        click.echo(f"Not kept: {answer['not_kept']}.")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
