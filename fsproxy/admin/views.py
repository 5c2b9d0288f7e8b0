"""The admin API's answers from what one process remembers and is configured with. Nothing here does I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from fsproxy.admin.answers import Ends, Minute, RejectionGroup, Rejections, ShadowReport, ShadowRule
from fsproxy.config.schema import Config
from fsproxy.core.plan import Plan
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import OrgSettings
from fsproxy.telemetry.ring import Groups, Recent, RejectionKey
from fsproxy.telemetry.traffic import REJECTED_IN_PART, UPSTREAM_FAILED, Counted

HIDDEN = "(hidden)"
MOST_ENTRIES = 100
"""Entries of one list of the configuration that are shown."""
MOST_CONFIGURED_ORGS = 100
_PERSONAL = frozenset({"deleting_user", "blocked_user"})
"""The lists of these filters are ids of people."""
_LEFT_OUT = frozenset({"places", "hashes", "core"})
_SECRET = frozenset({"salt"})
"""Hidden beside the fields that the schema keeps out of its own representation."""
_ADDRESS = frozenset({"url"})
REASONS = {str(int(code)): code.text for code in ReasonCode}


# -- counts


def rejections(recent: Recent, now: float) -> Rejections:
    """Return what was rejected within 24 hours, by org, code, call and property."""
    return {
        "groups": list(_rejections(recent.rejections, now)),
        "shadow": list(_rejections(recent.shadow_rejections, now)),
        "evicted": recent.rejections.evicted + recent.shadow_rejections.evicted,
        "unlisted": recent.unlisted_rejections,
    }


def _rejections(groups: Groups[RejectionKey], now: float) -> Iterator[RejectionGroup]:
    for (org, code, call, prop), group in groups.last_day(now):
        yield {
            "org": org,
            "code": code,
            "call": call,
            "property": prop,
            "count": group.count,
            "first": group.first,
            "last": group.last,
        }


def shadow(recent: Recent, now: float) -> ShadowReport:
    """Return what each shadow rule would have blocked within 24 hours."""
    rules: dict[tuple[str, int, str], ShadowRule] = {}
    for (rule, code, name, is_page), group in recent.shadow.last_day(now):
        known = rules.get((rule, code, name))
        if known is None:
            known = rules[rule, code, name] = {
                "rule": rule,
                "filter": name,
                "reason_code": code,
                "reason": ReasonCode(code).text,
                "pages": 0,
                "count": 0,
                "first": group.first,
                "last": group.last,
            }
        known["count"] += group.count
        known["pages"] += group.count if is_page else 0
        known["first"], known["last"] = min(known["first"], group.first), max(known["last"], group.last)
    most_pages_first = sorted(rules.values(), key=lambda each: (-each["pages"], -each["count"]))
    return {"rules": most_pages_first, "evicted": recent.shadow.evicted}


_BESIDE = frozenset({UPSTREAM_FAILED, REJECTED_IN_PART})


def traffic(minutes: Iterable[tuple[int, list[Counted]]], step: int = 1) -> list[Minute]:
    """Return how requests ended: pages alone, and all that carries captured data.

    ``minutes``: as ``Traffic`` counts them. So many of them are summed, from a multiple of ``step`` minutes on.
    """
    found: list[Minute] = []
    for begin, counts in minutes:
        at = begin - begin % (60 * step)
        if not found or found[-1]["minute"] != at:
            beside = {"upstream_failed": 0, "rejected_in_part": 0}
            found.append({"minute": at, "pages": _no_ends(), "requests": _no_ends(), **beside})  # type: ignore[typeddict-item]
        last = found[-1]
        for is_page, end, count in counts:
            if end in _BESIDE:
                last[end] += count  # type: ignore[literal-required]
                continue
            for ends in (last["pages"], last["requests"]) if is_page else (last["requests"],):
                if isinstance(end, ReasonCode):
                    code = str(int(end))
                    ends["blocked"][code] = ends["blocked"].get(code, 0) + count
                else:
                    ends[end] += count  # type: ignore[literal-required]
    return found


def _no_ends() -> Ends:
    return {"captured": 0, "forwarded": 0, "rejected": 0, "failed": 0, "blocked": {}}


# -- configuration


def effective(config: Config) -> dict[str, Any]:
    """Return the configuration in force without secrets and ids of people, and with long lists cut.

    A listed org has only the settings that differ from the defaults.
    """
    core = config.core
    plain: dict[str, Any] = _plain(config)
    plain["orgs"] = {
        "unlisted": core.unlisted.value,
        "mode": core.orgs_mode.value,
        "mobile_agents": _plain(core.mobile_agents),
        "count": len(core.orgs),
        "listed": {name: _own(org, core.default) for name, org in list(core.orgs.items())[:MOST_CONFIGURED_ORGS]},
    }
    plain["filters"] = _plain(core.default.filters)
    plain["client_api"] = _plain(core.default.client_api)
    plain["redact"] = _plain(core.redact)
    plain["plan"] = _plain(core.default.plan)
    return plain


def _own(org: OrgSettings, default: OrgSettings) -> dict[str, Any]:
    own: dict[str, Any] = {"enabled": org.enabled, "mobile": org.mobile}
    for part in ("filters", "client_api", "plan"):
        given, usual = getattr(org, part), getattr(default, part)
        if given is not usual:
            names = [each.name for each in dataclasses.fields(given) if each.name not in _LEFT_OUT]
            # Identity first, which is fast: a setting that an org does not change is the same object.
            changed = [n for n in names if (a := getattr(given, n)) is not (b := getattr(usual, n)) and a != b]
            own[part] = {name: _field(name, getattr(given, name)) for name in changed}
    return own


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Plan):
        return str(value)
    if dataclasses.is_dataclass(value):
        kept = [each for each in dataclasses.fields(value) if each.name not in _LEFT_OUT]
        return {each.name: _field(each.name, getattr(value, each.name), secret=not each.repr) for each in kept}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in list(value.items())[:MOST_ENTRIES]}
    if isinstance(value, frozenset):
        return _listed(sorted(value, key=str))
    if isinstance(value, tuple):
        return _listed(value)
    return str(value)


def _field(name: str, value: Any, *, secret: bool = False) -> Any:
    if name in _ADDRESS and isinstance(value, str):
        return _address(value)
    if value and (secret or name in _SECRET):
        return HIDDEN
    if name == "prefixes":
        return [[prefix, _address(url)] for prefix, url in value]
    if name in _PERSONAL:
        return {**_plain(dataclasses.replace(value, block=())), "block": f"{len(value.block)} (hidden)"}
    return _plain(value)


def _listed(values: Iterable[Any]) -> list[Any]:
    every = list(values)
    shown = [_plain(each) for each in every[:MOST_ENTRIES]]
    if len(every) > MOST_ENTRIES:
        shown.append(f"and {len(every) - MOST_ENTRIES} more")
    return shown


def _address(url: str) -> str:
    """Return a URL without the user, the password and the query that it may contain."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # The URL of a store that is not in use: nothing has parsed it yet.
        return HIDDEN
    _, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{HIDDEN + at if at else ''}{host}{parts.path}{f'?{HIDDEN}' if parts.query else ''}"
