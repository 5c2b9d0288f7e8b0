"""Reads the vendor's settings exports, in any of their documented shapes."""

from __future__ import annotations

import json
from typing import Any

from fsproxy.config.yaml.text import shown

_SECTION_OF = {
    "blockedIps": "blocking",
    "blockedUas": "blocking",
    "blockedAppIds": "blocking",
    "onlyRecordKnownDomains": "domain",
    "domains": "domain",
    "recordGeoMode": "geo",
    "recordGeoZones": "geo",
    "enabled": "features",
    "recordingShutoff": "features",
    "consoleWatcher": "features",
    "ajaxWatcher": "features",
    "resourceUploading": "features",
}
SECTIONS = frozenset(_SECTION_OF.values())
_SILENT = frozenset({"metadata", "nextPaginationToken", "next_pagination_token"})
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


class VendorSettingsError(ValueError):
    """Raised for a text that is no settings export. ``path`` is a JSON path such as ``$.domain.domains[2]``."""

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path = path
        self.fault = fault

    def within(self, name: str) -> VendorSettingsError:
        """Return the same error with the name of its file."""
        return VendorSettingsError(f"{name}: {self.path}", self.fault)


def read_json(text: str) -> Any:
    """Return one document of plain JSON. Raises VendorSettingsError."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except VendorSettingsError:
        raise
    except json.JSONDecodeError as error:
        raise VendorSettingsError("$", f"is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise VendorSettingsError("$", "is not JSON that can be read") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # adds
        raise VendorSettingsError("$", f"the key {shown(twice)} is there twice in one object")
    return made


def _no_constant(_: str) -> None:
    raise ValueError


class Section:
    """One of the export's four sections."""

    def __init__(self) -> None:
        self.members: dict[str, tuple[str, Any]] = {}
        """Key -> its path, and its value."""

    def get(self, key: str, kind: type, default: Any) -> tuple[str, Any]:
        """Return the path and value of a key. Raises VendorSettingsError when it is not of this kind."""
        path, found = self.members.get(key, ("", default))
        return path, expect(found, kind, path)


def expect(found: Any, kind: type, path: str) -> Any:
    """Return the value, which has exactly this type. Raises VendorSettingsError when it has not."""
    if type(found) is not kind:
        raise VendorSettingsError(path, f"{_KINDS[kind]} is expected")
    return found


def collect(document: Any, path: str, sections: dict[str, Section], notes: list[str]) -> None:
    """Sort an export's keys into sections; ``notes`` gets the unknown ones. Raises VendorSettingsError."""
    expect(document, dict, path)
    for key, found in document.items():
        here = f"{path}.{key}" if key.isidentifier() else f"{path}[{shown(key)}]"
        if key in _SILENT:
            continue
        if key == "versions":
            versions = expect(found, list, here)
            if not versions:
                raise VendorSettingsError(here, "is empty: there is no version to take")
            collect(versions[0], f"{here}[0]", sections, notes)
        elif key in SECTIONS:
            _collect_named(key, expect(found, dict, here), here, sections, notes)
        elif key in _SECTION_OF:
            _put(sections, _SECTION_OF[key], key, here, found)
        else:
            notes.append(unknown(here, found))


def _collect_named(
    name: str, members: dict[str, Any], path: str, sections: dict[str, Section], notes: list[str]
) -> None:
    sections.setdefault(name, Section())
    if "versions" in members:
        collect(members, path, sections, notes)
        return
    for key, found in members.items():
        here = f"{path}.{key}" if key.isidentifier() else f"{path}[{shown(key)}]"
        if _SECTION_OF.get(key) == name:
            _put(sections, name, key, here, found)
        elif key not in _SILENT:
            notes.append(unknown(here, found))


def _put(sections: dict[str, Section], name: str, key: str, path: str, found: Any) -> None:
    members = sections.setdefault(name, Section()).members
    if key in members:
        raise VendorSettingsError(path, f"is given already, as {members[key][0]}")
    members[key] = (path, found)


def unknown(path: str, found: Any) -> str:
    """Return the comment on a key that is not documented."""
    return f"{path}: {shown(found)} (not known here)"
