"""The ``traceparent`` header: which trace a request belongs to (W3C Trace Context). It is forwarded as it came."""

from __future__ import annotations

import re

Trace = tuple[str | None, str | None]
"""The ids of the trace and of the span that sent the request; None for both where they are not known."""
NO_TRACE: Trace = (None, None)

_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_of(value: bytes) -> Trace:
    """Return the ids; ``NO_TRACE`` where the value is not valid: it was made by the sender of the request.

    A version above 00 may have more at its end. Ids of zeros alone, version ff, capitals and several values are not
    valid.
    """
    found = _TRACEPARENT.fullmatch(value.strip(b" \t"))
    if found is None:
        return NO_TRACE
    version, trace, span, more = found.groups()
    return NO_TRACE if more is not None and version == b"00" else (trace.decode(), span.decode())
