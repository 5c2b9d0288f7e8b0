"""Durations, sizes, shares and dates, as people write them. Every parser raises ValueError for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TypeVar

from fsproxy.core.keys import Leaf

N = TypeVar("N", int, float)

_NUMBER = r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?)"
_DURATION = re.compile(_NUMBER + r"(?P<unit>ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(_NUMBER + r"(?P<unit>B|KB|MB|GB)?", re.ASCII)
_SHARE = re.compile(_NUMBER + r"%", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES = {None: 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


def parts(form: re.Pattern[str], text: str) -> re.Match[str]:
    """Return the match of the whole text. Raises ValueError when there is none."""
    match = form.fullmatch(text)
    if match is None:
        raise ValueError
    return match


def duration(text: str) -> float:
    """Return seconds: ``250ms`` is 0.25."""
    match = parts(_DURATION, text)
    if match["unit"] == "ms":
        return float(match["number"]) / 1000
    return float(match["number"]) * _SECONDS[match["unit"]]


def size(text: str) -> int:
    """Return bytes: ``512KB`` is 524,288."""
    match = parts(_SIZE, text)
    count = float(match["number"]) * _BYTES[match["unit"]]
    if not count.is_integer():
        raise ValueError
    return int(count)


def share(text: str) -> float:
    """Return a number from 0 to 1: ``25%`` is 0.25."""
    found = any_share(text)
    if found > 1:
        raise ValueError
    return found


def any_share(text: str) -> float:
    """Return a share that may be more than 1."""
    return float(parts(_SHARE, text)["number"]) / 100


def day(text: str) -> date:
    """Return the date of ``2026-01-31``. No other form of ISO 8601 is allowed."""
    parts(_DATE, text)
    return date.fromisoformat(text)


def day_as_unix(text: str) -> int:
    """Return the Unix time at which the day begins in UTC."""
    found = day(text)
    return int(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp())


def _above_zero(read: Callable[[str], N]) -> Callable[[str], N]:
    def checked(text: str) -> N:
        found = read(text)
        if found <= 0:
            raise ValueError
        return found

    return checked


_DURATIONS = "a number with ms, s, m, h or d, such as 250ms, 30s, 5m, 24h, 30d"
_DURATION_SCHEMA = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"}
_SHARE_SCHEMA = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$"}
_SIZE_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(B|KB|MB|GB)?$"}]
}
_DATES = "a date such as 2026-01-31"
_DATE_SCHEMA = {"type": "string", "format": "date"}

DURATION = Leaf("a duration above zero", _DURATIONS, _above_zero(duration), _DURATION_SCHEMA)
DURATION_OR_ZERO = Leaf("a duration", _DURATIONS, duration, _DURATION_SCHEMA)
SIZE = Leaf(
    "a size above zero",
    "bytes, or a number with B, KB, MB or GB (1 KB = 1024 bytes), such as 512KB or 8MB",
    _above_zero(size),
    _SIZE_SCHEMA,
)
SHARE = Leaf("a share", "0% to 100%", share, _SHARE_SCHEMA)
ANY_SHARE = Leaf("a share", "a share such as 10%", any_share, _SHARE_SCHEMA)
DAY = Leaf("a date", _DATES, day, _DATE_SCHEMA)
DAY_AS_UNIX = Leaf("a date", _DATES, day_as_unix, _DATE_SCHEMA)
