"""``why``: what became of a request, a page or a session, told from its audit lines."""

from __future__ import annotations

import heapq
import json
from pathlib import Path
from typing import Any

import click
import msgspec

from fsproxy.cli.audit_files import AuditFiles
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import load_or_exit
from fsproxy.cli.story import Rules, story
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.geo import GeoError

MOST_LINES = 1000
"""Of one session that are told; the earliest."""
_IDS = ("http.request.id", "fsproxy.session_id", "fsproxy.page_id")


@click.command(
    cls=Documented,
    statuses={0: "found", 1: "nothing found, or the input is at fault"},
    examples=["fsproxy why e85e975ff42b-2 --audit audit.log.1.gz audit.log --config fsproxy.yaml"],
)
@click.argument("identity", metavar="REQUEST-ID|SESSION|PAGE")
@click.option(
    "--audit",
    "first",
    multiple=True,
    metavar="FILE...",
    type=click.Path(allow_dash=True),
    help="Audit lines, plain or gzip; - is stdin.",
)
@click.argument("more", nargs=-1, metavar="", type=click.Path(allow_dash=True))
@click.option(
    "--config", "path", type=click.Path(path_type=Path), help="Also say where the rule stands in this configuration."
)
@click.option("--json", "as_json", is_flag=True, help="Print the lines themselves.")
def why(identity: str, first: tuple[str, ...], more: tuple[str, ...], path: Path | None, *, as_json: bool) -> None:
    """Tell what became of a request (its X-Request-Id stands on every answer), of a page or of a session."""
    if not (first or more):
        raise click.UsageError("--audit FILE is needed")
    rules = _rules(path) if path is not None else None
    found, left = _find(identity, AuditFiles((*first, *more)))
    if not found:
        raise click.ClickException(
            "nothing found: is the id right, and was its line written (audit.share)? Lines of visitors who opted "
            "out or are being deleted hold no session"
        )
    if as_json:
        for line in found:
            click.echo(json.dumps(line))
        return
    for line in found:
        click.echo("\n".join(story(line, rules)) + "\n")
    if left:
        click.echo(f"{left} later lines are not told here.")


def _rules(path: Path) -> Rules:
    config = load_or_exit(path)
    try:
        return Rules(str(path), Generation.compile(config, 1).snapshot)
    except GeoError as error:
        raise click.ClickException(f"{path}: {error}") from None


def _find(identity: str, files: AuditFiles) -> tuple[list[dict[str, Any]], int]:
    """The earliest lines of the identity in the order of time, and how many there are beyond them."""
    read = msgspec.json.Decoder(dict[str, Any]).decode
    needle = identity.encode("utf-8", "replace")
    count = 0

    def matching() -> Any:
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

    kept = heapq.nsmallest(MOST_LINES, matching())
    return [line for _, _, line in kept], count - len(kept)
