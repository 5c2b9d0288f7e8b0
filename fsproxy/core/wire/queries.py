"""The parameters of a raw query that we read, and whether every reader finds the same in them (rules.md 4)."""

from __future__ import annotations

from urllib.parse import unquote, unquote_plus

_JUDGED = ("OrgId", "UserId", "SessionId", "PageId", "ContentEncoding", "ClientTime", "PageStart")
_READ = frozenset((*_JUDGED, "Seq", "DeltaT", "SkipResponseBody"))
_ORDINARY = frozenset(("PrevBundleTime", "LastActivity", "IsNewSession", "CompiledVersion"))
"""What recorders send besides. Only for speed: any other name is looked at more closely."""
_IN_SMALL_LETTERS = {name.lower(): name for name in _JUDGED}


def read_query(raw: str) -> tuple[dict[str, str], bool]:
    """Return the decoded values of the names that are read, and whether those that we judge by contradict each other.

    They do where a name has two values, has another one in another case, or where the semicolons that some readers
    split at make a difference. Of two values of any other name the first counts. Never raises.
    """
    found, contradictory = _read(raw)
    if ";" in raw:
        split, also = _read(raw.replace(";", "&"))
        contradictory = contradictory or also or any(found.get(each, "") != split.get(each, "") for each in _JUDGED)
    for name, value in found.items():
        if "%" in value or "+" in value:
            found[name] = unquote_plus(value)
    return found, contradictory


def _read(raw: str) -> tuple[dict[str, str], bool]:
    """The first raw value of each name, and whether one that is judged by has another beside it."""
    found: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for pair in raw.split("&"):
        name, _, value = pair.partition("=")
        if name not in _READ:
            if name in _ORDINARY:
                continue
            if "%" in name or "+" in name:
                name = unquote_plus(name)
            if name not in _READ:
                meant = _IN_SMALL_LETTERS.get(name.strip().lower())
                if meant is not None:
                    others.append((meant, value))
                continue
        if name not in found:
            found[name] = value
        elif name in _JUDGED and found[name] != value:
            others.append((name, value))
    return found, any(_differ(found.get(name, ""), value) for name, value in others)


def _differ(one: str, other: str) -> bool:
    """Whether two raw values are different ones, to readers of forms (in which a plus is a blank) or to others."""
    return unquote_plus(one) != unquote_plus(other) or unquote(one) != unquote(other)
