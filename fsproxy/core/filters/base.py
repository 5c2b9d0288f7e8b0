"""The interface of a filter, and the ids of its rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

from fsproxy.core.model import FilterName, Hit, Instant, ListedRule, Mode, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.run_time_lists import MOST_ENTRIES, RunTimeList
from fsproxy.core.settings import CoreSettings, Entry, ListedEntry, OrgSettings, Places

_RUN_TIME_ID = "{}:run-time"
RUN_TIME_IDS: Mapping[str, FilterName] = {_RUN_TIME_ID.format(name): name for name in MOST_ENTRIES}
"""The lists that change at run time, by the id that audit lines have for all entries of one."""


class Filter(Protocol):
    """One kind of check, compiled for one org. Immutable, and safe to use from any thread.

    CONTRIBUTING.md lists all that a new filter needs.
    """

    name: ClassVar[FilterName]
    on_pages_only: ClassVar[bool]
    """It never judges bundles, events and sockets, whatever ``on_bundles`` lists."""

    @property
    def mode(self) -> Mode: ...

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        """Return the filter with its lookup structures; None if this org has no rule for it.

        This may take long for large lists, so it runs off the event loop. The loader has validated the settings with
        the ``problem`` functions of the filters' modules, so no setting is refused here.
        """
        ...

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        """Return the rule that blocks the session, or None. The cost must not grow with the number of rules."""
        ...


def rule_of(name: FilterName, verb: str, entry: Entry, text: str | None = None) -> Rule:
    """Return the rule of an entry, with its explicit id or one made from its content (``ip:block:10.0.0.0/8``).

    ``text`` is reported in place of the content.
    """
    made = ListedRule if isinstance(entry, ListedEntry) else Rule
    return made(entry.id or f"{name}:{verb}:{text or entry.text}", entry.where)


def rule_at(name: FilterName, key: str, places: Places) -> Rule:
    """Return the rule that a single key is (``opt_out:gpc``)."""
    return Rule(f"{name}:{key}", places.get(key, ""))


@dataclass(frozen=True, slots=True)
class RunTimeRule:
    """The one rule of a list that changes at run time (rules.md 10). Its id names the list, never an entry."""

    hit: Hit
    listed: RunTimeList = field(compare=False, repr=False)


def run_time_rule(name: FilterName, code: ReasonCode, core: CoreSettings) -> RunTimeRule | None:
    """Return the rule of the filter's list; None while the list is empty."""
    listed = core.run_time.get(name)
    return None if listed is None else RunTimeRule(Hit(name, code, Rule(_RUN_TIME_ID.format(name))), listed)
