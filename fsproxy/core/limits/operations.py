"""The operations that the core asks of the ledger, and the ledger's answers: one table of types (hence its length).

The ledger keeps the exact limits (sessions and quota, names, rates) in one of two forms, memory or Redis (rules.md 5).
The core knows neither form, only the operations and what the answers mean. All operations of one request concern one
org. Times are Unix seconds.
"""

from __future__ import annotations

from enum import StrEnum, unique
from math import inf
from typing import Protocol

import msgspec

from fsproxy.core.model import Instant
from fsproxy.core.settings import Window

SESSION_IDLE_SECONDS = 30 * 60
"""A session ends after this long without activity (rules.md 1)."""
SESSION_LIFE_SECONDS = 24 * 60 * 60
"""A session ends after this long in any case."""
RESERVATION_SECONDS = 60
"""A reserved unit is given back after this long if it was neither confirmed nor released."""


UNCOUNTED = -1
"""In place of a limit on an org's names: they are not counted."""


class QuotaTerms(msgspec.Struct, frozen=True, gc=False):
    """The quota that a new session counts against."""

    cycle: str
    """The billing cycle's name: its first day, such as ``2026-11-01``."""
    limit: int
    """Sessions, spill-over included."""
    ends: Instant
    """From then on the count may be forgotten."""
    enforced: bool
    """False in shadow mode: sessions over the limit count as well."""


