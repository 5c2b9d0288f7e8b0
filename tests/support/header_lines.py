"""Headers for tests, from names and values."""

from __future__ import annotations

from collections.abc import Mapping

from fsproxy.core.wire.header_values import Headers, index


def lines(values: Mapping[bytes, bytes]) -> Headers:
    """Return the headers of a request with these lines."""
    return index(tuple(values.items()))
