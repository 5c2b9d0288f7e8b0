"""The nouns of the core: what is known of a request, rules, hits and rejections.

Types whose objects are made for each request are ``msgspec.Struct`` (frozen, slotted, and five times cheaper to make
than frozen dataclasses). Those made for each configuration are frozen dataclasses.
"""

from __future__ import annotations

from enum import Enum, StrEnum, unique
from typing import NewType

import msgspec

from fsproxy.core.matching.addresses import Address as Address  # noqa: PLC0414 - one of the nouns
from fsproxy.core.matching.hosts import Url
from fsproxy.core.reasons import ReasonCode, RejectionCode

Instant = NewType("Instant", float)
"""A moment: Unix time in seconds. The core never reads a clock; its callers pass the time."""

LONGEST_ID = 256
"""Characters of an id. No longer one is valid (rules.md 2, ``uid``), and ids are remembered: it counts as missing."""


@unique
class Mode(StrEnum):
    """What becomes of a rule's hit: it blocks, is only recorded, or is not even looked for."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"

    def capped(self, cap: Mode) -> Mode:
        """Return the weaker of the two modes: under a top-level ``shadow``, an enforced filter is in shadow mode."""
        return self if _STRENGTH[self] <= _STRENGTH[cap] else cap


_STRENGTH = {Mode.OFF: 0, Mode.SHADOW: 1, Mode.ENFORCE: 2}


@unique
class OnTrouble(StrEnum):
    """What happens to a request if a filter or the state store fails, or if its org is not listed."""

    ALLOW = "allow"
    BLOCK = "block"


@unique
class Route(StrEnum):
    """What a request carries (wire.md). All other requests are ``OTHER`` and only pass through."""

    PAGE = "page"
    BUNDLE = "bundle"
    EVENT = "event"
    SOCKET = "socket"
    DIRECT_EVENT = "direct_event"
    DIRECT_IDENTIFY = "direct_identify"
    DIRECT_SET_USER_VARS = "direct_set_user_vars"
    SERVER_API = "server_api"
    OTHER = "other"


# Python 3.11 takes five times as long to find a member in its enum as a name in a module.
PAGE, OTHER, SERVER_API = Route.PAGE, Route.OTHER, Route.SERVER_API
RETRIED_ON_502_ALONE = frozenset({Route.BUNDLE, Route.EVENT})
"""The uploads whose recordings end with any temporary failure other than 502 (wire.md 2)."""
UNREAD = frozenset({Route.OTHER, Route.SOCKET})
"""Routes whose requests are passed on without being read. A socket's frames are read one by one."""
DIRECT = frozenset({Route.DIRECT_EVENT, Route.DIRECT_IDENTIFY, Route.DIRECT_SET_USER_VARS})
"""The routes on which a page sends calls without a recorder."""


@unique
class Encoding(Enum):
    """How a body is compressed: by ``Content-Encoding``, or by the query's ``ContentEncoding`` (wire.md 2)."""

    IDENTITY = "identity"
    GZIP = "gzip"
    UNKNOWN = "unknown"


@unique
class FilterName(StrEnum):
    """The filters, in the order in which they judge (rules.md 1)."""

    ORG = "org"
    SCRIPT = "script"
    URL = "url"
    DOMAIN = "domain"
    IP = "ip"
    USER_AGENT = "user_agent"
    GEO = "geo"
    OPT_OUT = "opt_out"
    DELETING_USER = "deleting_user"
    BLOCKED_USER = "blocked_user"
    RAMPING = "ramping"
    QUOTA = "quota"


class Location(msgspec.Struct, frozen=True, gc=False):
    """Where a visitor is: ISO 3166-1 alpha-2, and ISO 3166-2 with its country (``US-CA``); upper case."""

    country: str
    region: str | None = None


