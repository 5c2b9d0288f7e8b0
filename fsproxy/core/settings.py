"""The sections of the configuration that the core obeys: one table of their keys (hence its length).

``config`` reads these from YAML, key by key; the core compiles them into lookup structures and never sees a dict.
Durations are in seconds, sizes in bytes, lengths in characters, shares from 0 to 1. Attributes are named as the keys,
except where a field names its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from enum import StrEnum, unique
from types import MappingProxyType
from typing import ClassVar
from zoneinfo import ZoneInfo, available_timezones

from fsproxy.core.keys import (
    ANY_TEXT,
    COUNT,
    COUNT_OR_ZERO,
    HEADER,
    STRING,
    TEXT,
    TRUTH,
    FileOf,
    JsonSchema,
    Leaf,
    ListOf,
    MapOf,
    SectionOf,
    choice,
    needed,
    or_null,
    section,
    setting,
    whole,
    words,
)
from fsproxy.core.matching import paths
from fsproxy.core.model import CallKind, FilterName, Mode, OnTrouble
from fsproxy.core.plan import Plan, PlanFile
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.run_time_lists import RunTimeList
from fsproxy.core.units import ANY_SHARE, DAY, DAY_AS_UNIX, DURATION, SHARE, SIZE, parts

Places = Mapping[str, str]
"""Key of a section -> ``file:line:column`` of its value; a key that is not there has its default."""

_NOWHERE: Places = MappingProxyType({})
NO_LISTS: Mapping[FilterName, RunTimeList] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a configured list: its text as written, its place, and its explicit id if it has one."""

    text: str
    where: str = ""
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ListedEntry(Entry):
    """An entry that is a line of a ``file:`` list."""


@dataclass(frozen=True, slots=True)
class DomainRule:
    """``capture: PATTERN`` or ``block: PATTERN``, and what the rule is limited to (rules.md 7)."""

    capture: bool
    pattern: Entry
    path: str | None = None
    """A glob on the path of a page's URL; None: any path."""
    share: float | None = None
    """Of ``capture``: the share of visitors that is captured; None: all."""
    until: int | None = None
    """The Unix time from which on the rule is skipped; None: never."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``limit`` in any ``seconds``, of a session or, with ``per_page``, of one of its pages."""

    limit: int
    seconds: float
    per_page: bool = False


@unique
class Cycle(StrEnum):
    """How long a quota lasts."""

    MONTHLY = "monthly"
    YEARLY = "yearly"


@unique
class Profile(StrEnum):
    """Whose numbers are the defaults of the limits on client API calls; ``core/limits/profiles.py`` has them."""

    DOCUMENTS = "documents"
    CURRENT = "current"


@unique
class OnUninspectable(StrEnum):
    """What happens to a capture body that cannot be read."""

    FORWARD = "forward"
    BLOCK = "block"


@unique
class RedactIn(StrEnum):
    """Where a redaction rule looks (rules.md 8)."""

    PROPERTIES = "properties"
    URLS = "urls"
    HEADERS = "headers"
    STRINGS = "strings"
    UID = "uid"


# -- how values are read that only these sections have

ANY_SCALAR: JsonSchema = {"type": ["string", "number", "boolean", "null"]}
_RULE: JsonSchema = {
    "type": "object",
    "properties": {
        "pattern": {"type": "string", "description": "The rule, as it may also stand alone."},
        "id": {"type": "string", "description": "What audit lines call it."},
    },
    "required": ["pattern"],
    "additionalProperties": False,
}
_DOMAIN_RULE: JsonSchema = {
    "type": "object",
    "properties": {
        "capture": {"type": "string", "description": "The domains to capture; ** is any."},
        "block": {"type": "string", "description": "The domains to block, with reason 4."},
        "id": {"type": "string", "description": "What audit lines call the rule."},
        "path": {"type": "string", "description": "A glob on the path of a page's URL, such as /account/**."},
        "share": {**SHARE.schema, "description": "With capture: the share of visitors; the others get reason 8."},
        "until": {**DAY.schema, "description": "The day (00:00 UTC) from which on the rule is skipped."},
    },
    "additionalProperties": False,
    "oneOf": [{"required": ["capture"]}, {"required": ["block"], "not": {"required": ["share"]}}],
}
_PATH = Leaf("a path pattern", paths.ALLOWED, paths.checked, STRING)
_WINDOWS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_RATE = re.compile(r"(?P<number>[0-9]{1,9})/(?P<unit>s|min|h)(?P<page> per page)?", re.ASCII)
_JUDGED_ON_BUNDLES = (
    FilterName.ORG,
    FilterName.DOMAIN,
    FilterName.IP,
    FilterName.USER_AGENT,
    FilterName.GEO,
    FilterName.DELETING_USER,
    FilterName.BLOCKED_USER,
)


