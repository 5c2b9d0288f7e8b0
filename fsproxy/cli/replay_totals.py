"""What ``replay`` counts: which pages were decided again, and what became of them before and after."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from fsproxy.core.replay.again import Replayed
from fsproxy.core.replay.facts import PageLine


@dataclass
class ReplayTotals:
    """What was found in all lines, in memory that does not grow with their number."""

    examples: int
    """How many request ids are kept for each kind of change."""
    other: int = 0
    """Lines that are not about pages."""
    unreadable: int = 0
    not_judged: int = 0
    pages: int = 0
    """Pages that both sides decide."""
    undecidable: Counter[str] = field(default_factory=Counter)
    codes: Counter[tuple[int, int]] = field(default_factory=Counter)
    rules: Counter[tuple[int, str, int, str]] = field(default_factory=Counter)
    """Changed pages, by code and rule before and after."""
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
        """Return how many pages get another code. Another rule with the same code is no change for the visitor."""
        return sum(count for (before, after), count in self.codes.items() if before != after)
