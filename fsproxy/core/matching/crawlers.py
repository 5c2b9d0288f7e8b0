"""The User-Agents of known crawlers: a maintained list of others, and the names that the vendor blocks by itself."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

_LIST = "crawleruseragents"

BLOCKED_BY_THE_VENDOR = (
    "AdsBot-Google",
    "Baiduspider",
    "Bingbot",
    "Chrome-Lighthouse",
    "CSpeedTP",
    "DareBoost",
    "DatadogSynthetics",
    "DuckDuckBot",
    "Exabot",
    "facebookexternalhit",
    "facebot",
    "Google Web Preview",
    "Google-Ads-Conversions",
    "Google-Ads-Qualify",
    "Google-AdWords",
    "Googlebot",
    "HeadlessChrome",
    "ia_archiver",
    "moatbot",
    "Pingdom",
    "Pinterestbot",
    "Slurp",
    "Sogou",
    "YandexBot",
)
"""Names in the list of the vendor's article on blocking by address and User-Agent, in its two known versions.

A name that contains another of them (``AdsBot-Google-Mobile``, ``Google-AdWords-Express``) is not written again.
"""
OF_THEIR_KIND = (
    "AdIdxBot",
    "BingPreview",
    "Google Page Speed Insights",
    "Google-PageRenderer",
    "Google-Shopping-Quality",
    "Google-Site-Verification",
    "Mediapartners-Google",
    "msnbot",
    "PTST/",
)
"""Other agents of the same services, which check advertisements, measure pages or draw previews of them."""


class CrawlersMissingError(Exception):
    """``crawlers`` is true, but the list is not installed."""


def crawlers_problem() -> str | None:
    """Return what ``crawlers`` must be where the list is not installed, or None if it is."""
    if find_spec(_LIST) is None:
        return "false, as crawler-user-agents is not installed (pip install fsproxy[crawlers])"
    return None


def listed() -> list[str]:
    """Return the expressions of the maintained list. Raise CrawlersMissingError if it is not installed."""
    # The list is an optional package, and reads a file. So it is imported only where it is wanted, off the event loop.
    if crawlers_problem() is not None:
        raise CrawlersMissingError("crawler-user-agents is not installed")
    found: list[dict[str, Any]] = import_module(_LIST).CRAWLER_USER_AGENTS_DATA
    return [each["pattern"] for each in found]
