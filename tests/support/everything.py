"""A page that every filter has something against, and the rules that say so."""

from __future__ import annotations

from typing import Any

from support.rig import Answer, Rig

ORDER = (
    ("org", 2),
    ("script", 11),
    ("url", 9),
    ("domain", 4),
    ("ip", 5),
    ("user_agent", 6),
    ("geo", 7),
    ("opt_out", 10),
    ("deleting_user", 12),
    ("blocked_user", -1),
    ("ramping", 8),
    ("quota", 3),
)
"""The filters as rules.md 1 lists them, and the codes that they give to ``worst_page``."""

FILTERS: dict[str, dict[str, Any]] = {
    "script": {"min_compiled": "2023-08-03"},
    "url": {"max_length": 20},
    "domain": {"rules": [{"block": "staging.example.com"}]},
    "ip": {"block": ["203.0.113.0/24"]},
    "user_agent": {"block": ["YandexBot"]},
    "geo": {"never": ["AQ"]},
    "opt_out": {"cookies": ["fs_optout=1"]},
    "deleting_user": {"block": ["uid-bad"]},
    "blocked_user": {"block": ["uid-bad"]},
    "ramping": {"share": "0%"},
    "quota": {"sessions": 0},
}
HEADERS = {
    "X-Forwarded-For": "203.0.113.9",
    "User-Agent": "YandexBot/3.0",
    "CF-IPCountry": "AQ",
    "Cookie": "fs_optout=1",
    "Origin": "https://staging.example.com",
}
FIELDS = {
    "CompiledTimestamp": 1_661_778_047,
    "Url": "https://staging.example.com/a/long/path",
    "AppId": "uid-bad",
    "UserId": "user-1",
}


def shadowed(*names: str) -> dict[str, Any]:
    """The modes that put these filters in shadow, as an org's or the base ``filters`` section."""
    return {name: {"mode": "shadow"} for name in names}


async def worst_page(rig: Rig, org: str) -> Answer:
    """Sends a page of this org that every filter has something against."""
    return await rig.page(HEADERS, **FIELDS, OrgId=org)
