"""Converts the vendor's settings exports (blocking, domain, geo, features) into a configuration.

What has no counterpart here, or is not valid here, becomes a comment. Only ``metadata`` and paging tokens are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import re2

from fsproxy.config.files import FILE
from fsproxy.config.rule_checks import RULE_CHECKS
from fsproxy.config.vendor.export import SECTIONS, Section, VendorSettingsError, collect, expect, read_json, unknown
from fsproxy.config.yaml.substitution import LONGEST
from fsproxy.config.yaml.text import is_text, quoted, shown, value

UPSTREAM = "${UPSTREAM_URL:-http://127.0.0.1:9000}"
"""The export does not say where the capture backend is."""

_GEO_MODES = {"GEO_ALL": "", "GEO_ALLOW_LIST": "only", "GEO_BLOCK_LIST": "never"}


def to_yaml(texts: Iterable[str], org: str | None = None, names: Sequence[str] = ()) -> tuple[str, int]:
    """Return the YAML, and how many settings are only comments in it.

    ``texts`` are JSON documents with different sections; ``names`` are theirs, for errors. With ``org`` all settings
    become those of that org, else those of all orgs. Raises VendorSettingsError.
    """
    sections: dict[str, Section] = {}
    notes: list[str] = []
    for number, text in enumerate(texts):
        try:
            collect(read_json(text), "$", sections, notes)
        except VendorSettingsError as error:
            raise error.within(names[number]) if names else error from None
        except RecursionError:
            fault = VendorSettingsError("$", "is nested too deeply")
            raise fault.within(names[number]) if names else fault from None
    if not sections:
        raise VendorSettingsError("$", f"none of the sections {', '.join(sorted(SECTIONS))} is there")
    enabled, filters = _Converter(sections, notes, org).convert()
    lines = [
        "# Made of the vendor's settings by: fsproxy import-settings",
        *(f"# not carried over: {note}" for note in notes),
        "version: 1",
        "upstream:",
        f"  url: {quoted(UPSTREAM)} # where the capture backend is",
    ]
    if org is None:
        lines += ["filters:", *_indented(filters)] if filters else []
    else:
        body = [f"enabled: {'true' if enabled else 'false'}"]
        body += ["filters:", *_indented(filters)] if filters else []
        lines += ["orgs:", "  listed:", f"    {quoted(org)}:", *_indented(body, "      ")]
    return "\n".join(lines) + "\n", len(notes)


class _Converter:
    """Makes lines of YAML of the sections. What does not fit goes to ``notes``."""

    def __init__(self, sections: Mapping[str, Section], notes: list[str], org: str | None) -> None:
        self._sections = sections
        self._notes = notes
        self._org = org

    def convert(self) -> tuple[bool, list[str]]:
        """Return whether the org is enabled, and the lines of ``filters``."""
        blocking = self._sections.get("blocking", Section())
        lines = self._domain(self._sections.get("domain", Section()))
        lines += self._list("ip", "block", self._texts(blocking, "blockedIps", _known("ip")))
        lines += self._list("user_agent", "block", self._texts(blocking, "blockedUas", _agent))
        lines += self._geo(self._sections.get("geo", Section()))
        lines += self._list("blocked_user", "block", self._texts(blocking, "blockedAppIds", _user))
        return self._enabled(self._sections.get("features", Section())), lines

    @staticmethod
    def _list(name: str, key: str, entries: list[str]) -> list[str]:
        return [f"{name}:", f"  {key}:", *(f"    - {value(each)}" for each in entries)] if entries else []

    def _texts(self, section: Section, key: str, read: Callable[[str], str | None]) -> list[str]:
        path, found = section.get(key, list, [])
        return list(self._carried(((f"{path}[{n}]", each) for n, each in enumerate(found)), read))

    def _carried(self, found: Iterable[tuple[str, Any]], read: Callable[[str], str | None]) -> Iterator[str]:
        for path, each in found:
            text = expect(each, str, path)
            made = read(text) if is_text(text) and len(text) <= LONGEST // 4 else None
            if made is None:
                self._notes.append(f"{path}: {shown(text)} (not valid here)")
            else:
                yield made

    def _domain(self, section: Section) -> list[str]:
        _, only_known = section.get("onlyRecordKnownDomains", bool, False)
        path, domains = section.get("domains", list, [])
        rules: list[str] = []
        for n, each in enumerate(domains):
            here = f"{path}[{n}]"
            expect(each, dict, here)
            if "domain" not in each:
                raise VendorSettingsError(here, "has no domain")
            disabled = expect(each.get("disabled", False), bool, f"{here}.disabled")
            verb = "block" if disabled else "capture"
            patterns = self._carried([(f"{here}.domain", each["domain"])], _known("domain"))
            rules += [f"    - {verb}: {value(pattern)}" for pattern in patterns]
            self._notes += [
                unknown(f"{here}[{shown(key)}]", v) for key, v in each.items() if key not in {"domain", "disabled"}
            ]
        if not rules and not only_known:
            return []
        lines = ["domain:"]
        lines += ["  rules:", *rules] if rules else []
        return [*lines, f"  otherwise: {'block' if only_known else 'capture'}"]

    def _geo(self, section: Section) -> list[str]:
        path, mode = section.get("recordGeoMode", str, "GEO_ALL")
        if mode not in _GEO_MODES:
            raise VendorSettingsError(path, f"one of {', '.join(_GEO_MODES)} is expected")
        zones = self._texts(section, "recordGeoZones", _zone)
        key = _GEO_MODES[mode]
        if not key:
            self._notes += [f"{section.members['recordGeoZones'][0]}: without effect under GEO_ALL"] if zones else []
            return []
        if not zones and key == "only":
            self._notes.append(
                f"{path}: GEO_ALLOW_LIST without a zone that is valid here: ALL ZONES ARE CAPTURED until "
                f"filters.geo.only names one"
            )
        return self._list("geo", key, zones)

    def _enabled(self, section: Section) -> bool:
        on_path, on = section.get("enabled", bool, True)
        off_path, off = section.get("recordingShutoff", bool, False)
        for key in ("consoleWatcher", "ajaxWatcher", "resourceUploading"):
            if key in section.members:
                here, found = section.members[key]
                self._notes.append(f"{here}: {shown(found)} (the recorder's own affair)")
        if on and not off:
            return True
        if self._org is None:
            note = "recording is off, and whose is not known: give --org ID for orgs.listed.ID.enabled: false"
            self._notes.append(f"{off_path if off else on_path}: {note}")
        return False


def _known(kind: str) -> Callable[[str], str | None]:
    check = RULE_CHECKS[kind].check
    return lambda text: text.strip() if check(text) is None and not text.startswith(FILE) else None


def _zone(text: str) -> str | None:
    return text.strip().upper() if RULE_CHECKS["geo"].check(text) is None else None


def _user(text: str) -> str | None:
    return text if text and not text.startswith(FILE) else None


def _agent(text: str) -> str | None:
    """Return a text that the User-Agent contains. One that would mean a file or an expression here is escaped."""
    if text.startswith((FILE, "regex:")):
        text = f"regex:{re2.escape(text)}"
    return text if RULE_CHECKS["user_agent"].check(text) is None else None


def _indented(lines: Iterable[str], by: str = "  ") -> list[str]:
    return [by + line for line in lines]
