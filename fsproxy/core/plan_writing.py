"""Writes a plan of names from the names that a ledger has kept (rules.md 9)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from fsproxy.core.limits.cardinality import event_of
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import Instant
from fsproxy.core.name_digest import DIGEST_BEGIN, LONGEST_NAME, name_digest
from fsproxy.core.settings import CoreSettings
from fsproxy.core.wording import counted

NameRow = tuple[str, NameKind, str, Instant]
"""Org, kind, name as the ledger keeps it, which may be its digest, and when it was last seen."""

_MOST_ORGS = 20
"""Orgs that a plan names as those that it was learned from."""
_PLAIN_ORG = re.compile(r"[A-Za-z0-9_.:~-]{1,64}", re.ASCII)
_DIGEST = re.compile(rf"{DIGEST_BEGIN}[0-9a-f]{{32}}")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?: [A-Za-z0-9_-]+)*", re.ASCII)
"""What needs no quotes as a key of YAML."""
_UNSAFE = frozenset('"\\[]{},')
"""Characters that a quoted text cannot hold, and those that the reader of configurations counts."""
_NOT_IN_PLANS = frozenset({NameKind.PAGE_PROPERTY, NameKind.PAGE_NAME})
_Types = dict[str, list[str]]
"""Path -> the types with which it was seen, in order."""


def learned_plan(rows: Iterable[NameRow], core: CoreSettings, time: Instant) -> str:
    """Return the YAML of a plan that has all of these names; "" if none is left of them.

    A name counts as forgotten that was not seen within its org's retention. Names that no text can hold get their
    digests.
    """

    def since(org: str) -> float:
        return time - core.orgs.get(org, core.default).client_api.cardinality.retention

    orgs: set[str] = set()
    seen: dict[tuple[NameKind, str], Instant] = {}
    for org, kind, name, at in rows:
        if at > since(org) and kind not in _NOT_IN_PLANS:
            orgs.add(org)
            seen[kind, name] = max(at, seen.get((kind, name), at))
    return "".join(f"{line}\n" for line in (*_about(orgs, time), *_written(seen))) if seen else ""


def _about(orgs: set[str], time: Instant) -> Iterator[str]:
    # Clients choose the ids of orgs, and even brackets in a comment count as nesting when the file is read.
    shown = sorted(filter(_PLAIN_ORG.fullmatch, orgs))[:_MOST_ORGS]
    others = [counted(len(orgs) - len(shown), "other org")] if len(orgs) > len(shown) else []
    yield f"# A plan of names, learned on {_day(time)} from {', '.join(shown + others)}."
    yield "# It has all that was sent and counted, mistakes too. Take out what should not be sent, and give each event"
    yield "# what it must have: required: [NAME, ...]."


def _written(seen: Mapping[tuple[NameKind, str], Instant]) -> Iterator[str]:
    events: dict[str, tuple[_Types, Instant | None]] = {}
    user: _Types = {}
    digests: set[str] = set()
    for (kind, name), at in seen.items():
        if _DIGEST.fullmatch(name) or not _is_text(name):
            digests.add((name if _DIGEST.fullmatch(name) else name_digest(name)).removeprefix(DIGEST_BEGIN))
        elif kind is NameKind.EVENT_NAME:
            events[name] = (events[name][0] if name in events else {}, at)
        elif kind is NameKind.USER_PROPERTY:
            _add(user, name)
        else:
            _add(events.setdefault(event_of(name), ({}, None))[0], name.rpartition("/")[2])
    yield from _lines(events, user, digests)


def _lines(
    events: Mapping[str, tuple[_Types, Instant | None]], user: _Types, digests: Collection[str]
) -> Iterator[str]:
    yield "version: 1"
    yield "events:" if events else "events: {}"
    for name, (properties, at) in sorted(events.items()):
        last = f"  # last seen {_day(at)}" if at is not None else ""
        yield f"  {_key(name)}:{'' if properties else ' {}'}{last}"
        if properties:
            yield "    properties:"
            yield from _properties("      ", properties)
    yield "user_properties:" if user else "user_properties: {}"
    yield from _properties("  ", user)
    if digests:
        yield f"# Only digests are kept of names of more than {LONGEST_NAME} characters. Write the names that"
        yield "# you know above, and take these out."
        yield "digests:"
        yield from (f'  - "{each}"' for each in sorted(digests))


def _properties(indent: str, types: _Types) -> Iterator[str]:
    for path, several in sorted(types.items()):
        declared = several[0] if len(several) == 1 else f"[{', '.join(sorted(several))}]"
        yield f"{indent}{path}: {declared}"


def _day(time: Instant) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"


def _add(types: _Types, canonical: str) -> None:
    path, _, declared = canonical.rpartition("_")
    types.setdefault(path, []).append(declared)


def _is_text(name: str) -> bool:
    return all(not "\ud800" <= each <= "\udfff" for each in name)


def _key(name: str) -> str:
    """Return a name as a key of YAML, which may hold any character."""
    if _PLAIN.fullmatch(name):
        return name
    escaped = [each if each.isprintable() and each not in _UNSAFE else f"\\U{ord(each):08x}" for each in name]
    return f'"{"".join(escaped)}"'
