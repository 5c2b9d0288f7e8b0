"""Audit lines for people who watch a terminal: one short coloured line for each request."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
from msgspec import field

from fsproxy.core.audit.record import Outcome

_COLOURS = {Outcome.BLOCKED: "36", Outcome.REJECTED: "33", Outcome.FAILED: "31"}
"""Blocking is the program's work, so it is no alarm. Red means failed, and nothing else."""
_FAINT = "2"


class _Line(msgspec.Struct):
    """What is shown of an audit line."""

    time: str = field(name="@timestamp", default="")
    route: str = field(name="event.action", default="")
    decision: str = field(name="fsproxy.decision", default="")
    org: str = field(name="organization.id", default="")
    domain: str = field(name="url.domain", default="")
    path: str = field(name="url.path", default="")
    reason: str = field(name="event.reason", default="")
    code: int | None = field(name="fsproxy.reason_code", default=None)
    rule: str = field(name="rule.id", default="")
    rejections: int = field(name="fsproxy.rejections_count", default=0)
    status: int | None = field(name="http.response.status_code", default=None)
    duration: int = field(name="event.duration", default=0)
    request_id: str = field(name="http.request.id", default="")


_decode = msgspec.json.Decoder(_Line).decode


def short_lines(lines: bytes) -> bytes:
    """Return as many lines as were given, in words and colours (without colours if NO_COLOR is set)."""
    coloured = not os.environ.get("NO_COLOR")
    return b"".join(_short(line, coloured=coloured).encode() + b"\n" for line in lines.splitlines())


def _short(line: bytes, *, coloured: bool) -> str:
    read = _decode(line)
    decision, rest = f"{read.decision:<9}", "  ".join(_rest(read))
    if not coloured:
        return f"{read.time[11:23]}  {decision}  {rest}"
    time = _coloured(read.time[11:23], _FAINT)
    colour = _COLOURS.get(Outcome(read.decision), "33" if read.rejections else "")
    return f"{time}  {_coloured(decision, colour) if colour else decision}  {rest}"


def _rest(line: _Line) -> Iterator[str]:
    """Yield the columns after the decision, without those that are unknown. Texts were made safe for a log before."""
    yield f"{line.route:<10}"
    if line.org:
        yield line.org
    yield line.domain or line.path
    if line.code is not None:
        yield f"{line.code} {line.reason} ({line.rule})"
    elif line.reason:
        yield line.reason
    if line.rejections:
        yield f"{line.rejections} rejected"
    yield f"{line.status or 'no answer'}"
    yield f"{line.duration / 1e6:.1f} ms"
    yield line.request_id


def _coloured(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"