def _entries(found: Iterable[Entry | str]) -> tuple[Entry, ...]:
    return tuple(Entry(each) if isinstance(each, str) else each for each in found)


def rules(name: str, word: str | None = None) -> ListOf[tuple[Entry, ...]]:
    """Return a reader for a list of a filter's rules, each a text or ``{pattern: TEXT, id: TEXT}``."""
    return ListOf(name, _entries, {"anyOf": [ANY_SCALAR, _RULE]}, word)


def rate(text: str) -> Window:
    """Return the window of ``30/min`` or ``30/min per page``: at most 30 in any 60 seconds. Raises ValueError."""
    match = parts(_RATE, text)
    return Window(int(match["number"]), _WINDOWS[match["unit"]], per_page=match["page"] is not None)


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (OSError, LookupError) as error:
        # For a key that cannot be the name of a file, the file system's own error comes up.
        raise ValueError from error
    return text


def _anchor(text: str) -> date:
    """Return a day of the leap year 2000, so that 02-29 is one; a day without a month is one of January."""
    if re.fullmatch(r"[0-9]{1,2}", text) and 1 <= int(text) <= 31:
        return date(2000, 1, int(text))
    if re.fullmatch(r"[0-9]{2}-[0-9]{2}", text):
        return date.fromisoformat(f"2000-{text}")
    raise ValueError


def _reason(text: str) -> ReasonCode:
    if str(int(text)) != text:
        raise ValueError
    return ReasonCode(int(text))


_ENTRIES = rules("text")
_MODE = choice(Mode)
_ON_TROUBLE = choice(OnTrouble)
_CODES = [code.value for code in ReasonCode]
_REASON = Leaf("a reason code", ", ".join(map(str, _CODES)), _reason, {"type": "integer", "enum": _CODES}, kind="int")
_TIME_ZONE = Leaf(
    "a time zone", "a name of the IANA database, such as Europe/Berlin", _zone, STRING, known=available_timezones
)
_ANCHOR_SCHEMA: JsonSchema = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 31}, {"type": "string"}]}
_ANCHORS = ("a day of a cycle", "1 to 31 for a monthly cycle, MM-DD for a yearly one")
_ANCHOR_MONTH = Leaf(*_ANCHORS, lambda text: _anchor(text).month, _ANCHOR_SCHEMA)
_ANCHOR_DAY = Leaf(*_ANCHORS, lambda text: _anchor(text).day, _ANCHOR_SCHEMA)
_SCHEMES = ListOf("url", lambda found: tuple(each.text.lower() for each in _entries(found)), STRING)
_FILTERS = choice(FilterName, *_JUDGED_ON_BUNDLES)
_DOMAIN_RULES = ListOf[tuple[DomainRule, ...]](
    "domain",
    lambda found: tuple(DomainRule(verb == "capture", entry, **limits) for verb, entry, limits in found),
    _DOMAIN_RULE,
    verbs={
        "capture": {"path": _PATH, "share": SHARE, "until": DAY_AS_UNIX},
        "block": {"path": _PATH, "until": DAY_AS_UNIX},
    },
)
_RATES = ListOf[tuple[Window, ...]](
    Leaf("a rate", "calls per second, minute or hour, such as 10/s, 30/min, 500/h, 60/min per page", rate, STRING),
    tuple,
    {"type": "string", "pattern": "^[0-9]+/(s|min|h)( per page)?$"},
)
_BLOCKS_MODE = "enforce | shadow (judge and audit, block nothing) | off"
_REJECTS_MODE = "enforce | shadow (judge and audit, reject nothing) | off"

