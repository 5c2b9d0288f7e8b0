"""An audit line, read; and the facts that it tells of a page, with what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, ip_address
from types import MappingProxyType

import msgspec

from fsproxy.core.audit.facts import CONTROL, HIDDEN, MISSING, NOT_STRING, AuditFacts
from fsproxy.core.audit.line import LONGEST_AGENT
from fsproxy.core.audit.privacy import LONGEST_NAME
from fsproxy.core.audit.record import AuditShadow
from fsproxy.core.matching.hosts import UrlProblem
from fsproxy.core.model import Address, FilterName, Hit, Location, Route, SessionFacts

NO_ANSWERS: Mapping[FilterName, Hit | Lacking | None] = MappingProxyType({})
SOME_VALUE = "\x00"
"""Of a cookie that was there, with a value that is not known; no cookie has this one."""


class PageLine(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    rename={
        "timestamp": "@timestamp",
        "action": "event.action",
        "reason_code": "fsproxy.reason_code",
        "rule": "rule.id",
        "filter": "fsproxy.filter",
        "shadow": "fsproxy.shadow",
        "filters_failed": "fsproxy.filters_failed",
        "org": "organization.id",
        "user_id": "fsproxy.user_id",
        "fresh_user_id": "fsproxy.fresh_user_id",
        "client_ip": "client.ip",
        "country": "client.geo.country_iso_code",
        "region": "client.geo.region_iso_code",
        "user_agent": "user_agent.original",
        "domain": "url.domain",
        "request_id": "http.request.id",
        "ledger_down": "fsproxy.ledger_down",
        "url_length": "fsproxy.url.length",
        "facts": "fsproxy.facts",
    },
):
    """What replay reads of an audit line; the rest is skipped."""

    action: str
    timestamp: str
    request_id: str
    reason_code: int | None = None
    rule: str = ""
    filter: str = ""
    shadow: tuple[AuditShadow, ...] = ()
    filters_failed: tuple[str, ...] = ()
    org: str | None = None
    user_id: str = ""
    fresh_user_id: str = ""
    client_ip: str | None = None
    country: str | None = None
    region: str | None = None
    user_agent: str | None = None
    domain: str = ""
    ledger_down: bool = False
    url_length: int = 0
    facts: msgspec.Raw = msgspec.Raw(b"")
    """An ``AuditFacts``, or nothing; decoded only when it was not seen before."""

    @property
    def over_quota(self) -> bool:
        """The ledger said so, enforced or in shadow."""
        quota = FilterName.QUOTA.value
        return (self.filter == quota and not self.ledger_down) or any(each.filter == quota for each in self.shadow)


def page_line(record: Mapping[str, object]) -> PageLine:
    """Return a page's audit line, from its JSON. Raises ValueError (msgspec's) for what is no such line."""
    # Raw is for bytes: the nested object is encoded again.
    facts = msgspec.Raw(msgspec.json.encode(record.get("fsproxy.facts") or {}))
    return msgspec.convert({**record, "fsproxy.facts": facts}, PageLine)


MOST_RULES = 3
"""Rules that are named where one of many could decide."""


class Lacking(msgspec.Struct, frozen=True, gc=False):
    """What a filter needs and the line does not hold."""

    text: str
    """The filter, and the missing fact."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that need it, the first of many."""


_V4_BYTES = 4
NOTHING_SAID = AuditFacts()


class ReplayedFacts(SessionFacts, frozen=True, gc=False, kw_only=True):
    """What a line tells of a page, or of a part of it, and what it leaves out."""

    said: AuditFacts = NOTHING_SAID
    agent_cut: bool = False
    """The line holds the User-Agent's beginning only, or a form of it that was made fit to print."""
    url_length: int = 0
    """Of the URL that was judged; ``url`` may be longer."""
    url_grown: bool = False
    same_users: bool = False
    """Lists of users are what they were."""
    answers: Mapping[FilterName, Hit | Lacking | None] = NO_ANSWERS
    """What filters said of the parts, or what they lacked."""


def is_cut(text: str, limit: int = LONGEST_NAME) -> bool:
    """Whether a text in a line may not be what it was."""
    return len(text) >= limit or "\\u" in text or "\ufffd" in text


def page_part(line: PageLine, said: AuditFacts, longest_url: int, *, same_users: bool) -> ReplayedFacts:
    """All but the User-Agent, the address and the user. ``longest_url``: the most that any rule allows, or 0."""
    url = rebuilt_url(said, line.domain, min(line.url_length, longest_url + 1))
    country = line.country
    return ReplayedFacts(
        route=Route.PAGE,
        org=line.org,
        url=url,
        compiled_timestamp=said.compiled,
        compiled_version=said.version,
        snippet_version=said.snippet,
        origin=f"https://{_in_url(said.origin)}" if said.origin else None,
        location=Location(country, line.region) if country is not None else None,
        cookies=_cookies(said),
        gpc=said.gpc,
        dnt=said.dnt,
        said=said,
        url_length=line.url_length,
        url_grown=isinstance(url, str) and len(url) > line.url_length,
        same_users=same_users,
    )


def agent_part(agent: str | None) -> ReplayedFacts:
    """The User-Agent alone."""
    cut = agent is not None and is_cut(agent, LONGEST_AGENT)
    return ReplayedFacts(route=Route.PAGE, user_agent=agent, agent_cut=cut)


def address_part(address: str | None, said: AuditFacts) -> ReplayedFacts:
    """The address alone. Raises ValueError when it is none."""
    known = None if address is None or said.address == HIDDEN else _address(address)
    return ReplayedFacts(route=Route.PAGE, client_ip=known, said=said)


def user_part(line: PageLine, said: AuditFacts, *, same_users: bool) -> ReplayedFacts:
    """The visitor's ids alone, and the org in which they mean something."""
    return ReplayedFacts(
        route=Route.PAGE,
        org=line.org,
        user_id=line.user_id,
        fresh_user_id=line.fresh_user_id,
        said=said,
        same_users=same_users,
    )


def _address(text: str) -> Address:
    # Many visitors have one of their own; ipaddress takes three times as long to read the text.
    if text.isascii():
        try:
            packed = bytes(map(int, text.split(".")))
        except ValueError:
            return ip_address(text)
        if len(packed) == _V4_BYTES:
            return IPv4Address(packed)
    return ip_address(text)


def _cookies(said: AuditFacts) -> dict[str, str]:
    cookies = {text: SOME_VALUE for text in said.opt_out if "=" not in text}
    return cookies | dict(text.split("=", 1) for text in said.opt_out if "=" in text)


def rebuilt_url(said: AuditFacts, host: str, length: int) -> object:
    """A URL that every filter judges as the one that the line tells of.

    Drawn out in its path to ``length``: the one that it had, or one that is as much too long.
    """
    problems = said.url_problems
    if MISSING in problems:
        return None
    if NOT_STRING in problems:
        return 0
    if UrlProblem.UNPARSEABLE.value in problems:
        url = "x"
    elif UrlProblem.HOST.value in problems:
        url = f"{said.scheme}:x"
    elif UrlProblem.PORT.value in problems:
        url = f"{said.scheme}://{_in_url(host)}:0"
    elif not host:
        url = f"{said.scheme}:x"
    else:
        url = f"{said.scheme}://{_in_url(host)}" + (f":{said.port}" if said.port is not None else "")
    if CONTROL in problems:
        url += "/\x00"
    return url if len(url) >= length else url + "/" + "x" * (length - len(url) - 1)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
