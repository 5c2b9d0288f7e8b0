"""``why``: what became of a request, a page or a session, by its audit lines."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from fsproxy.cli.audit_files import AuditFiles
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import compile_or_exit
from fsproxy.core.audit.privacy import safe
from fsproxy.core.replay.story import Rules, story
from fsproxy.core.wording import counted

_MOST_LINES = 1000
"""How many lines of one session are shown: the earliest."""
_HEAD = ("@timestamp", "event.action", "http.request.id")
_IDS = ("http.request.id", "fsproxy.session_id", "fsproxy.page_id")


@click.command(
    cls=Documented,
    statuses={0: "found", 1: "nothing was found, or the input is at fault"},
    examples=["fsproxy why e85e975ff42b-2 --audit audit.log.1.gz audit.log --config fsproxy.yaml"],
)
@click.argument("identity", metavar="REQUEST-ID|SESSION|PAGE")
@click.option(
    "--audit",
    "first",
    multiple=True,
    metavar="FILE...",
    type=click.Path(allow_dash=True),
    help="Files of audit lines, plain or gzip, as written or as a container runtime keeps them; - is standard input.",
)
@click.argument("more", nargs=-1, metavar="", type=click.Path(allow_dash=True))
@click.option(
    "--config", "path", type=click.Path(path_type=Path), help="Also show where this configuration has the rule."
)
@click.option("--json", "as_json", is_flag=True, help="Print the audit lines as JSON.")
def why(identity: str, first: tuple[str, ...], more: tuple[str, ...], path: Path | None, *, as_json: bool) -> None:
    """Show what became of a request, a page or a session.

    The id of a request is in the X-Request-Id header of its answer.
    """
    if not (first or more):
        raise click.UsageError("--audit FILE is needed")
    rules = Rules(str(path), compile_or_exit(path).snapshot) if path is not None else None
    files = AuditFiles((*first, *more))
    found, left = _find(identity, files)
    files.report_without_lines()
    if not found:
        raise click.ClickException(
            "nothing was found. Check the id, and whether its line was written (audit.share). Lines of visitors who "
            "opted out or are being deleted hold no session."
        )
    if as_json:
        for line in found:
            click.echo(json.dumps(line))
        return
    for line in found:
        click.echo("\n".join(_story(line, rules)) + "\n")
    if left:
        click.echo(f"{counted(left, 'later line is', 'later lines are')} not shown.")


def _story(line: dict[str, Any], rules: Rules | None) -> list[str]:
    """Return the lines of the story, or why there is none: programs that carry logs may change a line's types."""
    try:
        head = "{}  {}, request {}".format(*(safe(str(line.get(name) or "?")) for name in _HEAD))
        return [head, *(f"  {label + ':':<11}{text}" for label, text in story(line, rules))]
    except (AttributeError, TypeError, ValueError):
        return ["A line cannot be explained: some of its fields are not as fsproxy writes them. --json prints it."]


def _find(identity: str, files: AuditFiles) -> tuple[list[dict[str, Any]], int]:
    """Return the earliest lines of the identity in the order of time, and how many more there are."""
    read = msgspec.json.Decoder(dict[str, Any]).decode
    needle = identity.encode("utf-8", "replace")
    count = 0

    def matching() -> Iterator[tuple[str, int, dict[str, Any]]]:
        nonlocal count
        for text in files:
            if needle not in text:
                continue
            try:
                line = read(text)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            if any(line.get(name) == identity for name in _IDS):
                count += 1
                yield str(line.get("@timestamp", "")), count, line

    kept = heapq.nsmallest(_MOST_LINES, matching())
    return [line for _, _, line in kept], count - len(kept)
