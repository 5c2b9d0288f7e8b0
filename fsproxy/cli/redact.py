"""``redact``: what rules of redaction find in a file, by the functions that redact on the wire. No text is printed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import IO, Any

import click

from fsproxy.cli.audit_files import GZIP_MAGIC
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import load_or_exit
from fsproxy.cli.tables import echo_rich
from fsproxy.core.audit.privacy import safe
from fsproxy.core.client_api.redacted_calls import inspect_redacted
from fsproxy.core.json.path_at import path_at
from fsproxy.core.json.strict import Fault, parse_object
from fsproxy.core.model import Mode, Route
from fsproxy.core.redact.documents import redact_page
from fsproxy.core.redact.json_strings import Redactor, read_text
from fsproxy.core.redact.redaction import Match, Redaction, UnreadableError, merged, utf16_length
from fsproxy.core.settings import ClientApiSettings

ROUTES = {
    "page": Route.PAGE,
    "bundle": Route.BUNDLE,
    "event": Route.DIRECT_EVENT,
    "identify": Route.DIRECT_IDENTIFY,
    "setUserVars": Route.DIRECT_SET_USER_VARS,
}
"""What a file can hold, and the route whose bodies it is redacted like."""
LONGEST_PLACE = 200


@click.command(
    cls=Documented,
    statuses={0: "nothing is found", 1: "the input is at fault or cannot be redacted", 3: "something is found"},
    examples=[
        "fsproxy redact bundle.json.gz --config fsproxy.yaml",
        "fsproxy redact - --config fsproxy.yaml --as page --json < page.json",
    ],
)
@click.argument("file", type=click.File("rb"))
@click.option("--config", "path", type=click.Path(path_type=Path), required=True, help="The rules: the section redact.")
@click.option("--as", "kind", type=click.Choice(list(ROUTES)), help="What FILE holds; default: what it looks like.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def redact(file: IO[bytes], path: Path, kind: str | None, *, as_json: bool) -> None:
    """Show what would be redacted in FILE, a recorded body (- is standard input; gzip is recognised).

    Prints the place of each match and its rule, and how often each rule was found. The text itself is never printed.
    Places are counted in UTF-16 units from the beginning of a string, as JavaScript counts them.
    """
    rules = Redaction.compile(load_or_exit(path).core)
    if rules is None:
        raise click.ClickException(f"{path} has no rules of redaction that are in force")
    body = _body(file)
    findings = _findings(rules, body, ROUTES[kind or _kind_of(body)])
    totals: dict[str, int] = {}
    for each in findings:
        totals[each["rule"]] = totals.get(each["rule"], 0) + 1
    if as_json:
        click.echo(json.dumps({"matches": findings, "rules": totals}, indent=2))
    else:
        _print(findings, totals)
    raise SystemExit(3 if findings else 0)


def _body(file: IO[bytes]) -> bytes:
    body = file.read()
    if body.startswith(GZIP_MAGIC):
        try:
            return gzip.decompress(body)
        except (OSError, EOFError):
            raise click.ClickException("the file begins as gzip does, but it cannot be decompressed") from None
    return body


def _kind_of(body: bytes) -> str:
    root = parse_object(body)
    if isinstance(root, Fault):
        return "bundle"  # a recorder's bundle may hold what no strict reader reads
    if "Evts" in root:
        return "bundle"
    if "OrgId" in root and "Url" in root:
        return "page"
    if "properties" in root or "p" in root:
        return "event"
    return "identify" if "uid" in root else "setUserVars"


def _findings(rules: Redaction, body: bytes, route: Route) -> list[dict[str, Any]]:
    found: list[tuple[int, int, dict[str, Any]]] = []

    def note(place: int, inner: int | None, matches: list[Match]) -> None:
        where, text = path_at(body, place), _string_at(body, place)
        if inner is not None:
            data = text.encode("utf-8", "surrogatepass")
            where, text = f"{where} > {path_at(data, inner)}", _string_at(data, inner)
        for index in sorted({each.index for each in matches}):
            rule = rules.rules[index]
            found.extend(
                (
                    place,
                    inner or 0,
                    {
                        "place": safe(where, LONGEST_PLACE),
                        "from": utf16_length(text[: each.begin]),
                        "units": utf16_length(text[each.begin : each.end]),
                        "rule": rule.rule.id,
                        "action": rule.action,
                        "mode": (Mode.SHADOW if rule.counts_alone else Mode.ENFORCE).value,
                    },
                )
                for each in merged(each for each in matches if each.index == index)
            )

    try:
        if route is Route.PAGE:
            redact_page(Redactor(rules, note), body)
            return _in_order(found)
        inspection = inspect_redacted(ClientApiSettings(), route, body, None, rules, note)
    except UnreadableError:
        raise click.ClickException("this is not a page: it is no JSON object") from None
    if inspection.redacted.lost:
        count = len(inspection.redacted.lost)
        raise click.ClickException(f"{count} call{'s' if count > 1 else ''} cannot be read, and would not go on")
    if inspection.uninspectable is not None:
        raise click.ClickException(f"this is not a bundle: {inspection.uninspectable.value}")
    return _in_order(found)


def _in_order(found: list[tuple[int, int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return what was found in the order of the file. Calls are looked at before what is between them."""
    return [each for *_, each in sorted(found, key=lambda finding: (finding[0], finding[1], finding[2]["from"]))]


def _string_at(data: bytes, place: int) -> str:
    end = place + 1
    while data[end : end + 1] != b'"':
        end += 2 if data[end : end + 1] == b"\\" else 1
    return read_text(data[place : end + 1])


def _print(findings: list[dict[str, Any]], totals: dict[str, int]) -> None:
    if not findings:
        click.echo("nothing is found")
        return
    rows = []
    for each in findings:
        does = each["action"] if each["mode"] == "enforce" else f"{each['action']} (shadow: counted alone)"
        rows.append((each["place"], f"{each['units']} from {each['from']}", does, each["rule"]))
    if not echo_rich("", ("place", "units", "action", "rule"), rows):
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            click.echo("  ".join([*cells, row[3]]))
    counts = ", ".join(f"{rule} {count}" for rule, count in totals.items())
    click.echo(f"{len(findings)} match{'es' if len(findings) != 1 else ''}: {counts}")
