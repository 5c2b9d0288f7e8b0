"""Reads audit lines, and restores from them the facts of a page, with what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, ip_address
from types import MappingProxyType

import msgspec
from msgspec import field

from fsproxy.core.audit.facts import CONTROL, HIDDEN, MISSING, NOT_STRING, AuditFacts
from fsproxy.core.audit.line import LONGEST_AGENT
from fsproxy.core.audit.privacy import LONGEST_NAME
from fsproxy.core.audit.record import AuditShadow
from fsproxy.core.matching.hosts import UrlProblem, parse_url
from fsproxy.core.model import Address, FilterName, Hit, Location, Route, SessionFacts

NO_ANSWERS: Mapping[str, Hit | Lacking | None] = MappingProxyType({})
SOME_VALUE = "\x00"
"""The value of a cookie whose value is not in the line. No real cookie has this one."""


class PageLine(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The part of an audit line that replay reads."""

    action: str = field(name="event.action")
    timestamp: str = field(name="@timestamp")
    request_id: str = field(name="http.request.id")
    reason_code: int | None = field(default=None, name="fsproxy.reason_code")
    rule: str = field(default="", name="rule.id")
    filter: str = field(default="", name="fsproxy.filter")
    shadow: tuple[AuditShadow, ...] = field(default=(), name="fsproxy.shadow")
    filters_failed: tuple[str, ...] = field(default=(), name="fsproxy.filters_failed")
    org: str | None = field(default=None, name="organization.id")
    user_id: str = field(default="", name="fsproxy.user_id")
    fresh_user_id: str = field(default="", name="fsproxy.fresh_user_id")
    client_ip: str | None = field(default=None, name="client.ip")
    country: str | None = field(default=None, name="client.geo.country_iso_code")
    region: str | None = field(default=None, name="client.geo.region_iso_code")
    user_agent: str | None = field(default=None, name="user_agent.original")
    domain: str = field(default="", name="url.domain")
    ledger_down: bool = field(default=False, name="fsproxy.ledger_down")
    url_length: int = field(default=0, name="fsproxy.url.length")
    facts: msgspec.Raw = field(default=msgspec.Raw(b""), name="fsproxy.facts")
    """The JSON of an ``AuditFacts``, or nothing. ``Replay`` decodes each different one only once."""

    @property
    def over_quota(self) -> bool:
        """The ledger found the quota used up, enforced or in shadow."""
        quota = FilterName.QUOTA.value
        return (self.filter == quota and not self.ledger_down) or any(each.filter == quota for each in self.shadow)


def page_line(record: Mapping[str, object]) -> PageLine:
    """Return a page's audit line from its decoded JSON. Raise ValueError (msgspec's) for anything else."""
    # Raw holds bytes, so the nested object is encoded again.
    facts = msgspec.Raw(msgspec.json.encode(record.get("fsproxy.facts") or {}))
    return msgspec.convert({**record, "fsproxy.facts": facts}, PageLine)


MOST_RULES = 3
"""The most rules that are named where several could decide."""


class Lacking(msgspec.Struct, frozen=True, gc=False):
    """A fact that a filter needs and the line does not hold."""

    text: str
    """The filter and the missing fact, for people."""
    rules: tuple[str, ...] = ()
    """The ids of rules that need it, at most MOST_RULES."""


USER_LACKS = "the line does not hold the user's id"
_V4_BYTES = 4
NO_FACTS = AuditFacts()


class ReplayedFacts(SessionFacts, frozen=True, gc=False, kw_only=True):
    """The facts of a page, or of a part of it, as its line has them, and what is missing in them."""

    audited: AuditFacts = NO_FACTS
    """The facts in the line."""
    agent_cut: bool = False
    """The line holds only the beginning of the User-Agent, or an escaped form of it."""
    url_length: int = 0
    """The length of the page's URL; ``url`` may be longer."""
    url_grown: bool = False
    same_users: bool = False
    """The lists of users have not changed since the line was written."""
    answers: Mapping[str, Hit | Lacking | None] = NO_ANSWERS
    """The filters' answers for the parts, or what they lacked."""


