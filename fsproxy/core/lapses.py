"""Which domain rules have ended, or soon will (rules.md 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from fsproxy.core.filters.domain import named
from fsproxy.core.model import Mode, Rule
from fsproxy.core.settings import CoreSettings

SOON_DAYS = 7
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Lapse:
    """A rule, and the Unix time from which on it is skipped."""

    rule: Rule
    until: int

    @property
    def day(self) -> str:
        """The day in UTC on which it ends, at 00:00."""
        return datetime.fromtimestamp(self.until, UTC).date().isoformat()

    def text(self, now: float) -> str:
        """Return a warning, without a capital letter and without a full stop."""
        place = f" ({self.rule.where})" if self.rule.where else ""
        how = f"lapsed on {self.day} and is skipped" if self.until <= now else f"lapses on {self.day}"
        return f"the rule {self.rule.id}{place} {how}"


def lapses_of(core: CoreSettings) -> tuple[Lapse, ...]:
    """Return the domain rules that have an end, the first to end first."""
    # Orgs without rules of their own share the settings object itself.
    every = {id(org.filters.domain): org.filters.domain for org in (core.default, *core.orgs.values())}
    found = [
        Lapse(named(rule), rule.until)
        for domain in every.values()
        if domain.mode is not Mode.OFF
        for rule in domain.rules
        if rule.until is not None
    ]
    return tuple(sorted(found, key=lambda each: each.until))


def due(lapses: Iterable[Lapse], now: float) -> Iterator[Lapse]:
    """Yield those that are over by now, or will be within SOON_DAYS."""
    return (each for each in lapses if each.until <= now + SOON_DAYS * _DAY)
