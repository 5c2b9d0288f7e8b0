"""Reasons 1 and 2: the org does not exist, is disabled, or does not capture mobile apps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from fsproxy.core.filters.base import rule_at
from fsproxy.core.model import FilterName, Hit, Instant, Mode, OnTrouble, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, OrgSettings


@dataclass(frozen=True, slots=True)
class OrgFilter:
    """``orgs.unlisted``, and a listed org's ``enabled`` and ``mobile``.

    Each org has its own. That of the default policy decides on every unlisted org, and requests without an org.
    """

    name: ClassVar[FilterName] = FilterName.ORG
    on_pages_only: ClassVar[bool] = False

    mode: Mode
    always: Hit | None
    """The hit for every request of an unlisted or disabled org."""
    mobile: Hit | None
    mobile_agents: tuple[str, ...]
    """Compared with case, because they are the exact names of products."""

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        mode = core.orgs_mode.capped(core.mode)
        if mode is Mode.OFF:
            return None
        always = None
        if not org.listed and core.unlisted is OnTrouble.BLOCK:
            always = Hit(cls.name, ReasonCode.ACCOUNT_DOES_NOT_EXIST, rule_at(cls.name, "unlisted", core.places))
        elif not org.enabled:
            disabled = Rule(f"{cls.name}:disabled", org.places.get("enabled", ""))
            always = Hit(cls.name, ReasonCode.ACCOUNT_DISABLED, disabled)
        mobile = None
        if not org.mobile and core.mobile_agents:
            mobile = Hit(cls.name, ReasonCode.ACCOUNT_DISABLED, rule_at(cls.name, "mobile", org.places))
        if always is None and mobile is None:
            return None
        return cls(mode, always, mobile, core.mobile_agents)

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        if self.always is not None:
            return self.always
        agent = facts.user_agent
        if self.mobile is not None and agent and any(name in agent for name in self.mobile_agents):
            return self.mobile
        return None
