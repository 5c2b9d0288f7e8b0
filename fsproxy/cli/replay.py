"""``replay``: what would have been decided otherwise, had other rules been in force."""

from __future__ import annotations

import gc
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from fsproxy.cli.audit_files import AuditFiles
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import load_or_exit
from fsproxy.cli.tables import echo_table, progress
from fsproxy.core.model import Route
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.replay.again import CAPTURED, Replay, Replayed, recorded
from fsproxy.core.replay.facts import PageLine
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.geo import GeoError

MOST_RULES = 20
"""Rows of a table of rules; with --json all are there."""
_PAGE = b'"page"'
_NOTES = (
    "Quotas are taken as recorded: who was over quota is, who was blocked by another rule is not.",
    "Sessions under way and visitors admitted before are, too; a session that a filter blocked is taken as new.",
    "Locations are as they were found then.",
)


@dataclass
class ReplayTotals:
    """What was found, in memory that does not grow with the number of lines."""

    examples: int
    """Request ids that are kept for each kind of change."""
    other: int = 0
    """Lines of anything but pages."""
    unreadable: int = 0
    not_judged: int = 0
    pages: int = 0
    """Those that were decided by both sides."""
    undecidable: Counter[str] = field(default_factory=Counter)
    codes: Counter[tuple[int, int]] = field(default_factory=Counter)
    rules: Counter[tuple[int, str, int, str]] = field(default_factory=Counter)
    """Of changed pages."""
    shadow_before: Counter[str] = field(default_factory=Counter)
    shadow_after: Counter[str] = field(default_factory=Counter)
    shadow_undecidable: Counter[str] = field(default_factory=Counter)
    """By filter."""
    kept: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    def add(self, line: PageLine, before: Replayed, after: Replayed) -> None:
        """Count one page."""
        if after.undecidable or before.undecidable:
            self.undecidable[after.undecidable or before.undecidable] += 1
            return
        if not after.judged:
            self.not_judged += 1
            return
        self.pages += 1
        codes = (before.code, after.code)
        self.codes[codes] += 1
        if before.code != after.code or before.rule != after.rule:
            self.rules[before.code, before.rule, after.code, after.rule] += 1
            kept = self.kept.setdefault(codes, [])
            if len(kept) < self.examples:
                kept.append(line.request_id)
        if before.shadow or after.shadow:
            self._add_shadow(before, after)

    def _add_shadow(self, before: Replayed, after: Replayed) -> None:
        unknown = {hit.filter for hit in (*before.shadow, *after.shadow) if not hit.rule}
        for name in unknown:
            self.shadow_undecidable[name] += 1
        self.shadow_before.update(hit.rule for hit in before.shadow if hit.filter not in unknown)
        self.shadow_after.update(hit.rule for hit in after.shadow if hit.filter not in unknown)

    @property
    def changed(self) -> int:
        """Pages with another code; another rule with the same code is told, but is no change for the visitor."""
        return sum(count for (before, after), count in self.codes.items() if before != after)


@click.command(
    cls=Documented,
    statuses={0: "nothing changes", 1: "the input is at fault", 3: "something changes"},
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
@click.option("--same-users", is_flag=True, help="The lists of users are what they were: lines hold no uids to ask.")
@click.option("--examples", default=3, show_default=True, type=click.IntRange(0, 1000), help="Request ids per change.")
@click.option("--fail-on-undecidable", is_flag=True, help="Exit status 3 also when a page cannot be decided.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
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
    """Decide the pages in AUDIT files (plain or gzip; - is standard input) again, under other rules.

    Where a rule needs what the lines leave out (the whole address under client_ip: truncated, a uid), a page
    is undecidable, and counted so. With audit.share.page under 100% not every captured page has a line.
    """
    after = _rules(new, same_users=same_users)
    before = _rules(old, same_users=same_users) if old is not None else None
    files = AuditFiles(audit)
    counts = ReplayTotals(examples)
    collected = gc.isenabled()
    gc.disable()  # nothing here makes cycles
    try:
        _count(files, counts, before, after)
    finally:
        if collected:
            gc.enable()
    if as_json:
        click.echo(json.dumps(_document(counts, files.unfinished), indent=2))
    else:
        _tell(counts, files.unfinished)
    if counts.unreadable:
        raise click.ClickException(f"{counts.unreadable} lines are no audit lines")
    if not (counts.other or counts.pages or counts.not_judged or counts.undecidable):
        raise click.ClickException("there are no audit lines")
    raise SystemExit(3 if counts.changed or (fail_on_undecidable and counts.undecidable) else 0)


def _rules(path: Path, *, same_users: bool) -> Replay:
    config = load_or_exit(path)
    try:
        return Replay(Generation.compile(config, 1).snapshot, same_users=same_users)
    except GeoError as error:
        raise click.ClickException(f"{path}: {error}") from None


def _count(files: AuditFiles, counts: ReplayTotals, before: Replay | None, after: Replay) -> None:
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
                        counts.add(line, recorded(line) if before is None else before.decide(line), decided)
                except (msgspec.MsgspecError, ValueError, RecursionError):
                    counts.unreadable += 1
            advance(files.done)
    counts.pages += same.total()
    counts.codes.update({(code, code): count for code, count in same.items()})


def _is_plain(line: PageLine, decided: Replayed) -> bool:
    """Decided as before, without any shadow: nearly all pages are, and need not be looked at closer."""
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


def _tell(counts: ReplayTotals, unfinished: int) -> None:
    click.echo(f"Pages decided again: {counts.pages}; otherwise than before: {counts.changed or 'none'}")
    moved = [(pair, count) for pair, count in counts.codes.most_common() if pair[0] != pair[1]]
    same = [(pair, count) for pair, count in counts.codes.most_common() if pair[0] == pair[1]]
    shown = [(count, _name(old), _name(new), " ".join(counts.kept.get((old, new), []))) for (old, new), count in moved]
    echo_table("Decided otherwise", ("pages", "before", "after", "examples"), shown)
    rules = [
        (count, before or "-", after or "-") for (_, before, _, after), count in counts.rules.most_common(MOST_RULES)
    ]
    echo_table("By rule", ("pages", "rule before", "rule after"), rules)
    echo_table("As before", ("pages", "decision"), [(count, _name(old)) for (old, _), count in same])
    shadow = {*counts.shadow_before, *counts.shadow_after}
    hits = [(counts.shadow_before[rule], counts.shadow_after[rule], rule) for rule in sorted(shadow)[:MOST_RULES]]
    echo_table("Shadow: would block, were it enforced", ("before", "after", "rule"), hits)
    lacking = [(count, reason) for reason, count in counts.undecidable.most_common()]
    lacking += [(count, f"{name}: in shadow, no matter") for name, count in counts.shadow_undecidable.most_common()]
    echo_table("Undecidable: the line leaves out what the rule needs", ("pages", "filter, and why"), lacking)
    left = {
        "failed before they were judged": counts.not_judged,
        "not of pages": counts.other,
        "unfinished": unfinished,
        "unreadable": counts.unreadable,
    }
    said = ", ".join(f"{count} {what}" for what, count in left.items() if count)
    if said:
        click.echo(f"Left out: lines {said}")
    for note in _NOTES:
        click.echo(note)
