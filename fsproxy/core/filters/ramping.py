"""Reason 8: only a share of new sessions is captured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from fsproxy.core.filters.base import rule_at
from fsproxy.core.limits.ramping import Draw, Schedule, bucket
from fsproxy.core.model import FilterName, Hit, Instant, Mode, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, OrgSettings


@dataclass(frozen=True, slots=True)
class RampingFilter:
    """A constant ``share`` of visitors, or a ``schedule`` of dated shares.

    A hit means that the visitor is outside the share. Whether the session is new, and whether the visitor was
    admitted before, only the ledger knows (``pipeline.settle``).
    """

    name: ClassVar[FilterName] = FilterName.RAMPING
    on_pages_only: ClassVar[bool] = True

    mode: Mode
    constant: float
    schedule: Schedule | None
    """It takes precedence over the constant share."""
    salt: str
    hit: Hit

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.ramping
        mode = settings.mode.capped(core.mode)
        if mode is Mode.OFF or (settings.share >= 1 and not settings.schedule):
            return None
        schedule = Schedule.of(settings.schedule) if settings.schedule else None
        rule = rule_at(cls.name, "share" if schedule is None else "schedule", settings.places)
        return cls(mode, settings.share, schedule, settings.salt, Hit(cls.name, ReasonCode.TRAFFIC_RAMPING, rule))

    def share(self, now: Instant) -> float:
        """Return the share of new sessions that is captured at ``now``, 0 to 1."""
        return self.constant if self.schedule is None else self.schedule.share(now)

    def draw(self, now: Instant) -> Draw:
        """Return what to remember an admitted first visit by."""
        return Draw(self.salt, self.constant if self.schedule is None else self.schedule.least(now))

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        # The org comes from the request, because orgs with the same settings share this object.
        place = bucket(facts.org or "", self.salt, facts.user_id or facts.fresh_user_id)
        return None if place < self.share(now) else self.hit
