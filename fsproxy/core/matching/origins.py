"""Patterns of ``Origin`` headers, and a table that says whether any of many matches (rules.md 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from fsproxy.core.matching.domains import DomainPattern, DomainTable, parse_pattern
from fsproxy.core.matching.hosts import DEFAULT_PORTS, parse_origin

WITHOUT_HOST = frozenset({"null", "file://"})
"""Origins that name no site: of sandboxed frames, local files and the web views of some apps."""
_NEVER = DEFAULT_PORTS.keys() - {"http", "https"}
"""Schemes that browsers know and that no page has as its origin."""
# The length is that of the schemes whose origins are echoed in an answer.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://")
_ALLOWED = (
    "a host (*.example.com, * for one whole label, perhaps a port), which means any scheme; a scheme and a host "
    "(https://example.com, capacitor://localhost), without a path; null; file://"
)


def problem(text: str) -> str | None:
    """Return what a pattern of origins must be, or None if this is one that some origin can match."""
    return None if text.strip().lower() in WITHOUT_HOST or _parse(text) is not None else _ALLOWED


def _parse(text: str) -> tuple[str, DomainPattern] | None:
    """Read a pattern that has a host: its scheme, "" for any, and the pattern of the host."""
    text = text.strip()
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    pattern = parse_pattern(text[found.end() :] if found else text)
    return None if pattern is None or scheme in _NEVER or scheme == "file" else (scheme, pattern)


@dataclass(frozen=True, slots=True)
class OriginTable:
    """Says whether an origin is one of the listed."""

    without_host: frozenset[str]
    by_scheme: Mapping[str, DomainTable]
    """"" has the hosts of any scheme."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Return the table of patterns that have no ``problem``."""
        names: set[str] = set()
        patterns: dict[str, list[DomainPattern]] = {}
        for text in texts:
            if (name := text.strip().lower()) in WITHOUT_HOST:
                names.add(name)
            elif (parsed := _parse(text)) is not None:
                patterns.setdefault(parsed[0], []).append(parsed[1])
        return cls(frozenset(names), {scheme: DomainTable.of(found) for scheme, found in patterns.items()})

    def allows(self, origin: str) -> bool:
        """Return whether a pattern matches the ``Origin`` as a browser wrote it."""
        if origin in WITHOUT_HOST:
            return origin in self.without_host
        url = parse_origin(origin)
        if url is None:
            return False
        tables = (self.by_scheme.get(""), self.by_scheme.get(url.scheme))
        return any(table is not None and table.find(url) is not None for table in tables)
