"""The part of a configuration that a running program cannot change: it needs a restart, and is never half-applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

from fsproxy.config.schema import Config

_FIXED = ("listen", "admin", "server", "state", "workers")
"""Keys of the top level that cannot change while the program runs, apart from ``state.on_error``."""


def with_what_can_change(old: Config, new: Config) -> tuple[Config, tuple[str, ...]]:
    """Return ``new`` with the present values of what needs a restart, and the key paths that differ there."""
    kept = {name: getattr(old, name) for name in _FIXED}
    kept["state"] = replace(old.state, on_error=new.state.on_error)
    kept["audit"] = replace(new.audit, to=old.audit.to)
    names = [path for name, value in kept.items() for path in _differing(name, value, getattr(new, name))]
    return replace(new, **kept), tuple(names)


def _differing(path: str, old: object, new: object) -> Iterator[str]:
    if old == new:
        return
    if type(old) is not type(new) or not is_dataclass(old):
        yield path
        return
    for each in fields(old):
        yield from _differing(f"{path}.{each.name}", getattr(old, each.name), getattr(new, each.name))
