"""``doctor``: a real deployment, tested from end to end."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import click

from fsproxy.cli.doctor.findings import Finding, Report, State
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import config_option, load_or_exit
from fsproxy.core.wording import counted

_MARKS = {State.OK: ("✓", "green"), State.WARNING: ("!", "yellow"), State.FAULT: ("✗", "red"), State.UNKNOWN: ("?", "")}
_ASCII = {"✓": "+", "✗": "x"}


def _address(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    plain = parts.path in {"", "/"} if parameter.name == "origin" else True
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in value or parts.query or not plain:
        raise click.BadParameter("http://HOST or https://HOST, with :PORT if need be, without user and query")
    return value.rstrip("/")


@click.command(
    cls=Documented,
    statuses={0: "all is fine, as far as it can be known", 1: "something is at fault", 3: "there are warnings alone"},
    examples=[
        "fsproxy doctor --config fsproxy.yaml",
        "fsproxy doctor --config fsproxy.yaml --public-url https://rec.example.com --org o-1ABC-na1",
        "fsproxy doctor --config fsproxy.yaml --public-url https://rec.example.com --json > report.json",
    ],
)
@config_option()
@click.option("--public-url", callback=_address, help="Where recorders reach fsproxy, through all that is in front.")
@click.option("--org", help="An org's id. One page of it is sent to the upstream, which begins a session.")
@click.option("--origin", callback=_address, help="A site that is recorded. Without it, the public URL's.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 600), default=20.0, show_default=True, help="Seconds for each step."
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(
    path: Path, public_url: str | None, org: str | None, origin: str | None, timeout: float, *, as_json: bool
) -> None:
    """Test a deployment from end to end: this machine, the upstream, Redis, and what is in front of fsproxy.

    Run it where fsproxy runs, while it runs. Nothing reaches the upstream but a request for settings and, with --org,
    one page, which is announced.
    """
    from fsproxy.cli.doctor.visit import examine  # noqa: PLC0415 - slow to import
    from fsproxy.telemetry.logs import configure_logs  # noqa: PLC0415

    config = load_or_exit(path)
    configure_logs("error", "console")
    report = Report((lambda _: None) if as_json else _show, timeout)
    site = origin or public_url or "https://www.example.com"
    parts = urlsplit(site)
    asyncio.run(examine(report, config, public_url, org, f"{parts.scheme}://{parts.netloc}", _announce))
    counts = report.counts
    if as_json:
        found = {
            "status": report.exit_status,
            "counts": {each.value: counts[each] for each in State},
            "findings": [asdict(each) for each in report.findings],
        }
        click.echo(json.dumps(found, indent=2))
    else:
        faults, warnings = counted(counts[State.FAULT], "fault"), counted(counts[State.WARNING], "warning")
        click.echo(f"{faults}, {warnings}, {counts[State.UNKNOWN]} not known")
    raise SystemExit(report.exit_status)


def _announce(text: str) -> None:
    click.echo(text, err=True)


def _show(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    try:
        mark.encode(sys.stdout.encoding or "ascii")
    except UnicodeError:
        mark = _ASCII[mark]
    click.echo(f"{click.style(mark, fg=colour or None)} {finding.check}: {finding.text}")
    if finding.advice:
        click.echo(f"    {finding.advice}")
