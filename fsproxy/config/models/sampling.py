"""Ramping and quota, which decide how much is captured, as users write them (rules.md 1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from fsproxy.config import units
from fsproxy.config.fields import (
    AnyText,
    CountOrZeroOrNull,
    RuleMode,
    Share,
    SpillOver,
    choice,
    of_text,
)
from fsproxy.config.problems import Problem
from fsproxy.config.sections import IN_ORDER, Section, setting
from fsproxy.config.yaml.positions import Table
from fsproxy.core.settings import Cycle

_MODE = "enforce | shadow (judge and audit, block nothing) | off"


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (OSError, LookupError) as error:
        # A key that is no name of a file raises whatever the file system says to it.
        raise ValueError from error
    return text


def _anchor(text: str) -> tuple[int, int]:
    """Month and day; a lone day has month 1, and is one of a monthly cycle."""
    if re.fullmatch(r"[0-9]{1,2}", text) and 1 <= int(text) <= 31:
        return 1, int(text)
    if re.fullmatch(r"[0-9]{2}-[0-9]{2}", text):
        found = date.fromisoformat(f"2000-{text}")  # a leap year: 02-29 is a day
        return found.month, found.day
    raise ValueError


Day = Annotated[date, of_text("a date", units.DATE, units.day, {"type": "string", "format": "date"})]
Zone = Annotated[str, of_text("a time zone", "a name of the IANA database, such as Europe/Berlin", _zone)]
Anchor = Annotated[
    tuple[int, int],
    of_text(
        "a day of a cycle",
        "1 to 31 for a monthly cycle, MM-DD for a yearly one",
        _anchor,
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 31}, {"type": "string"}]},
    ),
]


class StepSection(Section):
    """One step of a schedule."""

    start: Day = Field(alias="from", description="The day (00:00 UTC) from which on the share is that.")
    share: Share = Field(description="Share of new sessions to capture.")


class RampingSection(Section):
    """Reason 8: only a share of new sessions is captured."""

    mode: RuleMode = setting("enforce", _MODE)
    share: Share = setting("100%", "Share of new sessions to capture.")
    schedule: Annotated[tuple[StepSection, ...], IN_ORDER] = setting(
        (), "Shares by date in place of share; between two dates it moves linearly."
    )
    salt: AnyText = setting("", "Changes who is in the share.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """A share or a schedule, whose dates rise."""
        steps = table.sequence("schedule")
        if steps and (share := table.scalar("share")):
            yield share.key_problem("stands beside schedule", "share or schedule, not both")
        latest = ""
        for step in steps:
            start = step.scalar("from") if isinstance(step, Table) else None
            if start is not None and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", start.text):
                if start.text <= latest:
                    yield start.problem("is not after the step before", "dates that rise")
                latest = max(latest, start.text)


class QuotaSection(Section):
    """Reason 3: sessions per billing cycle."""

    mode: RuleMode = setting("enforce", _MODE)
    sessions: CountOrZeroOrNull = setting(None, "New sessions in a cycle; null for no quota, 0 blocks all.")
    cycle: Annotated[Cycle, choice(Cycle)] = setting("monthly", "monthly | yearly")
    anchor_day: Anchor = setting(1, "First day of a cycle: 1 to 31, or MM-DD when yearly.")
    timezone: Zone = setting("UTC", "Where days begin, by its IANA name.")
    spill_over: SpillOver = setting("0%", "Share of sessions that may be captured on top.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """The form of the day goes with the cycle."""
        day, cycle = table.scalar("anchor_day"), table.scalar("cycle")
        yearly = cycle is not None and cycle.text == Cycle.YEARLY
        if day is not None and ("-" in day.text.lstrip("-")) is not yearly:
            form = "MM-DD, such as 07-01, in a yearly cycle" if yearly else "1 to 31 in a monthly cycle"
            # Of an org's cycle over the base's day, it is the org's that is one too many.
            mine = cycle is not None and cycle.path.startswith("orgs.") and not day.path.startswith("orgs.")
            if cycle is not None and mine:
                fault = f"does not fit the base's anchor_day, {day.shown()}"
                yield cycle.problem(fault, f"with an anchor_day of {form}")
            else:
                yield day.problem("does not fit the cycle", form)
