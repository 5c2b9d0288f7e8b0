"""Names the place of a value in a JSON text for people: ``Evts[2].Args[1]``."""

from __future__ import annotations

import re

from fsproxy.core.json.scanner import STRING, Member, name_of

_TOKENS = re.compile(STRING + rb"|[\[{}\],:]", re.DOTALL).finditer
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*").fullmatch


def path_at(data: bytes, place: int) -> str:
    """Return the way from the root to the value that begins at a place; "" for the root. The text is valid JSON."""
    stack: list[str | int | None] = []
    name: str | None = None
    for token in _TOKENS(data, 0, place):
        start, end = token.span()
        sign = data[start]
        if sign in b"[{":
            stack.append(0 if sign == 0x5B else None)
        elif sign in b"]}":
            stack.pop()
        elif sign == 0x2C:  # a comma
            last = stack[-1]
            stack[-1] = last + 1 if isinstance(last, int) else None
        elif sign == 0x3A:  # a colon
            stack[-1] = name
        else:
            name = name_of(data, Member(start, end, end, end))
    return "".join(map(_step, stack)).removeprefix(".")


def _step(step: str | int | None) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if step is not None and _PLAIN(step):
        return f".{step}"
    return f"[{step!r}]"
