"""Domain patterns, and a table that finds the first of many that matches (rules.md 1, order 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import msgspec

from fsproxy.core.matching.hosts import Url, is_label, normalise_host, parse_port, split_labels, split_port

ANY_HOST = "**"
Shape = tuple[int, ...]
"""The places of the wildcards among a pattern's labels."""


class DomainPattern(msgspec.Struct, frozen=True, gc=False):
    """A host in the form in which hosts are compared, in which ``*`` stands for exactly one label; or ``**``: any."""

    host: str
    port: int | None
    """None: any."""
    wildcards: Shape

    @property
    def key(self) -> str:
        """Under which a table has it."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


def parse_pattern(text: str) -> DomainPattern | None:
    """Read ``host``, ``*.host``, an IP address, any of these with a port, or ``**``; None for anything else."""
    if text.strip() == ANY_HOST:
        return DomainPattern(ANY_HOST, None, ())
    split = _split(text.strip())
    if split is None:
        return None
    raw, port_text = split
    port = parse_port(port_text) if port_text else None
    if port_text and port is None:
        return None
    if "*" not in raw:
        host = normalise_host(raw)
        return DomainPattern(host, port, ()) if host is not None else None
    labels = split_labels(raw)
    if labels is None or not all(label == "*" or is_label(label) for label in labels):
        return None
    return DomainPattern(".".join(labels), port, tuple(i for i, label in enumerate(labels) if label == "*"))


def _split(text: str) -> tuple[str, str] | None:
    if not text.startswith("[") and text.count(":") > 1:
        return text, ""  # an IPv6 address without brackets has no port
    split = split_port(text)
    if split is None or (text.endswith(":") and not split[1]):
        return None
    return split


@dataclass(frozen=True, slots=True)
class DomainTable:
    """Finds the first pattern that matches a host, at a cost that does not depend on the number of patterns.

    The keys are the patterns' hosts, wildcards included, with ``:port`` where the pattern has one. A host is looked up
    as it is. Then, for each set of places that have wildcards in some pattern of as many labels, it is looked up with
    ``*`` in these places. ``a.b.example`` finds ``*.b.example`` if any pattern of three labels begins with ``*``.
    """

    first: Mapping[str, int]
    """Each pattern's index in the list."""
    shapes: Mapping[int, tuple[Shape, ...]]
    """By their number of labels, the shapes of the patterns with wildcards."""
    ports: bool
    """Some pattern has a port."""
    any_host: bool
    """Some pattern is ``**``."""

    @classmethod
    def of(cls, patterns: Iterable[DomainPattern | None]) -> Self:
        """Return the table of these patterns, in order. None takes an index, but matches nothing."""
        first: dict[str, int] = {}
        shapes: dict[int, dict[Shape, None]] = {}
        ports = False
        for index, pattern in enumerate(patterns):
            if pattern is None:
                continue
            ports = ports or pattern.port is not None
            first.setdefault(pattern.key, index)
            if pattern.wildcards:
                shapes.setdefault(pattern.host.count(".") + 1, {})[pattern.wildcards] = None
        return cls(first, {count: tuple(found) for count, found in shapes.items()}, ports, ANY_HOST in first)

    def find(self, url: Url) -> int | None:
        """Return the index of the first pattern that matches the URL's host and port."""
        first = self.first
        best = first.get(url.host)
        if self.shapes or self.ports or self.any_host:
            for key in self.other_keys(url):
                index = first.get(key)
                if index is not None and (best is None or index < best):
                    best = index
        return best

    def other_keys(self, url: Url) -> tuple[str, ...]:
        """Return the keys under which patterns that match may be, but for the host itself."""
        host = url.host
        shapes = self.shapes.get(host.count(".") + 1) if self.shapes else None
        keys: tuple[str, ...] = ()
        # An IPv6 address has no labels, so no wildcard matches a part of it.
        if shapes is not None and ":" not in host:
            labels = host.split(".")
            keys = tuple(
                [".".join(["*" if place in shape else label for place, label in enumerate(labels)]) for shape in shapes]
            )
        if self.ports:
            port = url.effective_port
            keys = (*keys, f"{host}:{port}", *[f"{key}:{port}" for key in keys])
        return (*keys, ANY_HOST) if self.any_host and host else keys
