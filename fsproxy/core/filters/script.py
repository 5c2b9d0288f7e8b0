"""Reason 11: the page's capture script is too old, or of a version that is blocked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from fsproxy.core.filters.base import rule_at, rule_of
from fsproxy.core.model import FilterName, Hit, Instant, Mode, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, OrgSettings


@dataclass(frozen=True, slots=True)
class ScriptFilter:
    """``min_compiled``: the script's build time (Unix seconds); ``blocked_versions``: of script or snippet.

    A build time that is missing or no number passes, unless ``require``. Recorders send a JSON number, so digits in a
    string are no number.
    """

    name: ClassVar[FilterName] = FilterName.SCRIPT
    on_pages_only: ClassVar[bool] = True

    mode: Mode
    min_compiled: int | None
    too_old: Hit
    required: Hit | None
    versions: Mapping[str, Hit]

    @classmethod
    def compile(cls, org: OrgSettings, core: CoreSettings) -> Self | None:
        settings = org.filters.script
        mode = settings.mode.capped(core.mode)
        judges = settings.min_compiled is not None or settings.require or settings.blocked_versions
        if mode is Mode.OFF or not judges:
            return None
        code = ReasonCode.INVALID_DATA_CAPTURE_SCRIPT
        versions: dict[str, Hit] = {}
        for entry in settings.blocked_versions:
            versions.setdefault(entry.text, Hit(cls.name, code, rule_of(cls.name, "version", entry)))
        return cls(
            mode,
            settings.min_compiled,
            Hit(cls.name, code, rule_at(cls.name, "min_compiled", settings.places)),
            Hit(cls.name, code, rule_at(cls.name, "require", settings.places)) if settings.require else None,
            versions,
        )

    def judge(self, facts: SessionFacts, now: Instant) -> Hit | None:
        compiled = facts.compiled_timestamp
        if not _is_time(compiled):
            if self.required is not None:
                return self.required
        elif self.min_compiled is not None and compiled < self.min_compiled:  # type: ignore[operator] # _is_time
            return self.too_old
        if self.versions:
            for version in (facts.compiled_version, facts.snippet_version):
                if isinstance(version, str) and (hit := self.versions.get(version)) is not None:
                    return hit
        return None


def _is_time(value: object) -> bool:
    """Return whether a value is a finite JSON number. ``true`` is an int in Python, but no number in JSON."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    )
