"""Reason 7: the visitor is in a zone where no session is captured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from fsproxy.core.filters.base import rule_at, rule_of
from fsproxy.core.matching.zones import COUNTRIES, GROUPS, UNKNOWN
from fsproxy.core.model import FilterName, Hit, Instant, Mode, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, OrgSettings

_REGION = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,3}")


def problem(text: str) -> str | None:
    """Return what a zone must be, or None if this is one."""
    zone = text.strip().upper()
    region = _REGION.fullmatch(zone)
    if zone in GROUPS or zone in COUNTRIES or (region is not None and region[1] in COUNTRIES):
        return None
    return "an ISO 3166 code of a country (US, GB) or region (US-CA), or the group EU or EEA"


@dataclass(frozen=True, slots=True)
class GeoFilter:
    """``only`` blocks all other zones, ``never`` blocks its zones. An unknown location is in no zone."""

    name: ClassVar[FilterName] = FilterName.GEO
    on_pages_only: ClassVar[bool] = False

    mode: Mode
    only: frozenset[str] | None
    """Countries and regions; None when there is no ``only``."""
    outside: Hit
    """The hit for a visitor in none of ``only``."""
    never: Mapping[str | None, tuple[int, Hit]]
    """By country or region: the first rule that names it or a group that it is in, and that rule's place."""

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.geo
        mode = settings.mode.capped(core.mode)
        if mode is Mode.OFF or not (settings.only or settings.never):
            return None
        never: dict[str | None, tuple[int, Hit]] = {}
        for place, entry in enumerate(settings.never):
            hit = Hit(cls.name, ReasonCode.GEOGRAPHY, rule_of(cls.name, "never", entry))
            for zone in _zones(entry):
                never.setdefault(zone, (place, hit))
        return cls(
            mode,
            frozenset(zone for entry in settings.only for zone in _zones(entry)) if settings.only else None,
            Hit(cls.name, ReasonCode.GEOGRAPHY, rule_at(cls.name, "only", settings.places)),
            never,
        )

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        location = facts.location
        if location is None or location.country in UNKNOWN:
            return None if self.only is None else self.outside
        if self.only is not None and location.country not in self.only and location.region not in self.only:
            return self.outside
        country, region = self.never.get(location.country), self.never.get(location.region)
        if country is None or region is None:
            found = country or region
            return None if found is None else found[1]
        return country[1] if country[0] <= region[0] else region[1]


def _zones(entry: Entry) -> frozenset[str]:
    zone = entry.text.strip().upper()
    return GROUPS.get(zone, frozenset({zone}))
