"""What a filter is."""

from __future__ import annotations

from typing import ClassVar, Protocol, Self

from fsproxy.core.model import FilterName, Hit, Instant, Mode, Rule, SessionFacts
from fsproxy.core.settings import CoreSettings, Entry, OrgSettings, Places


class Filter(Protocol):
    """One kind of check, compiled for one org. Immutable, and safe to use from any thread.

    To add one: a file beside this, a line in ``FILTERS``, a test, a row in the README.
    """

    name: ClassVar[FilterName]
    on_pages_only: ClassVar[bool]
    """Never judged on bundles, events and sockets, whatever ``on_bundles`` says."""

    @property
    def mode(self) -> Mode: ...

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        """Build the lookup structures; None when this org has nothing to judge here.

        May take long for large lists: called off the event loop. The settings were validated by the
        loader with this module's own ``problem`` functions, so nothing is refused here.
        """
        ...

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        """The rule that says no, or None. Cost must not grow with the number of rules."""
        ...


def rule_of(name: FilterName, verb: str, entry: Entry) -> Rule:
    """A rule's stable id: the explicit one, or one made from its content (``ip:block:10.0.0.0/8``)."""
    return Rule(entry.id or f"{name}:{verb}:{entry.text}", entry.where)


def rule_at(name: FilterName, key: str, places: Places) -> Rule:
    """The rule that a single key makes (``opt_out:gpc``)."""
    return Rule(f"{name}:{key}", places.get(key, ""))
