"""``explain``: what would be decided about a session, and why, by the functions that decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fsproxy.admin.explaining import Explanation
from fsproxy.admin.explaining import explain as explained
from fsproxy.admin.question import Question, UnanswerableError
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import compile_or_exit, config_option
from fsproxy.cli.tables import echo_rich
from fsproxy.clock import now
from fsproxy.core.pipeline import Judgement, Step
from fsproxy.core.wording import reason, sentence


@click.command(
    cls=Documented,
    statuses={0: "captured", 1: "the configuration or the recorded request is at fault", 3: "blocked"},
    examples=[
        "fsproxy explain --config fsproxy.yaml --org o-1ABC-na1 --url https://www.example.com/ --ip 203.0.113.7",
        "fsproxy explain --config fsproxy.yaml --request page.json",
    ],
)
@config_option()
@click.option("--url", help="The page's URL.")
@click.option("--ip", help="The visitor's address.")
@click.option("--user-agent", help="The User-Agent header.")
@click.option("--org", help="The org's id.")
@click.option("--country", help="An ISO 3166 code, such as US or US-CA; default: what geo.source finds.")
@click.option("--cookie", multiple=True, help="name=value; may be repeated.")
@click.option("--app-id", help="The uid that was given to FS.identify.")
@click.option("--user-id", help="The recorder's own id of the visitor.")
@click.option("--session-id", help="The session's id.")
@click.option("--origin", help="The Origin header; default: that of the URL.")
@click.option("--header", "extra", multiple=True, help="Another header, 'Name: value'; may be repeated.")
@click.option(
    "--request",
    "request_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A recorded request: JSON with method, url, headers and body.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(path: Path, request_file: Path | None, *, as_json: bool, **options: Any) -> None:
    """Show what would be decided about a session, filter by filter.

    The filters are those of the running proxy. The command knows no sessions under way and no used-up quota: only the
    running proxy does.
    """
    generation = compile_or_exit(path)
    recorded = _recorded(request_file) if request_file is not None else {}
    question = Question(cookies=options.pop("cookie"), headers=options.pop("extra"), request=recorded, **options)
    try:
        explanation = explained(generation, question, now())
    except UnanswerableError as error:
        if error.key != "request":
            raise click.BadParameter(error.text, param_hint=f"--{error.key.removesuffix('s')}") from None
        raise click.ClickException(f"--{error.key} {request_file}: {error.text}") from None
    if as_json:
        more = {"goes_up_as": explanation.goes_up_as} if explanation.goes_up_as else {}
        click.echo(json.dumps({**explanation.document(), **more}, indent=2))
    else:
        _print(explanation)
    raise SystemExit(3 if explanation.decision.block is not None else 0)


def _recorded(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise click.ClickException(f"--request {file} is not JSON ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise click.ClickException(f"--request {file} must hold one JSON object: method, url, headers, body")
    return document


def _print(explanation: Explanation) -> None:
    if explanation.goes_up_as and explanation.decision.block is None:
        click.echo(f"The request would go up to {explanation.goes_up_as}, by upstream.rewrite.")
    if explanation.not_judged_because:
        click.echo(f"The filters would not be asked, because {explanation.not_judged_because}.")
        return
    block = explanation.decision.block
    if block is None:
        click.echo("The session would be captured.")
    else:
        place = f" ({block.rule.where})" if block.rule.where else ""
        click.echo(f"The session would be blocked with {reason(block.code)} by the rule {block.rule.id}{place}.")
        click.echo(sentence(explanation.means))
    if explanation.generation.mode != "enforce":
        click.echo(f"The top-level mode is {explanation.generation.mode}.")
    click.echo()
    rows = [(step.filter.value, step.judgement.value, *_rule(step)) for step in explanation.trace]
    if not echo_rich("", ("filter", "answer", "rule", "place"), rows):
        for name, answer, rule, place in rows:
            click.echo(f"  {name:<14}{answer:<16}  {rule}  {place}".rstrip())
    if explanation.not_given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in explanation.not_given)
        click.echo(f"  Some rules also look at what was not given: {options}.")
    _print_redactions(explanation)
    if explanation.not_judged:
        click.echo(f"  These filters have no rule to ask: {', '.join(explanation.not_judged)}.")


def _print_redactions(explanation: Explanation) -> None:
    for found, rest in zip(explanation.redactions, ("redacted by", "counted by"), strict=True):
        if found and explanation.decision.block is None:
            rules = ", ".join(f"{rule} ({count})" for rule, count in found.items())
            click.echo(f"  Its URL would be {rest} these rules of redaction: {rules}.")


def _rule(step: Step) -> tuple[str, str]:
    if step.hit is None or step.judgement is Judgement.NOT_REACHED:
        return "", ""
    return step.hit.rule.id, step.hit.rule.where
