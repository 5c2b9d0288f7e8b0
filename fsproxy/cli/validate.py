"""``validate``: the calls in a file, by the functions that validate them on the wire."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import IO

import click

from fsproxy.cli.audit_files import GZIP_MAGIC
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import echo_faults, load_or_exit
from fsproxy.config.loader import load_plan, load_text
from fsproxy.config.problems import ConfigError
from fsproxy.core.audit.privacy import safe
from fsproxy.core.client_api.inspection import inspect
from fsproxy.core.client_api.outcome import CallsOutcome, decide_calls
from fsproxy.core.model import Mode, Rejection, Route
from fsproxy.core.plan import Plan
from fsproxy.core.settings import CoreSettings, PlanSettings, Profile

ROUTES = {
    "event": Route.DIRECT_EVENT,
    "identify": Route.DIRECT_IDENTIFY,
    "setUserVars": Route.DIRECT_SET_USER_VARS,
    "bundle": Route.BUNDLE,
}
"""What a file can hold, and the route whose bodies it is validated like."""


@click.command(
    cls=Documented,
    statuses={0: "nothing is rejected", 1: "something is rejected, or the input cannot be read"},
    examples=[
        'echo \'{"name":"Bought","properties":{"price_real":"9.50"}}\' | fsproxy validate event -',
        "fsproxy validate event bought.json --plan plan.yaml",
        "fsproxy validate bundle bundle.json --limits current",
        "fsproxy validate bundle bundle.json.gz --config fsproxy.yaml --org o-1ABC-na1",
    ],
)
@click.argument("kind", type=click.Choice(list(ROUTES)))
@click.argument("file", type=click.File("rb"))
@click.option("--config", "path", type=click.Path(path_type=Path), help="Use the limits of this configuration.")
@click.option("--org", help="Use the limits that it has for this org.")
@click.option("--limits", type=click.Choice([each.value for each in Profile]), help="Without one, use these limits.")
@click.option(
    "--plan",
    "plan_path",
    type=click.Path(path_type=Path),
    help="Compare with this plan of names, in place of the configuration's. What it lacks or requires is rejected.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(
    kind: str,
    file: IO[bytes],
    path: Path | None,
    org: str | None,
    limits: str | None,
    plan_path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Check a call or a bundle in FILE (- is standard input; gzip is recognised).

    Prints every rejection with the property's path and the limit, also those that a mode of the configuration only
    reports. Numbers of names and rates are not checked, as they depend on earlier calls.
    """
    if path is not None and limits is not None:
        raise click.UsageError("--limits is set beside --config, which has limits of its own")
    core = load_or_exit(path).core if path is not None else _with_limits(limits or Profile.DOCUMENTS.value)
    of_org = core.orgs.get(org, core.default) if org is not None else core.default
    plan = PlanSettings(file=_plan(plan_path), cuts_missing=True) if plan_path is not None else of_org.plan
    settings = of_org.client_api.capped(Mode.ENFORCE, plan)
    body = file.read()
    if body.startswith(GZIP_MAGIC):
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError):
            raise click.ClickException("the file begins as gzip does, but it cannot be decompressed") from None
    inspection = inspect(settings, ROUTES[kind], body)
    if inspection.uninspectable is not None:
        raise click.ClickException(f"this is not a bundle: {inspection.uninspectable.value}")
    outcome = decide_calls(inspection, {}, (), settings)
    rejections = (*outcome.rejections, *outcome.shadow)
    click.echo(_document(outcome, rejections, settings.limits) if as_json else _text(len(inspection.calls), rejections))
    raise SystemExit(1 if rejections else 0)


def _with_limits(limits: str) -> CoreSettings:
    text = f"{{upstream: {{url: http://localhost}}, client_api: {{limits: {limits}}}}}"
    return load_text(text, "limits", {}, Path()).core


def _plan(path: Path) -> Plan:
    try:
        return load_plan(path)
    except ConfigError as error:
        echo_faults(str(path), error.problems)
        raise SystemExit(1) from None


def _document(outcome: CallsOutcome, rejections: tuple[Rejection, ...], limits: Profile) -> str:
    document = {
        "limits": limits.value,
        "calls": len(outcome.calls),
        "rejected_calls": outcome.rejected_calls,
        "errors": [
            {
                "code": each.code.value,
                "kind": each.kind.value,
                "call": each.call,
                "property": each.property,
                "detail": each.detail,
            }
            for each in rejections
        ],
    }
    return json.dumps(document, indent=2)


def _text(calls: int, rejections: tuple[Rejection, ...]) -> str:
    if not rejections:
        return f"fine: {calls} call{'' if calls == 1 else 's'}, nothing is rejected"
    lines = []
    for each in rejections:
        call = f"{each.kind.value} {safe(each.call)!r}" if each.call is not None else each.kind.value
        where = f"{call}: {safe(each.property)}" if each.property is not None else call
        lines.append(f"{each.code.value:<22}{where}: {each.detail}")
    return "\n".join(lines)
