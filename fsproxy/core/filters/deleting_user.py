"""Reason 12: the user is being deleted from the capture backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from fsproxy.core.model import FilterName, Hit, Instant, Mode, Rule, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, OrgSettings
from fsproxy.core.uid_digest import uid_digest


@dataclass(frozen=True, slots=True)
class DeletingUserFilter:
    """``block``: uids given to ``identify``, or the recorder's own ids, of users who are being deleted.

    A page carries its visitor's uid. For all other requests the uids come from earlier pages and ``identify`` calls of
    the session, or from the body itself: ``SessionFacts.uids``.

    All hits have the one rule id ``deleting_user:listed`` and no entry's place, because an audit line must not show
    which user was deleted (rules.md 6).
    """

    name: ClassVar[FilterName] = FilterName.DELETING_USER
    on_pages_only: ClassVar[bool] = False

    mode: Mode
    users: frozenset[str]
    digests: frozenset[int]
    """Digests of the same users, to compare with ``SessionFacts.uids``."""
    hit: Hit

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.deleting_user
        mode = settings.mode.capped(core.mode)
        # Every first visit sends an empty id.
        users = frozenset(entry.text for entry in settings.block if entry.text)
        if mode is Mode.OFF or not users:
            return None
        rule = Rule(f"{cls.name}:listed", settings.places.get("block", ""))
        digests = frozenset(map(uid_digest, users))
        return cls(mode, users, digests, Hit(cls.name, ReasonCode.USER_ACTIVELY_BEING_DELETED, rule))

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        if facts.app_id in self.users or facts.user_id in self.users:
            return self.hit
        return self.hit if facts.uids and not self.digests.isdisjoint(facts.uids) else None
