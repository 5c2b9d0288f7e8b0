"""The upstream, asked as fsproxy would ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from uuid import uuid4

import aiohttp

from fsproxy.cli.doctor.findings import Finding, fault, ok, unknown, warning
from fsproxy.clock import now
from fsproxy.config.schema import Config, UpstreamConfig
from fsproxy.http.upstream.hosts import address_for

CLOCK_WARNING, CLOCK_FAULT = 5.0, 120.0
"""Seconds. Dated rules and certificates go by this machine's clock; the header ``Date`` is exact to one second."""
_ANSWER = frozenset({"UserUUID", "SessionUUID", "PageUUID"})


def settings_path(org: str | None) -> str:
    """Return where recorders get their settings; without an org those of one that there is not."""
    return f"/s/settings/{org or 'none'}/v1/web"


async def settings(http: aiohttp.ClientSession, config: UpstreamConfig, org: str | None) -> AsyncIterator[Finding]:
    """Ask for an org's settings, as a recorder does first."""
    path = settings_path(org)
    check = "upstream.settings"
    try:
        async with http.get(address_for(config, path), allow_redirects=False) as response:
            await response.read()
            status, date = response.status, response.headers.get("Date")
    except aiohttp.ClientError as error:
        yield _failed(check, error)
        return
    yield _clock(date)
    if status >= 500:
        yield fault(check, f"GET {path} was answered {status}", "The backend itself fails: ask those who run it.")
    elif status == 200:
        yield ok(check, f"GET {path} was answered 200")
    elif org is None:
        yield unknown(check, f"it answers ({status}), but about an org that there is not", "Name yours with --org.")
    else:
        yield fault(
            check,
            f"GET {path} was answered {status}",
            f"Is {org} the id of an org there? Settings come from upstream.url unless upstream.prefixes has /s/.",
        )


async def page(http: aiohttp.ClientSession, config: Config, org: str, origin: str) -> AsyncIterator[Finding]:
    """Send a page request past fsproxy. The backend begins a session for it."""
    check, path = "upstream.page", config.routes.page[0]
    body = {
        "OrgId": org,
        "UserId": "",
        "SessionId": str(uuid4()),
        "PageId": str(uuid4()),
        "Url": f"{origin}/fsproxy-doctor",
        "Base": f"{origin}/fsproxy-doctor",
        "Width": 1280,
        "Height": 720,
        "ScreenWidth": 1280,
        "ScreenHeight": 720,
        "Referrer": "",
        "Preroll": 0,
        "Doctype": "<!DOCTYPE html>",
        "CompiledTimestamp": int(now()),
        "TabId": str(uuid4()),
    }
    headers = {"Origin": origin, "Referer": f"{origin}/"}
    async with http.post(address_for(config.upstream, path), json=body, headers=headers) as response:
        status = response.status
        try:
            answer = await response.json(content_type=None)
        except ValueError:
            answer = None
    if status == 200 and isinstance(answer, dict) and answer.keys() >= _ANSWER:
        yield ok(check, f"a page of {origin} is captured")
    elif status == 202 and isinstance(answer, dict):
        text = f"the backend itself blocks a page of {origin}: reason_code {answer.get('reason_code')!r:.12}"
        yield warning(check, text, "Its own settings say so (docs: reason codes); fsproxy cannot undo it.")
    elif status == 200:
        yield fault(check, "a page was answered 200, but not as a capture backend answers", "Look at upstream.url.")
    else:
        yield fault(check, f"a page was answered {status}", "Recorders capture nothing then. Look at upstream.url.")


def _clock(date: str | None) -> Finding:
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return unknown("clock", "the upstream does not say what time it is there")
    apart = now() - theirs
    if abs(apart) <= CLOCK_WARNING:
        return ok("clock", "this machine's clock agrees with the upstream's")
    text = f"this machine's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} the upstream's"
    advice = "Keep time with NTP: certificates, dated rules and the quota's cycle go by the clock."
    return (fault if abs(apart) > CLOCK_FAULT else warning)("clock", text, advice)


def _failed(check: str, error: aiohttp.ClientError) -> Finding:
    return fault(check, f"no answer: {type(error).__name__}", "Does it speak HTTP/1.1 at this address?")
