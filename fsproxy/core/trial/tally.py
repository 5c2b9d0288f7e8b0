"""Counts what a candidate would change, by kind of change, with a few examples and what the changed have in common.

A tally does not grow with the traffic. Those of several workers add up to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import field

MOST_KINDS = 100
"""Kinds of changed decisions that are counted by themselves, and kinds of changed calls, as clients name the calls."""
MOST_VALUES = 16
"""Values of one fact that are counted by themselves."""
MOST_EXAMPLES = 5
LONGEST_VALUE = 100
OTHERS = ""
"""Stands for all values beyond the first ``MOST_VALUES``, and for facts that are not known."""

Facts = Mapping[str, str]
"""What is known of a request: its ``peer``, ``address``, ``org``, ``country``, ``path``, ``user`` and ``visitor``.

Those that are unknown are "". ``visitor`` is another for each visitor, and is not counted as the others are.
"""
VISITOR = "visitor"
OF_VISITORS = ("address", "path")
"""Facts with a value that may name a visitor."""
ENOUGH_VISITORS = 4
"""Different visitors who share such a value before it is said."""


class Side(msgspec.Struct, frozen=True, gc=False):
    """What became of a page, an upload or a call under one configuration."""

    code: int | str | None = None
    """A reason code, or why a call is rejected. None: captured, forwarded, accepted."""
    rule: str = ""
    """The id of the rule that blocks; of a rejected call, its name and the property."""


CAPTURED = Side()


class Change(msgspec.Struct):
    """One kind of change."""

    old: Side
    new: Side
    pages: int = 0
    uploads: int = 0
    """Requests with recorded events or calls: bundles, events, frames, direct and server calls."""
    calls: int = 0
    examples: list[str] = field(default_factory=list)
    """Request ids."""
    facts: dict[str, dict[str, int]] = field(default_factory=dict)
    """How often each value of each fact was seen on its pages and uploads."""
    visitors: dict[str, list[str]] = field(default_factory=dict)
    """The first ``ENOUGH_VISITORS`` visitors with a value of ``OF_VISITORS``, by its fact and the value."""

    def is_shared(self, name: str, value: str) -> bool:
        """Return whether enough different visitors have this value."""
        return len(self.visitors.get(f"{name} {value}", ())) >= ENOUGH_VISITORS

    def note_visitors(self, key: str, visitors: Iterable[str]) -> None:
        """Remember who has a value. Whoever is not known is no visitor of his own."""
        known = self.visitors.setdefault(key, [])
        for each in visitors:
            if each and each not in known and len(known) < ENOUGH_VISITORS:
                known.append(each)


class Tally(msgspec.Struct):
    """What was judged twice, and what came out otherwise."""

    pages: int = 0
    changed: int = 0
    """Pages that get another code."""
    uploads: int = 0
    uploads_changed: int = 0
    """Uploads that are blocked on one side alone, or with another code."""
    calls: int = 0
    calls_changed: int = 0
    """Calls of uploads that both sides let pass, with other rejections."""
    same_code: int = 0
    """Pages and uploads that another rule blocks with the same code. They are no change."""
    undecidable: dict[str, int] = field(default_factory=dict)
    """Pages and uploads, by what was missing."""
    changes: dict[str, Change] = field(default_factory=dict)
    beyond: int = 0
    """Pages, uploads and calls whose kind of change found no room; they are among the changed."""
    facts: dict[str, dict[str, int]] = field(default_factory=dict)
    """The same facts, of all pages and uploads."""

    def note_page(self, old: Side, new: Side, request_id: str, facts: Facts) -> None:
        """Count a page that was judged by both."""
        self.pages += 1
        self.changed += old.code != new.code
        change = self._compared(old, new, request_id, facts)
        if change is not None:
            change.pages += 1

    def note_upload(self, old: Side, new: Side, request_id: str, facts: Facts) -> None:
        """Count an upload that was judged by both."""
        self.uploads += 1
        self.uploads_changed += old.code != new.code
        change = self._compared(old, new, request_id, facts)
        if change is not None:
            change.uploads += 1

    def note_calls(self, count: int, changed: Iterable[tuple[Side, Side]], request_id: str) -> None:
        """Count the calls of one upload, and those with other rejections."""
        self.calls += count
        for old, new in changed:
            self.calls_changed += 1
            change = self._change(old, new, request_id, of_calls=True)
            if change is not None:
                change.calls += 1

    def note_undecidable(self, why: str) -> None:
        """Count a page or an upload that the candidate could not decide."""
        self.undecidable[why] = self.undecidable.get(why, 0) + 1

    def _compared(self, old: Side, new: Side, request_id: str, facts: Facts) -> Change | None:
        """Return the kind of change. None: nothing changes, or the kind has found no room."""
        count_facts(self.facts, facts)
        if old.code == new.code:
            self.same_code += old.rule != new.rule
            return None
        change = self._change(old, new, request_id)
        if change is not None:
            count_facts(change.facts, facts)
            for name in OF_VISITORS:
                value = facts.get(name, "")[:LONGEST_VALUE]
                if value and value in change.facts[name]:
                    change.note_visitors(f"{name} {value}", (facts.get(VISITOR, ""),))
        return change

    def _change(self, old: Side, new: Side, request_id: str, *, of_calls: bool = False) -> Change | None:
        key = f"{old.code}\0{old.rule}\0{new.code}\0{new.rule}"
        change = self.changes.get(key)
        if change is None:
            kinds = sum(bool(each.calls) == of_calls for each in self.changes.values())
            if kinds >= MOST_KINDS:
                self.beyond += 1
                return None
            change = self.changes[key] = Change(old, new)
        if len(change.examples) < MOST_EXAMPLES and request_id not in change.examples:
            change.examples.append(request_id)
        return change


def count_facts(counts: dict[str, dict[str, int]], facts: Facts, times: int = 1) -> None:
    """Count the values of one request's facts."""
    for name, value in facts.items():
        if name == VISITOR:
            continue
        values = counts.setdefault(name, {})
        shown = value[:LONGEST_VALUE]
        if shown not in values and len(values) > MOST_VALUES:
            shown = OTHERS
        values[shown] = values.get(shown, 0) + times


def summed(tallies: Iterable[Tally]) -> Tally:
    """Return one tally of all."""
    whole = Tally()
    for each in tallies:
        for name in ("pages", "changed", "uploads", "uploads_changed", "calls", "calls_changed", "same_code", "beyond"):
            setattr(whole, name, getattr(whole, name) + getattr(each, name))
        for why, count in each.undecidable.items():
            whole.undecidable[why] = whole.undecidable.get(why, 0) + count
        _add_facts(whole.facts, each.facts)
        for key, change in each.changes.items():
            known = whole.changes.setdefault(key, Change(change.old, change.new))
            known.pages += change.pages
            known.uploads += change.uploads
            known.calls += change.calls
            known.examples = (known.examples + change.examples)[:MOST_EXAMPLES]
            _add_facts(known.facts, change.facts)
            for value, visitors in change.visitors.items():
                known.note_visitors(value, visitors)
    return whole


def _add_facts(to: dict[str, dict[str, int]], facts: dict[str, dict[str, int]]) -> None:
    for name, values in facts.items():
        for value, count in values.items():
            count_facts(to, {name: value}, count)
