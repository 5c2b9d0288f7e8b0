"""``explain``: what would be decided about a session, and why, by the very functions that decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fsproxy.cli.loading import CONFIG_OPTION, load_or_exit
from fsproxy.core.pipeline import Judgement
from fsproxy.shell.clock import now
from fsproxy.shell.explaining import Asked, Explanation, UnanswerableError
from fsproxy.shell.explaining import explain as explained
from fsproxy.shell.generation import Generation
from fsproxy.shell.geo import GeoUnavailable


@click.command()
@CONFIG_OPTION
@click.option("--url", help="The page's URL.")
@click.option("--ip", help="The visitor's address.")
@click.option("--user-agent", help="The User-Agent header.")
@click.option("--org", help="The org's id.")
@click.option("--country", help="ISO 3166 code, e.g. US or US-CA; default: as geo.source finds it.")
@click.option("--cookie", multiple=True, help="name=value; may be repeated.")
@click.option("--app-id", help="The uid given to FS.identify.")
@click.option("--user-id", help="The recorder's own id of the visitor.")
@click.option("--session-id", help="The session's id.")
@click.option("--origin", help="The Origin header; default: the URL's.")
@click.option("--header", "extra", multiple=True, help="Another header, 'Name: value'; may be repeated.")
@click.option(
    "--request",
    "request_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A recorded request: JSON with method, url, headers and body.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def explain(path: Path, request_file: Path | None, *, as_json: bool, **options: Any) -> None:
    """Say what would be decided about a session, filter by filter.

    Judges as the running proxy would, with an empty ledger: sessions under way and used-up quotas are
    known only to the running proxy. Exit status: 0 captured, 3 blocked.

    Example: fsproxy explain --config fsproxy.yaml --url https://www.example.com/ --ip 203.0.113.7
    """
    config = load_or_exit(path)
    try:
        generation = Generation.compile(config, 1)
    except GeoUnavailable as error:
        raise click.ClickException(str(error)) from None
    recorded = _recorded(request_file) if request_file is not None else {}
    asked = Asked(cookies=options.pop("cookie"), headers=options.pop("extra"), request=recorded, **options)
    try:
        explanation = explained(generation, asked, now())
    except UnanswerableError as error:
        if error.key == "ip":
            raise click.BadParameter(error.text, param_hint="--ip") from None
        raise click.ClickException(f"--{error.key} {request_file}: {error.text}") from None
    if as_json:
        click.echo(json.dumps(explanation.document(), indent=2))
    else:
        for line in _lines(explanation):
            click.echo(line)
    raise SystemExit(3 if explanation.decision.block is not None else 0)


def _recorded(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise click.ClickException(f"--request {file}: not JSON ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise click.ClickException(f"--request {file}: one JSON object is expected: method, url, headers, body")
    return document


def _lines(explanation: Explanation) -> list[str]:
    block = explanation.decision.block
    if block is None:
        lines = ["captured"]
    else:
        where = f" ({block.rule.where})" if block.rule.where else ""
        lines = [f"blocked: reason_code {int(block.code)}, {block.code.text}; rule {block.rule.id}{where}"]
    if explanation.mode != "enforce":
        lines.append(f"(top-level mode: {explanation.mode})")
    lines.append("")
    for step in explanation.trace:
        rule = ""
        if step.hit is not None and step.judgement is not Judgement.NOT_REACHED:
            where = f"  {step.hit.rule.where}" if step.hit.rule.where else ""
            rule = f"  {step.hit.rule.id}{where}"
        lines.append(f"  {step.filter.value:<14}{step.judgement.value:<16}{rule}".rstrip())
    if explanation.not_judged:
        lines.append(f"  nothing to judge: {', '.join(explanation.not_judged)}")
    return lines
