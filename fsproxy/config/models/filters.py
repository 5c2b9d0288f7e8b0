"""The ``filters`` section as users write it (rules.md 1)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated

from fsproxy.config import units
from fsproxy.config.fields import (
    CountOrNull,
    HeaderOrNull,
    Leaf,
    RuleMode,
    Text,
    TextOrNull,
    Truth,
    choice,
    of_text,
    one_of,
    or_null,
)
from fsproxy.config.lists import (
    AddressPatterns,
    DomainRules,
    Entries,
    FilterNames,
    OptOutCookies,
    Schemes,
    UserAgentPatterns,
    Zones,
)
from fsproxy.config.models.sampling import QuotaSection, RampingSection
from fsproxy.config.problems import Problem
from fsproxy.config.sections import Section, section, setting
from fsproxy.config.yaml.positions import Kind, Scalar, Table
from fsproxy.core.filters.user_agent import crawlers_problem
from fsproxy.core.model import OnTrouble
from fsproxy.core.reasons import ReasonCode

_DATABASES = "maxminddb"
_MODE = "enforce | shadow (judge and audit, block nothing) | off"


def _reason(scalar: Scalar) -> ReasonCode:
    for code in ReasonCode:
        if scalar.kind is Kind.INT and scalar.text == str(code.value):
            return code
    raise ValueError


_CODES = [code.value for code in ReasonCode]
_DATE_SCHEMA = {"type": "string", "format": "date"}

DayOrNull = Annotated[int | None, or_null(of_text("a date", units.DATE, units.day_as_unix, _DATE_SCHEMA))]
Reason = Annotated[
    ReasonCode, Leaf("a reason code", ", ".join(map(str, _CODES)), _reason, {"type": "integer", "enum": _CODES})
]


class ScriptSection(Section):
    """Reason 11: outdated capture scripts."""

    mode: RuleMode = setting("enforce", _MODE)
    min_compiled: DayOrNull = setting(None, "Scripts built before this day (00:00 UTC) are blocked.")
    require: Truth = setting(False, "Whether a missing or non-numeric timestamp is blocked too.")
    blocked_versions: Entries = setting([], "CompiledVersion or SnippetVersion values that are blocked.")


class UrlSection(Section):
    """Reason 9: invalid page addresses."""

    mode: RuleMode = setting("enforce", _MODE)
    schemes: Schemes = setting(["http", "https"], "Schemes that are allowed.")
    max_length: CountOrNull = setting(None, "Longest URL in characters; null for no limit.")
    match_origin: Truth = setting(False, "Whether the URL's host must equal the Origin header's.")


class DomainSection(Section):
    """Reason 4: domains. The first rule that matches wins."""

    mode: RuleMode = setting("enforce", _MODE)
    rules: DomainRules = setting([], "In order, {capture: PATTERN} or {block: PATTERN}; * is exactly one label.")
    otherwise: Annotated[str, one_of("capture", "block")] = setting("capture", "All other domains: capture | block")


class IpSection(Section):
    """Reason 5: addresses. Allow wins."""

    mode: RuleMode = setting("enforce", _MODE)
    block: AddressPatterns = setting([], "Addresses, networks, or * for a part (192.168.1.*).")
    allow: AddressPatterns = setting([], "The same, never blocked.")


class UserAgentSection(Section):
    """Reason 6: user agents. Allow wins."""

    mode: RuleMode = setting("enforce", _MODE)
    block: UserAgentPatterns = setting([], "Texts that the User-Agent contains, or regex:PATTERN (RE2).")
    allow: UserAgentPatterns = setting([], "The same, never blocked.")
    crawlers: Truth = setting(False, "Also block a maintained list of crawlers (extra crawlers).")
    case_sensitive: Truth = setting(False, "Whether case matters.")
    block_missing: Truth = setting(False, "Also block requests without a User-Agent.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """The list of crawlers is an extra."""
        crawlers = table.scalar("crawlers")
        if crawlers and crawlers.text.lower() == "true" and (allowed := crawlers_problem()):
            yield crawlers.problem("cannot be obeyed", allowed)


class GeoSourceSection(Section):
    """Where a visitor's location comes from."""

    header: HeaderOrNull = setting(
        None, "A trusted proxy's header that holds the country; cf-ipcountry where nothing is named."
    )
    region_header: HeaderOrNull = setting(None, "A trusted proxy's header that holds the region.")
    database: TextOrNull = setting(None, "A MaxMind DB file, in place of headers (extra geo).")
    country: Text = setting("country.iso_code", "Path of the country in a database's row.")
    region: TextOrNull = setting("subdivisions.0.iso_code", "Path of the region in a database's row.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """Headers or a database, whose reader is an extra."""
        header = table.scalar("header") or table.scalar("region_header")
        if header and table.scalar("database"):
            yield header.problem("stands beside database", "header or database, not both")
        database = table.scalar("database")
        if database and find_spec(_DATABASES) is None:
            fault = f"cannot be read, as {_DATABASES} is not installed"
            yield database.problem(fault, "pip install fsproxy[geo], or a header")


class GeoSection(Section):
    """Reason 7: geography."""

    mode: RuleMode = setting("enforce", _MODE)
    only: Zones = setting([], "Capture these zones alone: US, US-CA, EU, EEA. Unknown locations are blocked.")
    never: Zones = setting([], "Capture all but these zones. Unknown locations are captured.")
    source: GeoSourceSection = section(GeoSourceSection, "Where a visitor's location comes from.")

    @classmethod
    def conflicts(cls, table: Table) -> Iterator[Problem]:
        """One list decides."""
        if table.sequence("only") and table.sequence("never"):
            yield table.members["never"].key_problem("stands beside only", "only or never, not both")


class OptOutSection(Section):
    """Reason 10: the visitor's own wish."""

    mode: RuleMode = setting("enforce", _MODE)
    cookies: OptOutCookies = setting(["fs_optout=1"], "name=value matches that value, name any.")
    gpc: Truth = setting(False, "Also Sec-GPC: 1.")
    dnt: Truth = setting(False, "Also DNT: 1.")


class DeletingUserSection(Section):
    """Reason 12: users who are being deleted."""

    mode: RuleMode = setting("enforce", _MODE)
    block: Entries = setting([], "Their uids or user ids.")


class BlockedUserSection(Section):
    """Users who are not to be captured."""

    mode: RuleMode = setting("enforce", _MODE)
    block: Entries = setting([], "Their uids.")
    reason_code: Reason = setting(-1, "The reason code they get; none is documented for them.")


class FiltersSection(Section):
    """Which sessions are blocked, in this order (rules.md 1)."""

    on_error: Annotated[OnTrouble, choice(OnTrouble)] = setting("allow", "A filter that fails: allow | block.")
    on_bundles: FilterNames = setting(
        ["ip", "user_agent", "domain", "deleting_user", "blocked_user"],
        "Filters that are judged again on bundles, events and sockets; orgs always are.",
    )
    script: ScriptSection = section(ScriptSection, "Reason 11: outdated capture scripts.")
    url: UrlSection = section(UrlSection, "Reason 9: invalid page addresses.")
    domain: DomainSection = section(DomainSection, "Reason 4: domains.")
    ip: IpSection = section(IpSection, "Reason 5: addresses.")
    user_agent: UserAgentSection = section(UserAgentSection, "Reason 6: user agents.")
    geo: GeoSection = section(GeoSection, "Reason 7: geography.")
    opt_out: OptOutSection = section(OptOutSection, "Reason 10: the visitor opted out.")
    deleting_user: DeletingUserSection = section(DeletingUserSection, "Reason 12: users who are being deleted.")
    blocked_user: BlockedUserSection = section(BlockedUserSection, "Users who are not to be captured.")
    ramping: RampingSection = section(RampingSection, "Reason 8: only a share of new sessions is captured.")
    quota: QuotaSection = section(QuotaSection, "Reason 3: sessions per billing cycle.")
