"""What can be wrong with requests in general, in words."""

from __future__ import annotations

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Level

_LATER = Instant(0.0)
"""``Growing`` sets it."""

LOOP = Condition(
    "loop",
    Level.BAD,
    _LATER,
    "requests came back to this proxy: upstream.url or upstream.prefixes lead to it",
    "They are answered 508, or 502 on bundle routes. Most often the recorders' host name leads to fsproxy, and "
    "upstream.url has the same name: give it the backend's own.",
    counted="requests that came back",
)
OVERLOADED = Condition(
    "overloaded",
    Level.BAD,
    _LATER,
    "requests are refused: there are more connections than server.max_connections",
    "They are answered 503, or 502 on bundle routes, which recorders try again. Raise it and the limit of open files, "
    "or add workers.",
    counted="refused requests",
)
UPSTREAM_BUSY = Condition(
    "upstream_busy",
    Level.WARN,
    _LATER,
    "requests are refused: all connections to the upstream are in use",
    "The backend is slow, or upstream.max_connections is too low.",
    counted="refused requests",
)
OWN_FAULTS = Condition(
    "own_faults",
    Level.WARN,
    _LATER,
    "fsproxy has survived faults of its own",
    "The log has their tracebacks: please report them.",
    counted="faults",
)
