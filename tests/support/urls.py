"""A page's URL as the facts have it."""

from __future__ import annotations

from typing import Any

from fsproxy.core.matching.hosts import parse_url


def of_url(url: object) -> dict[str, Any]:
    """Return the fields of SessionFacts that follow from a page's URL."""
    return {"url": url, "parsed_url": parse_url(url) if isinstance(url, str) else None}
