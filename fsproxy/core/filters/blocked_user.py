"""Reason -1, or the configured one: a listed user, known by the uid given to ``identify``, is not captured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Self

from fsproxy.core.filters.base import RunTimeRule, run_time_rule
from fsproxy.core.model import FilterName, Hit, Instant, ListedRule, Mode, Rule, SessionFacts
from fsproxy.core.settings import CoreSettings, Entry, ListedEntry, OrgSettings


@dataclass(frozen=True, slots=True)
class BlockedUserFilter:
    """``block``: uids; ``reason_code``: the code for the client, as no documented code means this."""

    name: ClassVar[FilterName] = FilterName.BLOCKED_USER
    on_pages_only: ClassVar[bool] = False

    mode: Mode
    users: Mapping[str, Hit]
    run_time: RunTimeRule | None = None

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.blocked_user
        mode = settings.mode.capped(core.mode)
        if mode is Mode.OFF:
            return None
        users: dict[str, Hit] = {}
        for entry in settings.block:
            if entry.text:  # every visitor who was not identified has an empty uid
                users.setdefault(entry.text, Hit(cls.name, settings.reason_code, _rule(entry)))
        run_time = run_time_rule(cls.name, settings.reason_code, core)
        return cls(mode, users, run_time) if users or run_time else None

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        hit, run_time = self.users.get(facts.app_id), self.run_time
        if hit is None and run_time is not None and run_time.listed.has_user(facts.app_id, now):
            return run_time.hit
        return hit


def _rule(entry: Entry) -> Rule:
    """Return a rule with a stable id that does not hold the uid, because audit lines contain it."""
    digest = sha256(entry.text.encode("utf-8", "surrogatepass")).hexdigest()
    made = ListedRule if isinstance(entry, ListedEntry) else Rule
    return made(entry.id or f"{FilterName.BLOCKED_USER}:block:{digest[:8]}", entry.where)