# -- the filters (rules.md 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    """One filter's section."""

    mode: Mode = setting("enforce", _MODE, _BLOCKS_MODE)
    places: Places = field(default_factory=lambda: _NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSettings(_Filter):
    """Reason 11: outdated capture scripts."""

    min_compiled: int | None = setting(
        None, or_null(DAY_AS_UNIX), "Scripts built before this day (00:00 UTC) are blocked."
    )
    require: bool = setting(False, TRUTH, "Whether a missing or non-numeric timestamp is blocked too.")
    blocked_versions: tuple[Entry, ...] = setting(
        [], _ENTRIES, "CompiledVersion or SnippetVersion values that are blocked."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSettings(_Filter):
    """Reason 9: invalid page addresses."""

    schemes: tuple[str, ...] = setting(["http", "https"], _SCHEMES, "Schemes that are allowed.")
    max_length: int | None = setting(None, or_null(COUNT), "Longest URL in characters; null for no limit.")
    match_origin: bool = setting(False, TRUTH, "Whether the URL's host must equal the Origin header's.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSettings(_Filter):
    """Reason 4: domains. The first rule that matches wins."""

    rules: tuple[DomainRule, ...] = setting(
        [], _DOMAIN_RULES, "In order, {capture: PATTERN} or {block: PATTERN}, with path, share, until; * is one label."
    )
    otherwise_capture: bool = setting(
        "capture", words({"capture": True, "block": False}), "All other domains: capture | block", at="otherwise"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IpSettings(_Filter):
    """Reason 5: addresses. Allow wins."""

    block: tuple[Entry, ...] = setting([], rules("ip"), "Addresses, networks, or * for a part (192.168.1.*).")
    allow: tuple[Entry, ...] = setting([], rules("ip"), "The same, never blocked.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAgentSettings(_Filter):
    """Reason 6: user agents. Allow wins."""

    block: tuple[Entry, ...] = setting(
        [], rules("user_agent"), "Texts that the User-Agent contains, or regex:PATTERN (RE2)."
    )
    allow: tuple[Entry, ...] = setting([], rules("user_agent"), "The same, never blocked.")
    crawlers: bool = setting(False, TRUTH, "Also block a maintained list of crawlers (extra crawlers).")
    case_sensitive: bool = setting(False, TRUTH, "Whether case matters.")
    block_missing: bool = setting(False, TRUTH, "Also block requests without a User-Agent.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoSource:
    """Where a visitor's location comes from: headers of a trusted proxy, or a database the user owns."""

    header: str | None = setting(
        None,
        or_null(HEADER),
        "A trusted proxy's header that holds the country; cf-ipcountry where nothing is named.",
    )
    region_header: str | None = setting(None, or_null(HEADER), "A trusted proxy's header that holds the region.")
    database: str | None = setting(None, or_null(TEXT), "A MaxMind DB file, in place of headers (extra geo).")
    country: str = setting("country.iso_code", TEXT, "Path of the country in a database's row.")
    region: str | None = setting("subdivisions.0.iso_code", or_null(TEXT), "Path of the region in a database's row.")


def _with_header(source: GeoSource) -> GeoSource:
    if source.header is None and source.database is None:
        return replace(source, header="cf-ipcountry")
    return source


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoSettings(_Filter):
    """Reason 7: geography. It is not judged while both lists are empty."""

    only: tuple[Entry, ...] = setting(
        [], rules("geo"), "Capture these zones alone: US, US-CA, EU, EEA. Unknown locations are blocked."
    )
    never: tuple[Entry, ...] = setting([], rules("geo"), "Capture all but these zones. Unknown locations are captured.")
    source: GeoSource = setting({}, SectionOf(GeoSource, _with_header), "Where a visitor's location comes from.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutSettings(_Filter):
    """Reason 10: the visitor opted out."""

    cookies: tuple[Entry, ...] = setting(["fs_optout=1"], rules("opt_out"), "name=value matches that value, name any.")
    gpc: bool = setting(False, TRUTH, "Also Sec-GPC: 1.")
    dnt: bool = setting(False, TRUTH, "Also DNT: 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletingUserSettings(_Filter):
    """Reason 12: users who are being deleted."""

    block: tuple[Entry, ...] = setting([], _ENTRIES, "Their uids or user ids.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedUserSettings(_Filter):
    """Users who are not to be captured."""

    block: tuple[Entry, ...] = setting([], _ENTRIES, "Their uids.")
    reason_code: ReasonCode = setting(-1, _REASON, "The reason code they get; none is documented for them.")


@dataclass(frozen=True, slots=True)
class RampingStep:
    """One step of a schedule. Between two steps the share moves linearly."""

    start: date = needed(DAY, "The day (00:00 UTC) from which on the share is that.", at="from")
    share: float = needed(SHARE, "Share of new sessions to capture.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RampingSettings(_Filter):
    """Reason 8: only a share of new sessions is captured."""

    share: float = setting("100%", SHARE, "Share of new sessions to capture.")
    schedule: tuple[RampingStep, ...] = setting(
        [], SectionOf(RampingStep, many=True), "Shares by date in place of share; between two dates it moves linearly."
    )
    salt: str = setting("", ANY_TEXT, "Changes who is in the share.")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSettings(_Filter):
    """Reason 3: sessions per billing cycle."""

    sessions: int | None = setting(
        None, or_null(COUNT_OR_ZERO), "New sessions in a cycle; null for no quota, 0 blocks all."
    )
    cycle: Cycle = setting("monthly", choice(Cycle), "monthly | yearly")
    anchor_month: int = setting(1, _ANCHOR_MONTH, "The month of anchor_day.", at="anchor_day")
    anchor_day: int = setting(1, _ANCHOR_DAY, "First day of a cycle: 1 to 31, or MM-DD when yearly.")
    timezone: str = setting("UTC", _TIME_ZONE, "Where days begin, by its IANA name.")
    spill_over: float = setting("0%", ANY_SHARE, "Share of sessions that may be captured on top.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSettings:
    """Which sessions are blocked, and with which reason."""

    on_error: OnTrouble = setting("allow", _ON_TROUBLE, "A filter that fails: allow | block.")
    on_bundles: frozenset[FilterName] = setting(
        ["ip", "user_agent", "domain", "deleting_user", "blocked_user"],
        ListOf[frozenset[FilterName]](_FILTERS, frozenset, _FILTERS.schema),
        "Filters that are judged again on bundles, events and sockets; orgs always are.",
    )
    script: ScriptSettings = section(ScriptSettings)
    url: UrlSettings = section(UrlSettings)
    domain: DomainSettings = section(DomainSettings)
    ip: IpSettings = section(IpSettings)
    user_agent: UserAgentSettings = section(UserAgentSettings)
    geo: GeoSettings = section(GeoSettings)
    opt_out: OptOutSettings = section(OptOutSettings)
    deleting_user: DeletingUserSettings = section(DeletingUserSettings)
    blocked_user: BlockedUserSettings = section(BlockedUserSettings)
    ramping: RampingSettings = section(RampingSettings)
    quota: QuotaSettings = section(QuotaSettings)


# -- client API calls (rules.md 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardinalitySettings:
    """How many different names an org may use."""

    mode: Mode = setting("enforce", _MODE, _REJECTS_MODE)
    user_properties: int = setting(500, COUNT_OR_ZERO, "User properties.")
    event_names: int = setting(1_000, COUNT_OR_ZERO, "Event names.")
    event_properties: int = setting(5_000, COUNT_OR_ZERO, "Event properties, each by its event.")
    page_properties: int | None = setting(
        None, or_null(COUNT_OR_ZERO), "Page properties, over all pages; null for no limit."
    )
    page_properties_per_page: int | None = setting(
        None, or_null(whole(0, 1_000)), "Page properties of one page; null for no limit."
    )
    page_names: int | None = setting(None, or_null(COUNT_OR_ZERO), "Values of pageName; null for no limit.")
    retention: float = setting("30d", DURATION, "A name that was not seen for so long is forgotten.")

    @property
    def counts_pages(self) -> bool:
        """Whether anything of page properties is counted."""
        return (self.page_properties, self.page_properties_per_page, self.page_names) != (None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """How often a session (10/s) or a page (10/s per page) may call; every window holds."""

    mode: Mode = setting("enforce", _MODE, _REJECTS_MODE)
    event: tuple[Window, ...] = setting(["10/s", "30/min"], _RATES, "Custom events.")
    user: tuple[Window, ...] = setting(["5/s", "12/min"], _RATES, "identify and set_user_vars.")
    page: tuple[Window, ...] = setting([], _RATES, "Page properties; [] for no limit.")

    def windows(self, kind: CallKind) -> tuple[Window, ...]:
        """Return the windows of one kind of call; those of document variables are none."""
        if kind is CallKind.EVENT:
            return self.event
        return self.user if kind.is_user else self.page if kind is CallKind.PAGE else ()


PLAN_FILE = FileOf[Plan | None](PlanFile, Plan.compile)
"""How the name of a plan is read, and the plan itself with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """The names that were agreed on: what is not among them is rejected, or reported."""

    file: Plan | None = setting(None, PLAN_FILE, "YAML file of the names that were agreed on; null for none.")
    mode: Mode = setting("enforce", _MODE, f"{_REJECTS_MODE}; client_api.mode caps it.")
    cuts_unplanned: bool = setting(
        "cut",
        words({"cut": True, "allow": False}),
        "What is not in the plan: cut | allow (report only)",
        at="unplanned",
    )
    cuts_missing: bool = setting(
        "report",
        words({"report": False, "cut": True}),
        "An event without a required property: report | cut (the event)",
        at="missing",
    )


NO_PLAN = PlanSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reserved:
    """Longest values of reserved user properties, in characters."""

    uid: int = setting(256, COUNT, "The user's id.")
    displayName: int = setting(256, COUNT, "The user's name.")  # noqa: N815 - as it is called on the wire
    email: int = setting(128, COUNT, "The user's address.")
    acctId: int = setting(256, COUNT, "Deprecated by the vendor.")  # noqa: N815 - as it is called on the wire
    website: int = setting(1024, COUNT, "Deprecated by the vendor.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientApiSettings:
    """What client API calls must keep to."""

    GROUPS: ClassVar[Mapping[str, str]] = {
        "event_name": "Names of custom events.",
        "property_name": "Names of custom properties.",
        "property_value": "Values of custom properties.",
    }

    limits: Profile = setting(
        "documents",
        choice(Profile),
        "Defaults of what follows: documents (the documents of record) | current (the vendor's pages of today).",
    )
    mode: Mode = setting("enforce", _MODE, _REJECTS_MODE)
    max_payload: int = setting("512KB", SIZE, "Largest payload of one call.")
    max_calls: int = setting(5000, COUNT, "Calls of one body that are judged; the rest are rejected unread.")
    event_name_length: int = setting(250, COUNT, "Characters.", at="event_name.max_length")
    property_name_length: int = setting(
        512, COUNT, "Characters, the type suffix and all parents' names included.", at="property_name.max_length"
    )
    allow_hyphen: bool = setting(False, TRUTH, "Whether a hyphen may stand in a name.", at="property_name.allow_hyphen")
    value_size: int = setting(8192, SIZE, "Bytes.", at="property_value.max_size")
    reserved: Mapping[str, int] = setting(
        {},
        SectionOf[Mapping[str, int]](_Reserved, lambda lengths: MappingProxyType(asdict(lengths))),
        "Longest values of reserved user properties, in characters.",
    )
    cardinality: CardinalitySettings = section(CardinalitySettings)
    rate: RateSettings = section(RateSettings)
    blocked_uids: frozenset[str] = setting(
        [
            "",
            *("0", "1", "-1", "true", "false", "n/a", "nan", "undefined", "null", "nil"),
            "the_id_that_you_use_in_your_app_for_this_user",
        ],
        ListOf[frozenset[str]](Leaf("a text", "a text", str.casefold, STRING), frozenset, ANY_SCALAR),
        "Placeholders that are no uid; compared without case.",
    )
    on_uninspectable: OnUninspectable = setting(
        "forward", choice(OnUninspectable), "A capture body that cannot be read: forward | block"
    )
    places: Places = field(default_factory=lambda: _NOWHERE, compare=False, repr=False)

    plan: PlanSettings | None = field(default=None, repr=False)
    """The plan of names as it is in force: None if there is none. It is a section of its own in the file."""

    def capped(self, cap: Mode, plan: PlanSettings = NO_PLAN) -> ClientApiSettings:
        """Return the settings with the plan, and with the modes that are in force.

        ``cap`` caps theirs, and theirs those of the limits and of the plan.
        """
        mode = self.mode.capped(cap)
        planned = replace(plan, mode=plan.mode.capped(mode)) if plan.file is not None else None
        planned = planned if planned is not None and planned.mode is not Mode.OFF else None
        names = replace(self.cardinality, mode=self.cardinality.mode.capped(mode))
        return replace(
            self, mode=mode, plan=planned, cardinality=names, rate=replace(self.rate, mode=self.rate.mode.capped(mode))
        )


# -- redaction (rules.md 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactRule:
    """One of mask, exclude and hash, and where it looks."""

    mask: str | None = setting(
        None,
        or_null(TEXT),
        "Becomes as many *: email, card, ip, query:NAME, or regex:PATTERN (RE2).",
    )
    exclude: str | None = setting(None, or_null(TEXT), "The same, is removed; not in strings.")
    hash: str | None = setting(
        None, or_null(TEXT), "The same, becomes a digest keyed with audit.key: equal values stay equal; not in strings."
    )
    places_in: frozenset[RedactIn] = setting(
        ["properties", "urls"],
        ListOf[frozenset[RedactIn]](choice(RedactIn), frozenset, choice(RedactIn).schema, lone=True),
        "Where it looks: properties, urls, headers, strings (all strings of recordings), uid (hash alone).",
        at="in",
    )
    id: str | None = setting(None, or_null(TEXT), "What audit lines and metrics call the rule.")
    mode: Mode = setting("enforce", _MODE, "enforce | shadow (count, change nothing) | off")
    places: Places = field(default_factory=lambda: _NOWHERE, compare=False, repr=False)

    @property
    def action(self) -> str:
        """``mask``, ``exclude`` or ``hash``."""
        return "mask" if self.mask is not None else "exclude" if self.exclude is not None else "hash"

    @property
    def pattern(self) -> str:
        """What it looks for."""
        return self.mask or self.exclude or self.hash or ""


@unique
class OnUnredactable(StrEnum):
    """What happens to what cannot be read or redacted."""

    DROP = "drop"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactSettings:
    """What is masked, removed or hashed in what goes on. The top-level mode does not cap it."""

    mode: Mode = setting("enforce", _MODE, "enforce | shadow (count, change nothing) | off; caps those of the rules.")
    on_error: OnUnredactable = setting(
        "drop", choice(OnUnredactable), "What cannot be read or redacted: drop | forward (as it came)"
    )
    rules: tuple[RedactRule, ...] = setting(
        [], SectionOf(RedactRule, many=True), "Such as {mask: email, in: [properties, urls]}."
    )


# -- orgs, and all of it together


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgSettings:
    """What differs for one org. Its sections are merged over the base sections key by key; lists are replaced."""

    listed: bool = False
    enabled: bool = setting(True, TRUTH, "Whether it is captured at all; if not, reason 2.")
    mobile: bool = setting(True, TRUTH, "Whether mobile apps are captured; if not, reason 2.")
    filters: FilterSettings = section(FilterSettings)
    client_api: ClientApiSettings = section(ClientApiSettings)
    plan: PlanSettings = section(PlanSettings)
    places: Places = field(default_factory=lambda: _NOWHERE, compare=False, repr=False)


def _listed(org: OrgSettings) -> OrgSettings:
    return replace(org, listed=True)


REDACT = "redact"
PRIVACY = (FilterName.OPT_OUT.value, FilterName.DELETING_USER.value, REDACT)
"""The sections whose rules protect visitors. No top-level mode weakens them (rules.md 8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """All of a configuration that the core obeys."""

    GROUPS: ClassVar[Mapping[str, str]] = {"orgs": "The orgs, and what differs for one of them."}

    mode: Mode = Mode.ENFORCE
    """The top-level mode's cap: ``bypass`` is ``off`` here."""
    unlisted: OnTrouble = setting("allow", _ON_TROUBLE, "Orgs that are not listed: allow | block", at="orgs.unlisted")
    orgs_mode: Mode = setting("enforce", _MODE, "Of reasons 1 and 2: enforce | shadow | off", at="orgs.mode")
    mobile_agents: tuple[str, ...] = setting(
        ["okhttp", "CFNetwork", "Dalvik"],
        ListOf[tuple[str, ...]](TEXT, tuple, ANY_SCALAR),
        "A User-Agent that contains one of these is a mobile app.",
        at="orgs.mobile_agents",
    )
    default: OrgSettings = OrgSettings()
    """For every org that is not listed: the base sections ``filters`` and ``client_api``."""
    orgs: Mapping[str, OrgSettings] = setting(
        {},
        MapOf[Mapping[str, OrgSettings]](SectionOf(OrgSettings, _listed), MappingProxyType),
        "By org id; {} for one without differences.",
        at="orgs.listed",
    )
    redact: RedactSettings = section(RedactSettings)
    state_on_error: OnTrouble = OnTrouble.ALLOW
    """``state.on_error``."""
    client_ip: str = "truncated"
    """``audit.client_ip``: the ids of rules about addresses show no more of one than audit lines do."""
    client_ip_key: str | None = field(default=None, repr=False)
    """``audit.key``."""
    run_time: Mapping[FilterName, RunTimeList] = field(default_factory=lambda: NO_LISTS, compare=False, repr=False)
    """The lists that have entries of the running program's; no key of the file."""

    def mode_of(self, section: str, own: Mode) -> Mode:
        """Return the mode in force of a section with this own mode: the top-level one caps all but the privacy rules.

        Those end only where nothing is judged any more: ``POST /mode`` with ``bypass`` and ``privacy: off``.
        """
        return own if section in PRIVACY else own.capped(self.mode)

    places: Places = field(default_factory=lambda: _NOWHERE, compare=False, repr=False)
