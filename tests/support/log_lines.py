"""The lines of the operational log, each of which is JSON where standard error is no terminal."""

from __future__ import annotations

import json
from typing import Any

OF_ALL = {
    "@timestamp", "log.level", "message", "ecs.version", "event.dataset", "service.name", "service.version",
    "host.name", "process.pid",
}  # fmt: skip
"""What every line has."""


def log_lines(text: str) -> list[dict[str, Any]]:
    """The lines; fails the test if one is not as every line is."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert line.keys() >= OF_ALL, line
        assert "event.action" not in line, "that is what audit lines are known by"
    return lines


def messages(text: str) -> list[str]:
    """The messages of the lines."""
    return [line["message"] for line in log_lines(text)]