class Admit(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A page asks whether its session may be captured. Answered with ``Admitted``.

    The ledger does this atomically. (1) A session under ``session`` (or, if that is "", under ``user``) is under way if
    it was active less than 30 minutes ago and is younger than 24 hours, or if it is reserved and waits. It is
    refreshed; ``token`` joins a reserved one and holds it for 60 s more. (2) Else, if ``ramped_out`` and
    ``ramped_user`` is not remembered as admitted, or ``shared_out`` and ``share_user`` is not, nothing is reserved.
    (3) Else, if ``quota`` is enforced and at its limit, nothing is reserved. (4) Else the session waits under ``token``
    for 60 s, with one
    unit of the quota if there is one.
    A page with neither ``session`` nor ``user`` (a first visit of a build of 2022) is always new and waits alone.
    """

    org: str
    token: str
    """The name of the reservation, unique to this request."""
    session: str
    user: str
    ramped_out: bool
    """The enforced ramping filter blocks the page, unless its session is under way or its user was admitted."""
    quota: QuotaTerms | None
    share_user: str = ""
    """The user as a domain rule's share knows him (``ramping.visitor``), if that excludes him; "" if none does."""
    shared_out: bool = False
    """The share is enforced, so it blocks the page as ``ramped_out`` does."""
    ramped_user: str = ""
    """The user, if ramping excludes him; "" if it does not."""


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """The answer to Admit."""

    under_way: bool
    user_admitted: bool
    """The visitor was admitted before as a first visit, so ramping passes. Only known of a new session."""
    over_quota: bool
    """The session is new and the quota is used up, also in shadow mode."""
    used: int = 0
    """Units used and reserved in the cycle after this operation; 0 without a quota.

    It may include reservations that have just lapsed, but these never decide ``over_quota``.
    """
    held: bool = True
    """The token holds a reservation, its own or one that it joined, so a Confirm or a Release must follow."""
    share_admitted: bool = False
    """The visitor was admitted before as a first visit in the share that now excludes him, so it passes."""


class Confirm(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The upstream answered 200: the reservation becomes a session under way, under all of its ids.

    ``new`` False (``IsNewSession: false``) gives the unit back, and the session is under way nevertheless. Only the
    token that made the reservation can give the unit back: a token that joined belongs to a page that was under way.
    Any Confirm confirms the session, and no later Release gives the unit back. If the reservation has lapsed, the unit
    counts again, even over the limit, unless another page has made the session under way by then. An unknown token
    counts nothing.
    All ids of ``sessions`` are one session: activity under one keeps the others under way. So are those of ``users``.
    No id is "".
    """

    org: str
    token: str
    sessions: tuple[str, ...]
    users: tuple[str, ...]
    new: bool
    visitors: tuple[str, ...] = ()
    """Of an admitted first visit under ramping or a share: these pass from now on (``ramping.Draw``)."""
    uid: int = 0
    """Digest of the uid that the page gives for its visitor; see ``Recall``. 0: it gives none, and nothing changes."""
    held: bool = True
    """What ``Admitted`` said of the token. Without a reservation there may be nothing that the store has to learn."""


class Release(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The page failed, or the upstream blocked it: the unit is given back, and the session is not under way.

    Nothing changes while another page holds the same reservation, if it was confirmed, or if the token is unknown.
    """

    org: str
    token: str


class Mark(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A bundle was forwarded: its session is under way. Ids may be "".

    An unknown session (after a restart, or of a build that sends bundles under ids of its own) is under way from now
    on, uncounted. A session older than 24 hours stays ended.
    """

    org: str
    session: str
    user: str
    uid: int = 0
    """Digest of the uid that the session has from now on; see ``Recall``. 0: nothing changes."""
    listed: bool = False
    """The uid is that of a user who is being deleted: all processes are to know it soon."""


class Recall(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Ask which uids this session has. Answered with ``Recalled``; nothing is refreshed (rules.md 10).

    A uid is kept, as a digest, as long as the session or user that it was given for is under way. An answer of Redis
    is reused for a minute, or until a list of users changes or a listed user is named in any session.
    """

    org: str
    session: str
    user: str


class Recalled(msgspec.Struct, frozen=True, gc=False):
    """The answer to Recall: the digests of the session and of the user, without duplicates."""

    uids: tuple[int, ...]


@unique
class NameKind(StrEnum):
    """The kinds of names that are counted (rules.md 2)."""

    USER_PROPERTY = "user_property"
    EVENT_NAME = "event_name"
    EVENT_PROPERTY = "event_property"
    PAGE_PROPERTY = "page_property"
    PAGE_NAME = "page_name"
    """Values of ``pageName``, each claimed as its digest: a value is kept nowhere (rules.md 6)."""


class Claim(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Claim the names of a call. Known ones are refreshed; new ones are admitted while there is room.

    Names are decided one after another. A name is forgotten when it was not seen for ``retention`` seconds, and
    refused names are not kept. Names are opaque. Answered with ``Claimed``.

    With a ``page``, a name must also be among the first ``page_limit`` different ones of that page. A name that
    either limit refuses uses up neither. A page's names are forgotten a while after it last claimed any.
    """

    org: str
    kind: NameKind
    names: tuple[str, ...]
    limit: int
    """``UNCOUNTED``: only the page limits them, and the org's are not counted."""
    retention: float
    page: str = ""
    page_limit: int = 0


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """The answer to Claim: which of its names were refused, and how many are known after it."""

    refused: frozenset[str]
    known: int


@unique
class RateKind(StrEnum):
    """Events, user calls and page properties have separate limits (rules.md 2)."""

    EVENT = "event"
    USER = "user"
    PAGE = "page"


class Spend(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Count one call at ``at``. It passes if, with it, no window of any length holds more than its limit.

    A window is half-open, ``(t - seconds, t]``, and may lie anywhere on the timeline, because calls come out of order
    and up to 10 minutes late. A refused call spends nothing. Answered with ``Spent``.

    Calls of one ``page`` keep the distances of their ``when``. If ``at`` means that the page began earlier than its
    counted calls mean, these move with it; if it means a later beginning, theirs is right (rules.md 2).
    """

    org: str
    session: str
    kind: RateKind
    at: Instant
    windows: tuple[Window, ...]
    page: str = ""
    """The page whose clock gave ``at``; "" for a call without one."""
    when: float = 0.0
    """Milliseconds since the page's start, by the page's own clock."""
    mark: int = 0
    """32 bits by which a page's call is recognized: a call that was counted before passes again. 0: unknown."""
    of_page: str = ""
    """The page for which windows ``per_page`` count, and all others for the session; "": all count for the session."""


class Move(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The clock of a page moved back, and its counted calls move with it. ``began`` is the page's start now."""

    org: str
    session: str
    page: str
    began: Instant


class Spent(msgspec.Struct, frozen=True, gc=False):
    """The answer to Spend."""

    passed: bool
    retry_after: float = 0.0
    """A call this many seconds after ``at`` would pass; a page's call perhaps only later. 0 if the call passed."""
    remaining: int = 0
    """Calls left in the tightest of the windows that end at ``at``; 0 if the call was refused."""


Operation = Admit | Confirm | Release | Mark | Recall | Claim | Spend | Move
Answer = Admitted | Recalled | Claimed | Spent | None
"""Confirm, Release, Mark and Move are answered with None."""


class LedgerDownError(Exception):
    """The ledger's store did not answer in time."""


class Ledger(Protocol):
    """The exact limits. Operations are carried out in order, and the answers are in the same order."""

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float = inf) -> tuple[Answer, ...]:
        """Carry out all operations. Raise LedgerDownError if the store does not answer.

        This suspends only where it must: in memory for many operations, in Redis for what only Redis can answer. It
        waits for ``deadline`` seconds at most, and never longer than the store's own time limit.
        """
        ...
