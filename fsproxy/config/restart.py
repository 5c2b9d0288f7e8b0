"""What of a configuration a running program cannot change: it takes a restart, and is never half-applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

from fsproxy.config.schema import Config

WHOLE = ("listen", "admin", "server", "state")
"""Sections of which no key changes while the program runs."""


def with_what_can_change(old: Config, new: Config) -> tuple[Config, tuple[str, ...]]:
    """``new`` with the present values of what needs a restart, and the key paths that differ there."""
    names: list[str] = []
    for section in WHOLE:
        names += _differing(section, getattr(old, section), getattr(new, section))
    if old.workers != new.workers:
        names.append("workers")
    if old.audit.to != new.audit.to:
        names.append("audit.to")
    kept = {section: getattr(old, section) for section in (*WHOLE, "workers")}
    return replace(new, **kept, audit=replace(new.audit, to=old.audit.to)), tuple(names)


def _differing(path: str, old: object, new: object) -> Iterator[str]:
    if old == new:
        return
    if type(old) is not type(new) or not is_dataclass(old):
        yield path
        return
    for each in fields(old):
        yield from _differing(f"{path}.{each.name}", getattr(old, each.name), getattr(new, each.name))
