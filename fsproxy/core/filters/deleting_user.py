"""Reason 12: the user is being deleted from the capture backend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from fsproxy.core.filters.base import RunTimeRule, run_time_rule
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, OrgSettings
from fsproxy.core.uid_digest import uid_digest


@dataclass(frozen=True, slots=True)
class DeletingUserFilter:
    """``block``: uids given to ``identify``, or the recorder's own ids, of users who are being deleted.

    A page carries its visitor's uid. For all other requests the uids come from earlier pages and ``identify`` calls of
    the session, or from the body itself: ``SessionFacts.uids``.

    All hits have the one rule id ``deleting_user:listed``, or that of the list at run time, and no entry's place,
    because an audit line must not show which user was deleted (rules.md 6).
    """

    name: ClassVar[FilterName] = FilterName.DELETING_USER
    on_pages_only: ClassVar[bool] = False

    mode: Mode
    users: frozenset[str]
    digests: frozenset[int]
    """Digests of the same users, to compare with ``SessionFacts.uids``."""
    hit: Hit
    run_time: RunTimeRule | None = None

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.deleting_user
        mode = core.mode_of(cls.name, settings.mode)
        # Every first visit sends an empty id.
        users = frozenset(entry.text for entry in settings.block if entry.text)
        run_time = run_time_rule(cls.name, ReasonCode.USER_ACTIVELY_BEING_DELETED, core)
        if mode is Mode.OFF or not (users or run_time):
            return None
        rule = Rule(f"{cls.name}:listed", settings.places.get("block", ""))
        digests = frozenset(map(uid_digest, users))
        return cls(mode, users, digests, Hit(cls.name, ReasonCode.USER_ACTIVELY_BEING_DELETED, rule), run_time)

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        if facts.app_id in self.users or facts.user_id in self.users:
            return self.hit
        if facts.uids and not self.digests.isdisjoint(facts.uids):
            return self.hit
        run_time = self.run_time
        if run_time is not None:
            listed = run_time.listed
            if listed.has_user(facts.app_id, now) or listed.has_user(facts.user_id, now):
                return run_time.hit
            if any(listed.has(each, now) for each in facts.uids):
                return run_time.hit
        return None

    def named(self, uids: Iterable[str], now: Instant) -> tuple[int, ...]:
        """Return the digests of those of the uids that are listed."""
        run_time = self.run_time
        return tuple(
            [
                uid_digest(each)
                for each in uids
                if each in self.users or (run_time is not None and run_time.listed.has_user(each, now))
            ]
        )
