"""What the core asks of the ledger, and what the ledger answers.

The ledger keeps the exact limits (sessions and quota, names, rates) in one of two forms, memory or
Redis (rules.md 5). The core only says what must be asked (operations) and what the answers mean; it
knows neither form. All operations of one request concern one org. Times are Unix seconds.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Protocol

import msgspec

from fsproxy.core.model import Instant
from fsproxy.core.settings import Window

SESSION_IDLE_SECONDS = 30 * 60
"""A session ends after this long without activity (rules.md 1)."""
SESSION_LIFE_SECONDS = 24 * 60 * 60
"""... or after this long in any case."""
RESERVATION_SECONDS = 60
"""A reserved unit that was neither confirmed nor released is given back after this long."""


class QuotaTerms(msgspec.Struct, frozen=True, gc=False):
    """Against what a new session is counted."""

    cycle: str
    """Names the billing cycle, e.g. ``2026-11-01``: its first day."""
    limit: int
    """Sessions, spill-over included."""
    ends: Instant
    """The count may be forgotten from then on."""
    enforced: bool
    """False (shadow): a session over the limit is counted all the same."""


class Admit(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A page asks to go on: its session is under way, or a unit is left for it, or neither.

    The ledger, atomically: (1) a session under ``session`` (else, when that is "", under ``user``) that
    was active less than 30 minutes ago and is younger than 24 hours, or reserved and waiting, is under way:
    refresh it; a reserved one is joined by ``token``, which holds it for 60 s more. (2) Else, if
    ``ramped_out`` and ``user`` is not one remembered as admitted, nothing is reserved. (3) Else, with
    ``quota`` at the limit and enforced, nothing is reserved; otherwise the session waits under ``token`` for
    60 s, with one unit of the quota if there is one. A page with neither ``session`` nor ``user`` (a first
    visit of a build of 2022) is always new and waits alone.
    """

    org: str
    token: str
    """Unique to this request; names the reservation."""
    session: str
    user: str
    ramped_out: bool
    """The ramping filter, enforced, says no unless the session is under way or the user was admitted."""
    quota: QuotaTerms | None


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """The answer to Admit."""

    under_way: bool
    user_admitted: bool
    """The visitor was admitted earlier as a first visit (ramping passes it). Only told of a new session."""
    over_quota: bool
    """The session is new and the quota was used up (also when only in shadow)."""
    used: int = 0
    """Units used and reserved in the cycle after this operation; 0 without a quota.

    Reservations that lapsed a moment ago may still be in it, but they never decide ``over_quota``.
    """
    held: bool = True
    """The token holds a reservation, its own or one that it joined: it wants a Confirm or a Release. A ledger
    that cannot tell says True."""


