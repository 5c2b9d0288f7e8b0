"""What the core is told, one table of keys (hence its length).

The typed, frozen form of the sections of the configuration that it obeys. ``config/schema.py`` makes these
from YAML (config/fsproxy.yaml shows every key and its default); the core compiles them into
lookup structures and never sees a dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum, unique
from types import MappingProxyType

from fsproxy.core.model import FilterName, Mode, OnTrouble
from fsproxy.core.reasons import ReasonCode

Places = Mapping[str, str]
"""Key of a section -> ``file:line:column`` of its value; a key that is not there has its default."""

_NOWHERE: Places = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a configured list: its text as written, where it stands, its explicit id if it has one."""

    text: str
    where: str = ""
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    mode: Mode = Mode.ENFORCE
    places: Places = field(default_factory=lambda: _NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSettings(_Section):
    min_compiled: int | None = None
    """Unix seconds: scripts built before are blocked."""
    require: bool = False
    blocked_versions: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSettings(_Section):
    schemes: tuple[str, ...] = ("http", "https")
    max_length: int | None = None
    match_origin: bool = False


@dataclass(frozen=True, slots=True)
class DomainRule:
    """``capture: PATTERN`` or ``block: PATTERN``."""

    capture: bool
    pattern: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSettings(_Section):
    rules: tuple[DomainRule, ...] = ()
    otherwise_capture: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class IpSettings(_Section):
    block: tuple[Entry, ...] = ()
    allow: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAgentSettings(_Section):
    block: tuple[Entry, ...] = ()
    allow: tuple[Entry, ...] = ()
    crawlers: bool = False
    case_sensitive: bool = False
    block_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoSource:
    """Where a visitor's location comes from: a header of a trusted proxy, or a database the user owns."""

    header: str | None = None
    region_header: str | None = None
    database: str | None = None
    country: str = "country.iso_code"
    region: str | None = "subdivisions.0.iso_code"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoSettings(_Section):
    only: tuple[Entry, ...] = ()
    """Empty together with ``never``: geography is not judged."""
    never: tuple[Entry, ...] = ()
    source: GeoSource = field(default_factory=lambda: GeoSource(header="cf-ipcountry"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutSettings(_Section):
    cookies: tuple[Entry, ...] = (Entry("fs_optout=1"),)
    gpc: bool = False
    dnt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletingUserSettings(_Section):
    block: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedUserSettings(_Section):
    block: tuple[Entry, ...] = ()
    reason_code: ReasonCode = ReasonCode.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class RampingStep:
    """From this day (00:00 UTC) on the share is that; between two steps it moves linearly."""

    start: date
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RampingSettings(_Section):
    share: float = 1.0
    """0 to 1; ignored when there is a schedule."""
    schedule: tuple[RampingStep, ...] = ()
    salt: str = ""


@unique
class Cycle(StrEnum):
    """How long a quota lasts."""

    MONTHLY = "monthly"
    YEARLY = "yearly"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSettings(_Section):
    sessions: int | None = None
    """None: not judged. 0 blocks every new session."""
    cycle: Cycle = Cycle.MONTHLY
    anchor_month: int = 1
    """Of a yearly cycle."""
    anchor_day: int = 1
    timezone: str = "UTC"
    spill_over: float = 0.0
    """Share of ``sessions`` that may be captured on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSettings:
    """The ``filters`` section, whole; an org's own is this merged key by key with its overrides."""

    on_error: OnTrouble = OnTrouble.ALLOW
    on_bundles: frozenset[FilterName] = frozenset(
        {
            FilterName.IP,
            FilterName.USER_AGENT,
            FilterName.DOMAIN,
            FilterName.DELETING_USER,
            FilterName.BLOCKED_USER,
        }
    )
    script: ScriptSettings = ScriptSettings()
    url: UrlSettings = UrlSettings()
    domain: DomainSettings = DomainSettings()
    ip: IpSettings = IpSettings()
    user_agent: UserAgentSettings = UserAgentSettings()
    geo: GeoSettings = GeoSettings()
    opt_out: OptOutSettings = OptOutSettings()
    deleting_user: DeletingUserSettings = DeletingUserSettings()
    blocked_user: BlockedUserSettings = BlockedUserSettings()
    ramping: RampingSettings = RampingSettings()
    quota: QuotaSettings = QuotaSettings()


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``limit`` in any ``seconds``."""

    limit: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CardinalitySettings:
    mode: Mode = Mode.ENFORCE
    user_properties: int = 500
    event_names: int = 1_000
    event_properties: int = 5_000
    retention: float = 30 * 86_400.0
    """Seconds after which a name that was not seen again is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    mode: Mode = Mode.ENFORCE
    event: tuple[Window, ...] = (Window(10, 1.0), Window(30, 60.0))
    user: tuple[Window, ...] = (Window(5, 1.0), Window(12, 60.0))


@unique
class OnUninspectable(StrEnum):
    """What happens to a capture body that cannot be read."""

    FORWARD = "forward"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientApiSettings:
    """The ``client_api`` section. Lengths in characters, sizes in bytes (rules.md 2)."""

    mode: Mode = Mode.ENFORCE
    max_payload: int = 512 * 1024
    max_calls: int = 5000
    """Of one body; those after them are rejected unread."""
    event_name_length: int = 250
    property_name_length: int = 512
    allow_hyphen: bool = False
    value_size: int = 8192
    reserved: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType(
            {"uid": 256, "displayName": 256, "email": 128, "acctId": 256, "website": 1024}
        )
    )
    cardinality: CardinalitySettings = CardinalitySettings()
    rate: RateSettings = RateSettings()
    blocked_uids: frozenset[str] = frozenset(
        {
            "",
            "0",
            "1",
            "-1",
            "true",
            "false",
            "n/a",
            "nan",
            "undefined",
            "null",
            "nil",
            "the_id_that_you_use_in_your_app_for_this_user",
        }
    )
    """Case-folded."""
    on_uninspectable: OnUninspectable = OnUninspectable.FORWARD


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgSettings:
    """One org's rules, overrides merged in: what an ``OrgPolicy`` is compiled from."""

    listed: bool = False
    enabled: bool = True
    mobile: bool = True
    filters: FilterSettings = FilterSettings()
    client_api: ClientApiSettings = ClientApiSettings()
    places: Places = field(default_factory=lambda: _NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """All of a configuration that the core obeys."""

    mode: Mode = Mode.ENFORCE
    """The top-level mode's cap: ``bypass`` is ``off`` here."""
    unlisted: OnTrouble = OnTrouble.ALLOW
    orgs_mode: Mode = Mode.ENFORCE
    mobile_agents: tuple[str, ...] = ("okhttp", "CFNetwork", "Dalvik")
    default: OrgSettings = OrgSettings()
    """For every org that is not listed."""
    orgs: Mapping[str, OrgSettings] = field(default_factory=lambda: MappingProxyType({}))
    state_on_error: OnTrouble = OnTrouble.ALLOW
    places: Places = field(default_factory=lambda: _NOWHERE, compare=False, repr=False)
