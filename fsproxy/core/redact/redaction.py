"""The compiled rules of redaction, and what they do to one text (rules.md 8)."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from fsproxy.core.json.surrogates import encodable
from fsproxy.core.matching.pattern_set import PatternSet
from fsproxy.core.model import Mode, Rule
from fsproxy.core.redact.patterns import Find, compiled
from fsproxy.core.redact.views import MOST_FORMS, PART, decoded_bytes, forms, parts, unescaped_json
from fsproxy.core.settings import CoreSettings, OnUnredactable, RedactIn, RedactRule

PROPERTIES, URLS, HEADERS, STRINGS, UID = RedactIn
MASK = "*"
HASH_LENGTH = 32
"""Letters of a digest: 128 bits."""

Indexes = frozenset[int]
"""Which of the rules."""
Found = Counter[int]
"""How often each rule was found, by its index."""


class UnreadableError(Exception):
    """A string, an event or a body cannot be read, so nothing can be masked in it."""


@dataclass(frozen=True, slots=True)
class RedactionRule:
    """One rule."""

    rule: Rule
    action: str
    find: Find
    counts_alone: bool
    """It is in shadow mode: what it finds is counted, and goes on."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule has found in a text."""

    begin: int
    end: int
    index: int
    text: str
    """What was matched, decoded: equal values get equal digests."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """All rules that are in force or in shadow mode."""

    rules: tuple[RedactionRule, ...]
    patterns: PatternSet
    """One for each rule. It matches wherever the rule may have a match, and in other texts too."""
    of: Mapping[RedactIn, Indexes]
    """The rules that look there."""
    fails_closed: bool
    """What cannot be read or redacted does not go on."""
    key: bytes
    in_property: Indexes
    """The rules for the strings in a call's properties, and those for the ones that are URLs."""
    in_url_property: Indexes
    in_url: Indexes
    in_bodies: Indexes
    """The rules that look anywhere in a body."""

    @classmethod
    def compile(cls, core: CoreSettings) -> Self | None:
        """Return the rules; None without any. Raise ``re2.error`` for too many patterns, or too large ones.

        The top-level mode does not count: redaction goes on in ``shadow`` and in ``bypass``.
        """
        settings = core.redact
        kept = [each for each in settings.rules if each.mode.capped(settings.mode) is not Mode.OFF]
        if not kept:
            return None
        patterns = [compiled(each.pattern) for each in kept]
        of = {
            place: frozenset(index for index, each in enumerate(kept) if place in each.places_in) for place in RedactIn
        }
        in_property = of[PROPERTIES] | of[STRINGS]
        rules = tuple(
            RedactionRule(
                Rule(rule_id(each), each.places.get(each.action, "")),
                each.action,
                pattern.find,
                each.mode.capped(settings.mode) is Mode.SHADOW,
            )
            for each, pattern in zip(kept, patterns, strict=True)
        )
        return cls(
            rules=rules,
            patterns=PatternSet.of([each.may_be for each in patterns]),
            of=of,
            # Nothing is lost for rules that only count.
            fails_closed=settings.on_error is OnUnredactable.DROP and not all(each.counts_alone for each in rules),
            key=(core.client_ip_key or "").encode("utf-8", "surrogatepass"),
            in_property=in_property,
            in_url_property=in_property | of[URLS],
            in_url=of[URLS] | of[STRINGS],
            in_bodies=in_property | of[URLS] | of[UID],
        )

    def may_hold(self, data: bytes, rules: Indexes) -> bool:
        """Return whether some string in JSON may have a match. One pass over the bytes tells, mostly that none has."""
        if not rules:
            return False
        if len(data) > 2 * PART:
            return any(self._part_may_hold(part, rules) for part in parts(data))
        return self._part_may_hold(data, rules)

    def _part_may_hold(self, data: bytes, rules: Indexes) -> bool:
        form: bytes | None = unescaped_json(data)
        # The properties of a bundle's call are JSON in a string: their own forms begin one later.
        for _ in range(MOST_FORMS + 2):
            if form is None:
                return False
            if not rules.isdisjoint(self.patterns.all(form)):
                return True
            form = decoded_bytes(form)
        return False

    def redacted(self, text: str, rules: Indexes, found: Found) -> str:
        """Return the text without what these rules find, and count it; the same object if nothing changes."""
        matches = self.matches(text, rules)
        return self.without(text, matches, found) if matches else text

    def matches(self, text: str, rules: Indexes) -> list[Match]:
        """Return what these rules find in a text and its decoded forms. Matches may overlap."""
        matches: list[Match] = []
        for form, starts in forms(encodable(text)):
            for index in self.patterns.all(form.encode()):
                if index in rules:
                    for begin, end in self.rules[index].find(form):
                        places = (begin, end) if starts is None else (starts[begin], starts[end])
                        matches.append(Match(*places, index, form[begin:end]))
        return matches

    def without(self, text: str, matches: list[Match], found: Found) -> str:
        """Return the text without these matches, and count them; the same object if nothing changes."""
        for index in {each.index for each in matches}:
            found[index] += len(merged(each for each in matches if each.index == index))
        parts: list[str] = []
        at = 0
        for each in merged(each for each in matches if not self.rules[each.index].counts_alone):
            parts += (text[at : each.begin], self._instead(text, each))
            at = each.end
        parts.append(text[at:])
        changed = "".join(parts)
        return text if changed == text else changed

    def _instead(self, text: str, match: Match) -> str:
        action = self.rules[match.index].action
        if action == "mask":
            return MASK * utf16_length(text[match.begin : match.end])
        return self.hashed(match.text) if action == "hash" else ""

    def hashed(self, text: str) -> str:
        """Return the keyed digest of a value."""
        return hmac.digest(self.key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:HASH_LENGTH]

    def counts(self, found: Mapping[int, int]) -> tuple[dict[str, int], dict[str, int]]:
        """Return how often each rule was found, by its id, in their order: those in force, and those in shadow mode."""
        both: tuple[dict[str, int], dict[str, int]] = {}, {}
        for index in sorted(found):
            rule = self.rules[index]
            counts = both[rule.counts_alone]
            counts[rule.rule.id] = counts.get(rule.rule.id, 0) + found[index]
        return both


def rule_id(rule: RedactRule) -> str:
    """Return the rule's own id, or one made from its content: ``redact:mask:email``."""
    return rule.id or f"redact:{rule.action}:{rule.pattern}"


def utf16_length(text: str) -> int:
    """Return the length as JavaScript counts it."""
    return len(text) if text.isascii() else len(text) + sum(each > "\uffff" for each in text)


def merged(matches: Iterable[Match]) -> list[Match]:
    """Return matches that do not overlap, in order. Of those that do, the first rule's action is for all of them."""
    apart: list[Match] = []
    for each in sorted(matches, key=lambda match: (match.begin, -match.end, match.index)):
        if apart and each.begin < apart[-1].end:
            last = apart[-1]
            first = min(last, each, key=lambda match: match.index)
            apart[-1] = Match(last.begin, max(last.end, each.end), first.index, first.text)
        else:
            apart.append(each)
    return apart
