"""``replay``: which recorded decisions would change under other rules."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from fsproxy.cli.audit_files import AuditFiles
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import compile_or_exit
from fsproxy.cli.replay_totals import ReplayTotals
from fsproxy.cli.tables import echo_table, progress
from fsproxy.core.filters.ip import renamed
from fsproxy.core.model import Route
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.replay.again import CAPTURED, Replay, Replayed, recorded
from fsproxy.core.replay.facts import PageLine
from fsproxy.core.wording import counted

_MOST_RULES = 20
"""Rows of a table of rules; --json prints them all."""
_PAGE = b'"page"'
_NOTES = (
    "Quotas are taken as recorded: a page that was over quota still is; one that another rule blocked is not.",
    "So are sessions under way and visitors admitted before. A session that a filter blocked counts as new.",
    "Locations are those that were found at the time.",
)


@click.command(
    cls=Documented,
    statuses={0: "no decision changes", 1: "the input is at fault", 3: "some decisions change"},
    examples=[
        "fsproxy replay audit.log.1.gz audit.log --config new.yaml",
        "fsproxy replay audit.log --config new.yaml --against old.yaml --json",
    ],
)
@click.argument("audit", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--config", "new", required=True, envvar="FSPROXY_CONFIG", type=click.Path(path_type=Path), help="The new rules."
)
@click.option(
    "--against", "old", type=click.Path(path_type=Path), help="Compare with these rules, not with what was recorded."
)
@click.option("--same-users", is_flag=True, help="Take the lists of users as unchanged; lines hold no uids.")
@click.option("--examples", default=3, show_default=True, type=click.IntRange(0, 1000), help="Request ids per change.")
@click.option("--fail-on-undecidable", is_flag=True, help="Exit with status 3 also when a page cannot be decided.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(
    audit: tuple[str, ...],
    new: Path,
    old: Path | None,
    examples: int,
    *,
    same_users: bool,
    fail_on_undecidable: bool,
    as_json: bool,
) -> None:
    """Decide the pages in AUDIT files again, under other rules.

    The files are plain or gzip, as fsproxy wrote them or as a container runtime keeps them; - is standard input.

    A page is undecidable where a rule needs what its line does not hold: the whole address under client_ip: truncated,
    or a uid. Not every captured page has a line when audit.share.page is below 100%.
    """
    generation = compile_or_exit(new)
    after = Replay(generation.snapshot, same_users=same_users)
    before = Replay(compile_or_exit(old).snapshot, same_users=same_users) if old is not None else None
    files = AuditFiles(audit)
    counts = ReplayTotals(examples)
    collected = gc.isenabled()
    gc.disable()  # nothing here makes cycles, and collecting costs time
    try:
        _count(files, counts, before, after, renamed(generation.config.core))
    finally:
        if collected:
            gc.enable()
    files.report_without_lines()
    if as_json:
        click.echo(json.dumps(_document(counts, files.unfinished), indent=2))
    else:
        _print(counts, files.unfinished)
    if counts.unreadable:
        raise click.ClickException(f"{counted(counts.unreadable, 'line is no audit line', 'lines are no audit lines')}")
    if len(files.without_lines) == len(audit):
        raise SystemExit(1)
    raise SystemExit(3 if counts.changed or (fail_on_undecidable and counts.undecidable) else 0)


def _count(
    files: AuditFiles, counts: ReplayTotals, before: Replay | None, after: Replay, name: Callable[[str], str]
) -> None:
    read = msgspec.json.Decoder(PageLine).decode
    decide, page = after.decide, Route.PAGE.value
    same: Counter[int] = Counter()
    with progress("replaying", files.size) as advance:
        for batch in files.batches():
            for text in batch:
                if _PAGE not in text and text.startswith(b"{"):
                    counts.other += 1
                    continue
                try:
                    line = read(text)
                    if line.action != page:
                        counts.other += 1
                        continue
                    decided = decide(line)
                    if before is None and _is_plain(line, decided):
                        same[decided.code] += 1
                    else:
                        counts.add(line, recorded(line, name) if before is None else before.decide(line), decided)
                except (msgspec.MsgspecError, ValueError, RecursionError):
                    counts.unreadable += 1
            advance(files.done)
    counts.pages += same.total()
    counts.codes.update({(code, code): count for code, count in same.items()})


def _is_plain(line: PageLine, decided: Replayed) -> bool:
    """Return whether the page is decided as before, without any shadow hit. Nearly all are, and only need counting."""
    if decided.rule != line.rule or decided.code != (line.reason_code or CAPTURED):
        return False
    return not (decided.shadow or line.shadow or decided.undecidable) and decided.judged


def _name(code: int) -> str:
    if code == CAPTURED:
        return "captured"
    known = code in ReasonCode.__members__.values()
    return f"{code} {ReasonCode(code).text}" if known else str(code)


def _document(counts: ReplayTotals, unfinished: int) -> dict[str, Any]:
    rules = sorted(counts.rules.items(), key=lambda item: (-item[1], item[0]))
    return {
        "pages": counts.pages,
        "changed": counts.changed,
        "undecidable": dict(counts.undecidable.most_common()),
        "not_judged": counts.not_judged,
        "other_lines": counts.other,
        "unreadable_lines": counts.unreadable,
        "unfinished_lines": unfinished,
        "codes": [
            {"old": old, "new": new, "count": count, "examples": counts.kept.get((old, new), [])}
            for (old, new), count in counts.codes.most_common()
        ],
        "rules": [
            {"old": {"code": o, "rule": r}, "new": {"code": n, "rule": s}, "count": c} for (o, r, n, s), c in rules
        ],
        "shadow": [
            {"rule": rule, "old": counts.shadow_before[rule], "new": counts.shadow_after[rule]}
            for rule in sorted({*counts.shadow_before, *counts.shadow_after})
        ],
        "shadow_undecidable": dict(counts.shadow_undecidable.most_common()),
    }


def _print(counts: ReplayTotals, unfinished: int) -> None:
    if counts.pages:
        again = counted(counts.pages, "page was", "pages were")
        click.echo(f"{again} decided again; {counts.changed or 'none'} would get another decision.")
    else:
        click.echo("No page was decided again.")
    moved = [(pair, count) for pair, count in counts.codes.most_common() if pair[0] != pair[1]]
    same = [(pair, count) for pair, count in counts.codes.most_common() if pair[0] == pair[1]]
    shown = [(count, _name(old), _name(new), " ".join(counts.kept.get((old, new), []))) for (old, new), count in moved]
    echo_table("Pages that would get another decision", ("pages", "before", "after", "examples"), shown)
    rules = [
        (count, before or "-", after or "-") for (_, before, _, after), count in counts.rules.most_common(_MOST_RULES)
    ]
    echo_table("The rules behind these changes", ("pages", "rule before", "rule after"), rules)
    echo_table("Pages whose decision stays", ("pages", "decision"), [(count, _name(old)) for (old, _), count in same])
    shadow = {*counts.shadow_before, *counts.shadow_after}
    hits = [(counts.shadow_before[rule], counts.shadow_after[rule], rule) for rule in sorted(shadow)[:_MOST_RULES]]
    echo_table("Pages that rules in shadow would block if they were enforced", ("before", "after", "rule"), hits)
    lacking = [(count, problem) for problem, count in counts.undecidable.most_common()]
    lacking += [
        (count, f"{name}: in shadow, so it decides nothing") for name, count in counts.shadow_undecidable.most_common()
    ]
    echo_table("Undecidable: the line does not hold what the rule needs", ("pages", "filter and reason"), lacking)
    _print_left_out(counts, unfinished)
    for note in _NOTES:
        click.echo(note)


def _print_left_out(counts: ReplayTotals, unfinished: int) -> None:
    for count, one, many in (
        (counts.not_judged, "page failed before the filters were asked", "pages failed before the filters were asked"),
        (counts.other, "line is not about a page", "lines are not about pages"),
        (unfinished, "last line has no end", "last lines have no end"),
        (counts.unreadable, "line cannot be read", "lines cannot be read"),
    ):
        if count:
            click.echo(f"Left out: {counted(count, one, many)}.")
