"""The doctor in the test's own process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fsproxy.cli.doctor.findings import Finding, Report
from fsproxy.cli.doctor.visit import examine
from fsproxy.config.loader import load_text

ORIGIN = "https://www.example.com"


async def examined(
    config: Mapping[str, Any] | Path, public_url: str | None = None, org: str | None = None, seconds: float = 60.0
) -> dict[str, Finding]:
    """All findings by their names; of one name the worst."""
    text = config.read_text() if isinstance(config, Path) else json.dumps(config)
    report = Report(lambda _: None, seconds)
    folder = config.parent if isinstance(config, Path) else Path()
    await examine(report, load_text(text, "test", {}, folder), public_url, org, ORIGIN, lambda _: None)
    found: dict[str, Finding] = {}
    rank = ("unknown", "ok", "warning", "fault")
    for each in report.findings:
        before = found.get(each.check)
        if before is None or rank.index(each.state) > rank.index(before.state):
            found[each.check] = each
    return found


def states(found: Mapping[str, Finding], *names: str) -> list[str]:
    """The states of these checks, in this order."""
    return [found[name].state.value for name in names]
