"""Durations, sizes, shares, rates and dates, as people write them. Every parser raises ValueError for the rest."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from fsproxy.core.settings import Window

DURATION = "a number with ms, s, m, h or d, such as 250ms, 30s, 5m, 24h, 30d"
SIZE = "bytes, or a number with B, KB, MB or GB (1 KB = 1024 bytes), such as 512KB or 8MB"
SHARE = "0% to 100%"
SPILL_OVER = "a share such as 10%"
RATE = "calls per second, minute or hour, such as 10/s, 30/min, 500/h"
DATE = "a date such as 2026-01-31"

_NUMBER = r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?)"
_DURATION = re.compile(_NUMBER + r"(?P<unit>ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(_NUMBER + r"(?P<unit>B|KB|MB|GB)?", re.ASCII)
_SHARE = re.compile(_NUMBER + r"%", re.ASCII)
_RATE = re.compile(r"(?P<number>[0-9]{1,9})/(?P<unit>s|min|h)", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES = {None: 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_WINDOWS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def _parts(form: re.Pattern[str], text: str) -> re.Match[str]:
    match = form.fullmatch(text)
    if match is None:
        raise ValueError
    return match


def duration(text: str) -> float:
    """Seconds: ``250ms`` is 0.25."""
    match = _parts(_DURATION, text)
    if match["unit"] == "ms":
        return float(match["number"]) / 1000
    return float(match["number"]) * _SECONDS[match["unit"]]


def size(text: str) -> int:
    """Bytes: ``512KB`` is 524,288."""
    match = _parts(_SIZE, text)
    count = float(match["number"]) * _BYTES[match["unit"]]
    if not count.is_integer():
        raise ValueError
    return int(count)


def share(text: str) -> float:
    """``25%`` is 0.25; from 0 to 1."""
    found = any_share(text)
    if found > 1:
        raise ValueError
    return found


def any_share(text: str) -> float:
    """As ``share``, without an upper end."""
    return float(_parts(_SHARE, text)["number"]) / 100


def rate(text: str) -> Window:
    """``30/min`` is at most 30 in any 60 seconds."""
    match = _parts(_RATE, text)
    return Window(int(match["number"]), _WINDOWS[match["unit"]])


def day(text: str) -> date:
    """``2026-01-31``, and no other of the forms that ISO 8601 has."""
    _parts(_DATE, text)
    return date.fromisoformat(text)


def day_as_unix(text: str) -> int:
    """The Unix time at which the day begins in UTC."""
    found = day(text)
    return int(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp())
