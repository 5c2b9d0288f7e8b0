"""Reads what there is of a request's head that is too large, so that its answer and audit line fit its route."""

from __future__ import annotations

import re

from fsproxy.core.wire.header_values import Headers, index

MOST_LINES = 1024
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) (/[^ ]*|https?://[^ ]+)(?: HTTP/1\.[01])?", re.IGNORECASE)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")


def read_cut_head(data: bytes) -> tuple[str, str, Headers] | None:
    """Return the method, the target and the complete headers; None where there is no request line. Never raise.

    A target that is too long itself is returned as far as it came.
    """
    first, *lines = data.lstrip(b"\r\n").split(b"\r\n", MOST_LINES)
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        return None
    # The last part is an incomplete line, or all lines beyond MOST_LINES.
    fields = [(field[1], field[2]) for field in map(_FIELD.fullmatch, lines[:-1]) if field is not None]
    return line[1].decode("ascii"), line[2].decode("utf-8", "surrogateescape"), index(tuple(fields))
