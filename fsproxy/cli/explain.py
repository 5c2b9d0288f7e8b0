"""``explain``: what would be decided about a session, and why, by the very functions that decide."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from fsproxy.cli.loading import CONFIG_OPTION, load_or_exit
from fsproxy.core.client_address import ClientAddress, ClientAddresses, parse_address
from fsproxy.core.facts import bundle_facts, bundle_query, page_facts
from fsproxy.core.header_values import index
from fsproxy.core.limits.operations import Admitted
from fsproxy.core.model import FilterName, Hit, Location, Route, SessionFacts
from fsproxy.core.page import PageBody, read_page
from fsproxy.core.pipeline import Decision, Judgement, Step, judge, settle
from fsproxy.core.policy import OrgPolicy
from fsproxy.shell.clock import now
from fsproxy.shell.generation import Generation
from fsproxy.shell.geo import GeoUnavailable
from fsproxy.shell.ledger.memory import MemoryLedger

PEER = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class _Question:
    """One request, to be explained."""

    route: Route
    page: PageBody
    query: str
    headers: dict[bytes, bytes]
    client: ClientAddress
    location: Location | None


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
    question = _question(generation, recorded, options)
    facts = _facts(question)
    policy = generation.snapshot.policy(facts.org)
    if question.location is None and policy.geo_source is not None:
        location = generation.locator.locate(policy.geo_source, question.client, question.headers)
        facts = msgspec.structs.replace(facts, location=location)
    decision, trace = _decide(policy, facts)
    block = decision.block
    if as_json:
        click.echo(json.dumps(_document(block, trace), indent=2))
    else:
        for line in _lines(block, trace, generation):
            click.echo(line)
    raise SystemExit(3 if block is not None else 0)


def _decide(policy: OrgPolicy, facts: SessionFacts) -> tuple[Decision, list[Step]]:
    """The decision with an empty ledger, and what each filter said."""
    trace: list[Step] = []
    moment = now()
    verdict = judge(policy, facts, moment, "explained", trace)
    answers = MemoryLedger().try_now((verdict.admit,), moment) if verdict.admit is not None else ()
    admitted = next((answer for answer in answers if isinstance(answer, Admitted)), None)
    decision = settle(policy, verdict, admitted)
    return decision, [_answered(step, decision) for step in trace]


def _answered(step: Step, decision: Decision) -> Step:
    """A step that was left to the ledger, with its answer."""
    if step.judgement is not Judgement.ASKS_LEDGER:
        return step
    if decision.block is not None:
        judgement = Judgement.HIT if decision.block == step.hit else Judgement.NOT_REACHED
    else:
        judgement = Judgement.SHADOW if step.hit in decision.shadow else step.judgement
    return Step(step.filter, judgement, step.hit)


def _recorded(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise click.ClickException(f"--request {file}: not JSON ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise click.ClickException(f"--request {file}: one JSON object is expected: method, url, headers, body")
    if not isinstance(document.get("headers") or {}, dict):
        raise click.ClickException(f"--request {file}: headers is an object of names and values")
    # A page's body alone is also taken.
    return {"body": document} if "OrgId" in document else document


def _question(generation: Generation, recorded: dict[str, Any], options: dict[str, Any]) -> _Question:
    target = str(recorded.get("url") or "/rec/page")
    route = generation.routes.match(str(recorded.get("method") or "POST"), target)
    body = recorded.get("body")
    text = body if isinstance(body, str) else json.dumps(body)
    page = read_page(text.encode(errors="surrogatepass")) if body is not None else PageBody()
    if page is None:
        if route is Route.PAGE:
            raise click.ClickException("--request: the page's body is not a JSON object: it is answered 400")
        page = PageBody()
    given = {"url": options["url"], "org_id": options["org"], "app_id": options["app_id"]}
    given |= {"user_id": options["user_id"], "session_id": options["session_id"]}
    page = msgspec.structs.replace(page, **{k: v for k, v in given.items() if v is not None})
    headers = _headers(recorded, options, page)
    client = generation.clients.resolve(PEER, headers)
    if options["ip"]:
        client = _client_at(generation.clients, options["ip"], headers)
    country, _, _ = (options["country"] or "").upper().partition("-")
    region = options["country"].upper() if options["country"] and "-" in options["country"] else None
    return _Question(
        route if route is not Route.OTHER else Route.PAGE,
        page,
        target.partition("?")[2],
        headers,
        client,
        Location(country, region) if country else None,
    )


def _client_at(clients: ClientAddresses, ip: str, headers: dict[bytes, bytes]) -> ClientAddress:
    address = parse_address(ip)
    if address is None:
        raise click.BadParameter(f"{ip} is not an address", param_hint="--ip")
    # The headers count as if a trusted proxy had passed them on.
    return msgspec.structs.replace(clients.resolve(None, headers), address=address, trusted=True)


def _headers(recorded: dict[str, Any], options: dict[str, Any], page: PageBody) -> dict[bytes, bytes]:
    pairs = [(str(name), str(value)) for name, value in dict(recorded.get("headers") or {}).items()]
    pairs += [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in options["extra"])]
    if options["user_agent"] is not None:
        pairs.append(("User-Agent", options["user_agent"]))
    pairs += [("Cookie", cookie) for cookie in options["cookie"]]
    origin = options["origin"]
    names = {name.lower() for name, _ in pairs}
    if origin is None and "origin" not in names and isinstance(page.url, str):
        origin = _origin_of(page.url)
    if origin is not None:
        pairs.append(("Origin", origin))
    return index(tuple((n.encode("latin-1", "replace"), v.encode("utf-8", "surrogateescape")) for n, v in pairs))


def _origin_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None


def _facts(question: _Question) -> SessionFacts:
    if question.route is not Route.PAGE:
        query = bundle_query(question.query)
        return bundle_facts(question.route, query, question.headers, question.client, question.location)
    fresh = "" if question.page.user_id else "a-first-visit"
    return page_facts(question.page, question.headers, question.client, question.location, fresh_user_id=fresh)


def _document(block: Hit | None, trace: list[Step]) -> dict[str, Any]:
    return {
        "decision": "captured" if block is None else "blocked",
        "reason_code": None if block is None else int(block.code),
        "reason": None if block is None else block.code.text,
        "rule": None if block is None else {"id": block.rule.id, "where": block.rule.where},
        "filters": [
            {
                "filter": step.filter.value,
                "judgement": step.judgement.value,
                "rule": None if step.hit is None else {"id": step.hit.rule.id, "where": step.hit.rule.where},
            }
            for step in trace
        ],
    }


def _lines(block: Hit | None, trace: list[Step], generation: Generation) -> list[str]:
    if block is None:
        lines = ["captured"]
    else:
        where = f" ({block.rule.where})" if block.rule.where else ""
        lines = [f"blocked: reason_code {int(block.code)}, {block.code.text}; rule {block.rule.id}{where}"]
    if generation.mode.value != "enforce":
        lines.append(f"(top-level mode: {generation.mode.value})")
    lines.append("")
    for step in trace:
        rule = ""
        if step.hit is not None and step.judgement is not Judgement.NOT_REACHED:
            where = f"  {step.hit.rule.where}" if step.hit.rule.where else ""
            rule = f"  {step.hit.rule.id}{where}"
        lines.append(f"  {step.filter.value:<14}{step.judgement.value:<16}{rule}".rstrip())
    judged = {step.filter for step in trace}
    missing = [name.value for name in FilterName if name not in judged]
    if missing:
        lines.append(f"  nothing to judge: {', '.join(missing)}")
    return lines
