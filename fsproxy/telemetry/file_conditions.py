"""What can be wrong with the files that the program writes, in words."""

from __future__ import annotations

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Level

REPORTED_SECONDS = 24 * 3_600.0
"""What has happened to the state file once is reported for a day: quotas and names began anew with it."""


def state_not_written(path: str, reason: str, since: Instant) -> Condition:
    """Return that the state file cannot be written."""
    return Condition(
        id="state",
        level=Level.BAD,
        since=since,
        text=f"the state file {path} cannot be written: {reason}",
        more="A restart would forget what quotas and names have used since then. It is tried again all the time. Look "
        "at the disk's room and at the rights of the folder.",
        fields={"path": path, "kind": reason},
    )


def state_held(path: str, by: str, since: Instant) -> Condition:
    """Return that another process has the state file."""
    return Condition(
        id="state",
        level=Level.WARN,
        since=since,
        text=f"the state file {path} is kept by another process ({by})",
        more="Nothing is written until it ends: during a take-over that is usual. Two programs need two files.",
        fields={"path": path, "by": by},
    )


def state_incident(path: str, what: str, at: Instant) -> Condition:
    """Return what has happened to the state file once. It is over by itself after a day."""
    return Condition(
        id="state:incident",
        level=Level.WARN,
        since=at,
        text=f"the state file {path} {what}",
        more="This is shown for a day.",
        fields={"path": path},
    )


def state_readable(path: str, now: Instant) -> Condition:
    """Return that others may read the state file."""
    return Condition(
        id="state:mode",
        level=Level.WARN,
        since=now,
        text=f"others may read the state file {path}, and its mode cannot be changed",
        more="Have it owned by the user that fsproxy runs as.",
        fields={"path": path},
    )


def audit_lost(to: str, fault: str) -> Condition:
    """Return that audit lines are lost. ``fault``: why nothing can be written; "": it is too slow."""
    why = f"cannot be written: {fault}" if fault else "takes them too slowly"
    return Condition(
        id="audit",
        level=Level.BAD,
        since=Instant(0.0),
        text=f"audit lines are lost: {to} {why}",
        more="Requests go on. What the lost lines would tell is not known afterwards.",
        counted="lost lines",
        fields={"path": to, "kind": fault or "too slow"},
    )


def audit_not_reopened(to: str, fault: str, now: Instant) -> Condition:
    """Return that the audit file could not be opened anew."""
    return Condition(
        id="audit:reopen",
        level=Level.WARN,
        since=now,
        text=f"the audit file {to} cannot be opened anew: {fault}",
        more="Lines go on into the old file, which log rotation may have moved. It is tried again every second.",
        fields={"path": to, "kind": fault},
    )
