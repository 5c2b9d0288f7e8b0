"""Configurations that take one another's place while requests go on, and what each of them must have decided.

The rules of swap number n hit the same requests as those of any other, with ids that tell n; so a decision that was
made by two configurations shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

HOST = "swapped.example.com"
ADDRESS = "203.0.113.9"
AGENT = "LoadBot/1"
BLOCKED, SHADOWED = "o-BLOCK-na1", "o-SHADOW-na1"
"""Orgs: of the first every page is blocked; of the other all is forwarded, and every rule hits in shadow."""
_PATTERNS = "203.0.113.0/24", "203.0.113.*", "203.0.112.0/23", "203.0.112.0/22"
_WRONG: tuple[dict[str, Any] | str, ...] = (
    {"filters": {"geo": {"never": ["XX1"]}}},
    {"filters": {"ip": {"block": ["10.0.0.0/99"]}}},
    {"filterz": {}},
    {"mode": "strict"},
    '{"upstream": {"url": "http://127.0.0.1:9"}, "filters": {"ip": {"block": [',
    "",
)
"""Sections with a fault, and texts that are no configuration."""


def _rules(number: int) -> tuple[str, str, str]:
    """The ids of the rules of domain, address and User-Agent."""
    return f"swap-{number}", f"ip:block:{_pattern(number)}", f"user_agent:block:{_agent(number)}"


def _pattern(number: int) -> str:
    return _PATTERNS[number % len(_PATTERNS)]


def _agent(number: int) -> str:
    return AGENT[: 4 + number % 5]


def good(number: int, filler: int = 0) -> dict[str, Any]:
    """The sections of swap ``number``; with so many more addresses, to be compiled."""
    more = [f"10.{each >> 16 & 255}.{each >> 8 & 255}.{each & 255}" for each in range(filler)]
    return {
        "orgs": {
            "listed": {
                BLOCKED: {},
                SHADOWED: {"filters": {name: {"mode": "shadow"} for name in ("domain", "ip", "user_agent")}},
            }
        },
        "filters": {
            "domain": {"rules": [{"block": HOST, "id": f"swap-{number}"}]},
            "ip": {"block": [_pattern(number), *more]},
            "user_agent": {"block": [_agent(number)]},
        },
    }


def bad(number: int) -> dict[str, Any] | str:
    """Sections with a fault, or the whole text of a file that is none."""
    return _WRONG[number % len(_WRONG)]


def faults(lines: Iterable[Mapping[str, Any]], swap_of: Mapping[int, int]) -> list[str]:
    """What is wrong of audit lines; ``swap_of``: generation -> the number of the swap that made it."""
    found = []
    for line in lines:
        generation = line["fsproxy.generation"]
        if generation not in swap_of:
            found.append(f"generation {generation} was never in force")
            continue
        domain, address, agent = _rules(swap_of[generation])
        hits = [each["rule.id"] for each in line.get("fsproxy.shadow", ())]
        if line["organization.id"] == BLOCKED:
            told, due = [line.get("rule.id"), *hits], [domain]
        else:
            told, due = [line.get("rule.id"), *hits], [None, domain, address, agent]
        if told != due:
            found.append(f"generation {generation} (swap {swap_of[generation]}) decided by {told}, not {due}")
    return found
