"""Phrases that the commands and the admin API share."""

from __future__ import annotations

from fsproxy.core.reasons import ReasonCode


def reason(code: object) -> str:
    """Return a reason code with its text, where it is a known one."""
    known = next((each for each in ReasonCode if each.value == code), None)
    return f"reason_code {code}" if known is None else f"reason_code {known.value} ({known.text})"


def sentence(text: str) -> str:
    """Return a clause with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?')) else '.'}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 page``, ``2 pages``."""
    return f"{count} {one if count == 1 else many or one + 's'}"
