"""``explain``: what would be decided about a session, and why, by the very functions that decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fsproxy.admin.explaining import Explanation
from fsproxy.admin.explaining import explain as explained
from fsproxy.admin.question import Asked, UnanswerableError
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import CONFIG_OPTION, load_or_exit
from fsproxy.cli.tables import echo_rich
from fsproxy.clock import now
from fsproxy.core.pipeline import Judgement, Step
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.geo import GeoError


@click.command(
    cls=Documented,
    statuses={0: "captured", 1: "the configuration or the recorded request is at fault", 3: "blocked"},
    examples=[
        "fsproxy explain --config fsproxy.yaml --org o-1ABC-na1 --url https://www.example.com/ --ip 203.0.113.7",
        "fsproxy explain --config fsproxy.yaml --request page.json",
    ],
)
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
    known only to the running proxy.
    """
    config = load_or_exit(path)
    try:
        generation = Generation.compile(config, 1)
    except GeoError as error:
        raise click.ClickException(str(error)) from None
    recorded = _recorded(request_file) if request_file is not None else {}
    asked = Asked(cookies=options.pop("cookie"), headers=options.pop("extra"), request=recorded, **options)
    try:
        explanation = explained(generation, asked, now())
    except UnanswerableError as error:
        if error.key != "request":
            raise click.BadParameter(error.text, param_hint=f"--{error.key.removesuffix('s')}") from None
        raise click.ClickException(f"--{error.key} {request_file}: {error.text}") from None
    if as_json:
        click.echo(json.dumps(explanation.document(), indent=2))
    else:
        _tell(explanation)
    raise SystemExit(3 if explanation.decision.block is not None else 0)


def _recorded(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise click.ClickException(f"--request {file}: not JSON ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise click.ClickException(f"--request {file}: one JSON object is expected: method, url, headers, body")
    return document


def _tell(explanation: Explanation) -> None:
    block = explanation.decision.block
    if explanation.not_judged_because:
        click.echo(f"not judged: {explanation.not_judged_because}")
        return
    if block is None:
        click.echo("captured")
    else:
        where = f" ({block.rule.where})" if block.rule.where else ""
        click.echo(f"blocked: reason_code {int(block.code)}, {block.code.text}; rule {block.rule.id}{where}")
        click.echo(f"it means: {explanation.means}")
    if explanation.mode != "enforce":
        click.echo(f"(top-level mode: {explanation.mode})")
    click.echo()
    rows = [(step.filter.value, step.judgement.value, *_rule(step)) for step in explanation.trace]
    if not echo_rich("", ("filter", "judgement", "rule", "stands at"), rows):
        for name, judgement, rule, where in rows:
            told = "  ".join(
                ("", f"{name:<14}{judgement:<16}", rule, where) if rule else ("", f"{name:<14}{judgement}")
            )
            click.echo(told.rstrip())
    if explanation.not_given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in explanation.not_given)
        click.echo(f"  rules look at these too, which were not given: {options}")
    if explanation.not_judged:
        click.echo(f"  nothing to judge: {', '.join(explanation.not_judged)}")


def _rule(step: Step) -> tuple[str, str]:
    if step.hit is None or step.judgement is Judgement.NOT_REACHED:
        return "", ""
    return step.hit.rule.id, step.hit.rule.where
