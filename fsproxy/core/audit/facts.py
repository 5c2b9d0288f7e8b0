"""The facts in a page's audit line, by which ``replay`` can decide it again (rules.md 6).

They hold no URL beyond its host, no cookie's value and no uid: only which configured rules matched cookies and users.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from fsproxy.core.audit.privacy import MaskAddress, safe, truncated
from fsproxy.core.filters.base import Filter
from fsproxy.core.matching.cookies import has_cookies
from fsproxy.core.matching.hosts import DEFAULT_PORTS, Url, origin_host
from fsproxy.core.model import FilterName, Instant, SessionFacts
from fsproxy.core.pipeline import Decision
from fsproxy.core.policy import OrgPolicy

MISSING = "missing"
NOT_STRING = "not_string"
CONTROL = "control"
"""Problems of a URL that parsing does not find; the others are those of ``UrlProblem``."""
TRUNCATED = "truncated"
HIDDEN = "hidden"
"""How an address is written that is not whole. A hash and no address are equally useless to a rule."""
NEW = "new"
UNDER_WAY = "under_way"
ADMITTED = "admitted"
"""The ledger's answer on a session: new; under way; or new, of a visitor whom ramping admitted before."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_LARGEST = 2**53
_NONE: tuple[str, ...] = ()
_Script = tuple[int | float | None, str | None, str | None]
"""The build time and the two versions of a script, as a line has them."""
_MOST_SCRIPTS = 1024
_scripts: dict[tuple[type, Any, Any, Any], _Script] = {}
"""The scripts of the last pages, which are written as they came: there are few of them, and all are short."""

_origin_host = lru_cache(maxsize=1024)(origin_host)


class AuditFacts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The facts of one page. What the recorder did not send is left out."""

    session: str | None = None
    """``NEW``, ``UNDER_WAY`` or ``ADMITTED``; None if the ledger was not asked or did not answer."""
    scheme: str = ""
    port: int | None = None
    """The port in the URL."""
    url_problems: tuple[str, ...] = ()
    origin: str | None = None
    """The ``Origin`` header's host."""
    compiled: int | float | None = None
    """The script's build time in Unix seconds; None if it is no number."""
    version: str | None = None
    snippet: str | None = None
    gpc: bool = False
    dnt: bool = False
    cookies: bool = False
    """The request had cookies."""
    opt_out: tuple[str, ...] = ()
    """The configured opt-out cookies (``name`` or ``name=value``) that the request had."""
    no_opt_out: tuple[str, ...] = ()
    """Those that it did not have; empty if it had no cookies at all."""
    identified: bool = False
    """The page has a uid."""
    lists: tuple[str, ...] = ()
    """The active filters by lists of users; only for identified and for unnamed visitors."""
    listed: tuple[str, ...] = ()
    """The rules of these filters that list the visitor."""
    located: bool = False
    """The location was looked up, so if the line has no country, it is unknown."""
    address: str | None = None
    """``TRUNCATED`` or ``HIDDEN``; None if the line holds the whole address, or there is none."""
    unnamed: bool = False
    """The visitor opted out or is being deleted, so neither address, user nor session is written."""
    admitted_by: str = ""
    """The domain rule whose share excludes the visitor, who passes as one whom it admitted before."""


