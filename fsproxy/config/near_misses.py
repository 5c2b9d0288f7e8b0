"""What a wrong value was perhaps meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_network
from math import log

from fsproxy.core.units import duration

LONGEST = 80
"""Characters of a value that is compared. A comparison takes longer than linear time."""
_OTHER_NAMES = {
    "yes": "true",
    "on": "true",
    "no": "false",
    "off": "false",
    "uk": "GB",
    "el": "GR",
    "usa": "US",
    "europe": "EU",
}
"""Words in lower case that people use for others."""
_UNITS = (
    (r"sec(onds?|s)?$", "s"),
    (r"min(ute)?s?$", "m"),
    (r"min(ute)?s?$", "min"),
    (r"h(ou)?rs?$", "h"),
    (r"days?$", "d"),
    (r"([kmg])i?b?$", r"\1b"),
)


def suggestion(text: str, is_right: Callable[[str], bool], known: Iterable[str] = (), default: object = None) -> str:
    """Return `` (did you mean ...?)`` with a value that is right, or "". ``default``: as it is written."""
    if not text.strip() or len(text) > LONGEST:
        return ""
    for repaired in _repaired(text.strip(), default):
        if repaired and is_right(repaired):
            return f" (did you mean {repaired}{' without quotes' if repaired == text else ''}?)"
    texts = list(known)
    near = difflib.get_close_matches(text, texts, 1) or difflib.get_close_matches(text.lower(), texts, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def _repaired(text: str, default: object) -> Iterator[str]:
    """Yield the text as it would be written by the rules of other values, the most likely form first."""
    yield text
    head, dash, tail = text.partition("-")
    if head.lower() in _OTHER_NAMES:
        yield f"{_OTHER_NAMES[head.lower()]}{dash}{tail}"
    yield from (text.lower(), text.upper(), text.replace("_", "-"))
    if text[0].isdigit():
        bare = re.sub(r"[\s_,']", "", text).lower()
        with suppress(ValueError):
            if 0 < float(bare) <= 1:
                yield f"{float(bare) * 100:g}%"
        yield bare
        with suppress(ValueError):
            yield from _durations(bare, default)
        yield f"{bare}%"
        for pattern, unit in _UNITS:
            yield (changed := re.sub(pattern, unit, bare))
            yield changed.upper()
        with suppress(ValueError):
            yield str(ip_network(text, strict=False))
        yield re.sub(r"-(\d)(?!\d)", r"-0\1", text)
        yield f"{text}.*"
    if "://" in text:
        scheme, _, rest = text.partition("://")
        yield rest.partition("/")[0] or scheme
    else:
        yield from (f"http://{text}", f"/{text}", f"*{text}")
        yield text if text[0].isdigit() else text.partition("/")[0]


def _durations(number: str, default: object) -> list[str]:
    """Return the number with each unit of time, the one first that makes it most like the default. Raise ValueError."""
    usual = 1.0
    if isinstance(default, str):
        with suppress(ValueError):
            usual = duration(default) or usual
    return sorted(
        (f"{number}{unit}" for unit in ("s", "ms", "m", "h", "d")),
        key=lambda each: abs(log((duration(each) or usual) / usual)),  # zero is the same in each, and seconds are usual
    )