class SessionFacts(msgspec.Struct, frozen=True, gc=False):
    """All that the filters may know of one request. What the recorder did not send is None or empty.

    Fields of type ``object`` come out of a JSON body. A recorder may send anything in them, and a filter decides what
    a wrong type means.
    """

    route: Route
    org: str | None = None
    """The org, or None when it is missing or not a string."""
    session_id: str = ""
    """The session's id from the page, the query, or else the ``fs_uid`` cookie; "" if unknown."""
    page_id: str = ""
    user_id: str = ""
    """The recorder's own id of the visitor; "" on a first visit."""
    fresh_user_id: str = ""
    """An id that the proxy made for a first visit, so that ramping can judge it; "" otherwise."""
    app_id: str = ""
    """The uid given to ``FS.identify``, if the visitor was identified before this page."""
    uids: tuple[int, ...] = ()
    """Digests of the session's uids, and of listed ones that the body's calls name (rules.md 10).

    Empty where no list of users being deleted is configured."""
    url: object = None
    parsed_url: Url | None = None
    """The parts of ``url``, or the problem with it; None if it is no text."""
    compiled_timestamp: object = None
    compiled_version: object = None
    snippet_version: object = None
    origin: str | None = None
    """The ``Origin`` header as it came, ``null`` included; None if there is none."""
    client_ip: Address | None = None
    """The visitor's address (IPv4-mapped ones are unwrapped); None on a nameless socket."""
    user_agent: str | None = None
    """The header, with surrogate escapes for bytes that are not UTF-8."""
    location: Location | None = None
    cookies: str = ""
    """The ``Cookie`` header, with surrogate escapes; "" if there is none. It is searched for a few names only."""
    gpc: bool = False
    dnt: bool = False


class Rule(msgspec.Struct, frozen=True, gc=False):
    """One configured rule: its id, which audit lines show and clients never see, and its place."""

    id: str
    where: str = ""
    """``file:line:column``, or "" for a default."""


class ListedRule(Rule, frozen=True, gc=False):
    """A rule that is one line of a ``file:`` list."""


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A rule that blocks a session, and the code to block it with."""

    filter: FilterName
    code: ReasonCode
    rule: Rule


RuleHit = tuple[str, FilterName, Mode]
"""How the hit of a rule is counted: its label, its filter, and whether it blocks."""


def rule_hit(hit: Hit, mode: Mode) -> RuleHit:
    """Return how a hit is counted.

    The label is the rule's explicit id, ``file:`` and the name of the list that it is in, or else its filter: a list of
    100,000 networks is one label.
    """
    rule, label = hit.rule, hit.filter.value
    if isinstance(rule, ListedRule):
        label = f"file:{rule.where.rsplit(':', 2)[0].rpartition('/')[2]}"
    elif not rule.id.startswith(f"{label}:"):
        label = rule.id
    return label, hit.filter, mode


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """One invalid call, or one invalid property of a call. Never holds the offending value."""

    code: RejectionCode
    kind: CallKind
    call: str | None
    """The call's name: an event's, or None where the kind has none."""
    property: str | None
    """The dotted path, or None when the call itself is rejected."""
    detail: str
    """Fixed text with the limit, e.g. ``longer than 512 characters``."""


@unique
class CallKind(StrEnum):
    """What a client API call does (rules.md 2)."""

    EVENT = "event"
    IDENTIFY = "identify"
    SET_USER_VARS = "set_user_vars"
    PAGE = "page"
    DOCUMENT = "document"

    is_user: bool
    """Whether it is ``identify`` or ``set_user_vars``, which share names, limits and reserved properties."""

    def __init__(self, value: str) -> None:
        self.is_user = value in ("identify", "set_user_vars")


@unique
class PropertyType(StrEnum):
    """The ten types (rules.md 2). The value is the suffix without its underscore."""

    STR = "str"
    INT = "int"
    REAL = "real"
    DATE = "date"
    BOOL = "bool"
    STRS = "strs"
    INTS = "ints"
    REALS = "reals"
    DATES = "dates"
    BOOLS = "bools"