def page_facts(
    facts: SessionFacts,
    decision: Decision,
    policy: OrgPolicy,
    mask: MaskAddress,
    now: Instant,
    *,
    unnamed: bool,
) -> AuditFacts:
    """Return the facts of a page."""
    came = missed = lists = listed = _NONE
    cookies, app_id = facts.cookies, facts.app_id
    any_cookie = cookies != "" and has_cookies(cookies) is not None
    if any_cookie and policy.opt_out is not None:
        came, missed = policy.opt_out.found(cookies), policy.opt_out.texts
        if came:
            missed = tuple([text for text in missed if text not in came])
    if policy.user_lists and (app_id or unnamed):
        lists, listed = _users(facts, policy.user_lists, now, unnamed=unnamed)
    text: Any = facts.url
    url, problems = facts.parsed_url, _NONE
    if url is None or url.problem is not None or not (text.isascii() and text.isprintable()):
        problems = _problems(text, url)
    scheme, port = (url.scheme, url.port) if url is not None else ("", None)
    built = facts.compiled_timestamp
    try:
        compiled, version, snippet = _scripts[type(built), built, facts.compiled_version, facts.snippet_version]
    except (KeyError, TypeError):  # TypeError: an object or a list cannot be looked up
        compiled, version, snippet = _script(built, facts.compiled_version, facts.snippet_version)
    return AuditFacts(  # by position, which takes a third of the time
        _session(decision) if decision.token or decision.new_session else None,
        scheme if scheme in DEFAULT_PORTS else safe(scheme),
        port,
        problems,
        _origin_host(facts.origin),
        compiled,
        version,
        snippet,
        facts.gpc,
        facts.dnt,
        any_cookie,
        came,
        missed,
        app_id != "",
        lists,
        listed,
        policy.geo_source is not None,
        TRUNCATED if mask is truncated else None if mask is str else HIDDEN,
        unnamed,
        next((safe(hit.rule.id, 256) for hit in decision.admitted if hit.filter is FilterName.DOMAIN), "")
        if decision.admitted
        else "",
    )


def _problems(text: object, url: Url | None) -> tuple[str, ...]:
    if text is None or text == "":
        return (MISSING,)
    if url is None or not isinstance(text, str):
        return (NOT_STRING,)
    problems: tuple[str, ...] = (CONTROL,) if _CONTROL.search(text) is not None else ()
    return problems if url.problem is None else (*problems, url.problem.value)


def _number(value: object) -> int | float | None:
    if type(value) is int and -_LARGEST <= value <= _LARGEST:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    # No script was built after that, and every reader of JSON can represent these numbers exactly.
    return max(-_LARGEST, min(value, _LARGEST))


def _script(built: Any, version: Any, snippet: Any) -> _Script:
    """Return what a line says of a script, and remember it if that is what came: then it is also short."""
    script = _number(built), _text(version), _text(snippet)
    if script == (built, version, snippet) and type(built) is not float:  # 0.0 == -0.0
        if len(_scripts) >= _MOST_SCRIPTS:
            _scripts.clear()
        _scripts[type(built), built, version, snippet] = script
    return script


def _text(value: object) -> str | None:
    return safe(value) if isinstance(value, str) else None


def _users(
    facts: SessionFacts, filters: Sequence[Filter], now: Instant, *, unnamed: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lists: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    for each in filters:
        if each.name is FilterName.BLOCKED_USER and unnamed:
            continue  # its rule's id is made of the uid, and this visitor must not be identified
        try:
            hit = each.judge(facts, now)
        except Exception:  # noqa: BLE001, S112 - the pipeline has counted this failure already
            continue
        lists += (each.name.value,)
        if hit is not None:
            listed += (safe(hit.rule.id, 256),)
    return lists, listed


def _session(decision: Decision) -> str | None:
    if decision.new_session:
        if not decision.admitted:
            return NEW
        return ADMITTED if any(hit.filter is FilterName.RAMPING for hit in decision.admitted) else NEW
    return UNDER_WAY if decision.token and decision.block is None else None


def wants_no_name(policy: OrgPolicy, facts: SessionFacts, now: Instant) -> bool:
    """Return whether the visitor opted out or is being deleted, whatever rule blocked first (rules.md 6).

    A filter that fails counts as yes.
    """
    try:
        for each in policy.unnaming:  # noqa: SIM110 - called for every bundle; a generator would cost more than these
            if each.judge(facts, now) is not None:
                return True
        return False  # noqa: TRY300 - the loop is what may fail
    except Exception:  # noqa: BLE001 - a failing filter must neither cost the audit line nor identify anybody
        return True