def is_cut(text: str, limit: int = LONGEST_NAME) -> bool:
    """Return whether a text in a line may differ from the original, being shortened or escaped."""
    return len(text) >= limit or "\\u" in text or "\ufffd" in text


def page_part(line: PageLine, audited: AuditFacts, longest_url: int, *, same_users: bool) -> ReplayedFacts:
    """Return all facts but the User-Agent, the address and the user. ``longest_url``: ``max_length``, or 0."""
    url = rebuilt_url(audited, line.domain, min(line.url_length, longest_url + 1))
    country = line.country
    return ReplayedFacts(
        route=Route.PAGE,
        org=line.org,
        url=url,
        parsed_url=parse_url(url) if isinstance(url, str) else None,
        compiled_timestamp=audited.compiled,
        compiled_version=audited.version,
        snippet_version=audited.snippet,
        origin=f"https://{_in_url(audited.origin)}" if audited.origin else None,
        location=Location(country, line.region) if country is not None else None,
        cookies=_cookies(audited),
        gpc=audited.gpc,
        dnt=audited.dnt,
        audited=audited,
        url_length=line.url_length,
        url_grown=isinstance(url, str) and len(url) > line.url_length,
        same_users=same_users,
    )


def agent_part(agent: str | None) -> ReplayedFacts:
    """Return only the User-Agent."""
    cut = agent is not None and is_cut(agent, LONGEST_AGENT)
    return ReplayedFacts(route=Route.PAGE, user_agent=agent, agent_cut=cut)


def address_part(address: str | None, audited: AuditFacts) -> ReplayedFacts:
    """Return only the address. Raise ValueError for what is none."""
    known = None if address is None or audited.address == HIDDEN else _address(address)
    return ReplayedFacts(route=Route.PAGE, client_ip=known, audited=audited)


def user_part(line: PageLine, audited: AuditFacts, *, same_users: bool, with_host: bool) -> ReplayedFacts:
    """Return only the visitor's ids, and the org to which they belong. ``with_host``: also the page's host."""
    url = rebuilt_url(audited, line.domain, 0) if with_host else None
    return ReplayedFacts(
        route=Route.PAGE,
        org=line.org,
        url=url,
        parsed_url=parse_url(url) if isinstance(url, str) else None,
        user_id=line.user_id,
        fresh_user_id=line.fresh_user_id,
        audited=audited,
        same_users=same_users,
    )


def _address(text: str) -> Address:
    # There are nearly as many addresses as visitors, and ipaddress takes three times as long to read the text.
    if text.isascii():
        try:
            packed = bytes(map(int, text.split(".")))
        except ValueError:
            return ip_address(text)
        if len(packed) == _V4_BYTES:
            return IPv4Address(packed)
    return ip_address(text)


def _cookies(audited: AuditFacts) -> str:
    """Return a ``Cookie`` header. Of a cookie with a known value and with any, the known one is found first."""
    pairs = [text.partition("=") for text in audited.opt_out]
    known = [f'{name}="{value}"' for name, equals, value in pairs if equals]
    return "; ".join(known + [f"{name}={SOME_VALUE}" for name, equals, _ in pairs if not equals])


def rebuilt_url(audited: AuditFacts, host: str, length: int) -> object:
    """Return a URL on which every filter decides as on the page's own, of which the line has only parts.

    Its path is lengthened until the URL has ``length`` characters.
    """
    problems = audited.url_problems
    if MISSING in problems:
        return None
    if NOT_STRING in problems:
        return 0
    if UrlProblem.UNPARSEABLE.value in problems:
        url = "x"
    elif UrlProblem.HOST.value in problems:
        url = f"{audited.scheme}:x"
    elif UrlProblem.PORT.value in problems:
        url = f"{audited.scheme}://{_in_url(host)}:0"
    elif not host:
        url = f"{audited.scheme}:x"
    else:
        url = f"{audited.scheme}://{_in_url(host)}" + (f":{audited.port}" if audited.port is not None else "")
    if CONTROL in problems:
        url += "/\x00"
    return url if len(url) >= length else url + "/" + "x" * (length - len(url) - 1)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
