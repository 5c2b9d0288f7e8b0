"""What can be wrong with the machine that the program runs on, in words."""

from __future__ import annotations

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Level


def limit_too_low(limit: int, needed: int, fitting: int, now: Instant) -> Condition:
    """Return that fewer connections are taken than configured."""
    return Condition(
        id="descriptors:limit",
        level=Level.WARN,
        since=now,
        text=f"the limit of descriptors (open files) is too low for server.max_connections: {fitting} are taken",
        more=f"It is {limit}, and {needed} are needed: LimitNOFILE in systemd, --ulimit nofile in docker.",
        fields={"limit": limit, "needed": needed, "max_connections": fitting},
    )


def nearly_used_up(limit: int, now: Instant) -> Condition:
    """Return that there are next to no free descriptors."""
    return Condition(
        id="descriptors",
        level=Level.BAD,
        since=now,
        text=f"descriptors (open files) are nearly used up: the limit is {limit}",
        more="Without one, no connection is accepted or opened, and no file. Raise the limit (LimitNOFILE in systemd), "
        "or lower server.max_connections and upstream.max_connections.",
        fields={"limit": limit},
    )