class Confirm(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The upstream answered 200: the reservation becomes a session under way, under all of its ids.

    ``new`` False (``IsNewSession: false``) gives the unit back, and the session is under way all the same.
    Only the token that reserved says so: from one that joined, ``new`` False means nothing for the unit, as
    its page was told "under way". Any Confirm confirms the session, and no Release takes the unit back then.
    After the reservation lapsed, the unit is counted again, even over the limit, unless the session is under
    way by then through another page. A token that is not known (any more) counts nothing.
    All of ``sessions`` are one session: activity under one id keeps the others under way; so with ``users``.
    """

    org: str
    token: str
    sessions: tuple[str, ...]
    users: tuple[str, ...]
    new: bool
    remember_user: bool = False
    """An admitted first visit under ramping: its user ids pass from now on."""
    uid: int = 0
    """Digest of the uid that the page says its visitor has; see ``Recall``. 0: none, and nothing changes."""


class Release(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The page failed, or the upstream blocked it: the unit is given back, the session is not under way.

    Not so while another page holds the same reservation, or when it was confirmed. An unknown token changes
    nothing.
    """

    org: str
    token: str


class Mark(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A bundle was forwarded: its session is (still) under way. Ids may be "".

    A session that is not known (after a restart, or of a build that sends bundles under ids of its own) is
    under way from now on, uncounted. One that has passed its 24 hours stays ended.
    """

    org: str
    session: str
    user: str
    uid: int = 0
    """Digest of the uid that the session has from now on; see ``Recall``. 0: nothing changes."""


class Recall(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Which uids does this session have? Answered with ``Recalled``; nothing is refreshed (rules.md 10).

    A uid is kept, as a digest, as long as the session or user that it was told of is under way. What Redis said is
    believed for a minute, or until a list of users changes.
    """

    org: str
    session: str
    user: str


class Recalled(msgspec.Struct, frozen=True, gc=False):
    """The answer to Recall: digests, the session's and the user's. None is known twice."""

    uids: tuple[int, ...]


@unique
class NameKind(StrEnum):
    """The three kinds of names that are counted (rules.md 2)."""

    USER_PROPERTY = "user_property"
    EVENT_NAME = "event_name"
    EVENT_PROPERTY = "event_property"


class Claim(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Names seen in a call. Known ones are refreshed; new ones are admitted while there is room.

    They are judged one after another. A name is forgotten once it was not seen for ``retention`` seconds;
    refused names are not kept. Names are opaque. Answered with ``Claimed``.
    """

    org: str
    kind: NameKind
    names: tuple[str, ...]
    limit: int
    retention: float
    enforced: bool = True
    """False (shadow): nothing is admitted beyond the limit either, but the caller lets it pass."""


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """The answer to Claim: which of its names were refused, and how many are known after it."""

    refused: frozenset[str]
    known: int


@unique
class RateKind(StrEnum):
    """Events and user calls are limited apart (rules.md 2)."""

    EVENT = "event"
    USER = "user"


class Spend(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One call at ``at``: it passes if, with it, no window of any length holds more than its limit.

    A window is half-open, ``(t - seconds, t]``, and may lie anywhere: calls come out of order, up to 10
    minutes late. All or nothing: a refused call spends nothing. Answered with ``Spent``.

    Calls of one ``page`` keep the distances of their ``when``: if ``at`` says that the page began earlier than
    its counted calls say, they move with it; if it says later, they are right (rules.md 2).
    """

    org: str
    session: str
    kind: RateKind
    at: Instant
    windows: tuple[Window, ...]
    page: str = ""
    """The page whose clock ``at`` was read from; "" for a call that has none."""
    when: float = 0.0
    """Milliseconds since the page's start by its own clock."""
    mark: int = 0
    """32 bits by which a page's call is known: one that is counted already passes again. 0: not known."""


class Move(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The clock of a page was moved back: its counted calls move with it. ``began`` is the page's start now."""

    org: str
    session: str
    page: str
    began: Instant


class Spent(msgspec.Struct, frozen=True, gc=False):
    """The answer to Spend."""

    passed: bool
    retry_after: float = 0.0
    """Seconds until a call at ``at`` + this would pass; 0 when passed. At least so many, of a page's call."""
    remaining: int = 0
    """Calls left in the tightest of the windows that end in ``at``; 0 when refused."""


Operation = Admit | Confirm | Release | Mark | Recall | Claim | Spend | Move
Answer = Admitted | Recalled | Claimed | Spent | None
"""Confirm, Release, Mark and Move are answered with None."""


class LedgerDownError(Exception):
    """The ledger's store did not answer in time, or not at all."""


class Ledger(Protocol):
    """The exact limits. Operations are carried out in order; the answers stand in the same order."""

    def try_now(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...] | None:
        """All or nothing, without waiting; None when only ``ask`` can know. The memory form never says None."""
        ...

    async def ask(self, operations: tuple[Operation, ...], now: Instant, deadline: float) -> tuple[Answer, ...]:
        """The same, waiting at most ``deadline`` seconds. Raises LedgerDownError."""
        ...
