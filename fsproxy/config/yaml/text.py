"""Texts from elsewhere as YAML scalars and comments that mean these texts and nothing else."""

from __future__ import annotations

import json
import re

LONGEST_SHOWN = 80
"""Characters of a foreign text in a comment."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*|[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "inf", "nan"})
"""What one version of YAML or another takes for something else than a text."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_NESTING = re.compile(r"(?:[-?:] +){8}")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def is_text(value: str) -> bool:
    """Whether YAML can hold it: a lone surrogate is no character."""
    return _SURROGATE.search(value) is None


def quoted(text: str) -> str:
    """The text as a scalar, in quotes unless every YAML reads it as it stands."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # The loader refuses what looks nested too deep, in texts too: such texts are written with escapes.
    hidden = ("[]{}" if not _balanced(text) else "") + (" " if _NESTING.search(text) else "")
    return '"' + "".join(_character(each, hidden) for each in text) + '"'


def value(text: str) -> str:
    """As ``quoted``, for a value of the configuration: ``${`` in it refers to nothing."""
    return quoted(text.replace("${", "$${"))


def shown(document: object) -> str:
    """A JSON value for a comment, on one line and cut; of lists and objects only what they are."""
    if isinstance(document, (dict, list)):
        return f"{'an object' if isinstance(document, dict) else 'a list'} of {len(document)}"
    # No bracket and no line's end gets into the file: the first are counted by the loader.
    text = re.sub(r"[\[\]{}\x7f]", "?", json.dumps(document))
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def _balanced(text: str) -> bool:
    depth = 0
    for each in text:
        depth += (each in "[{") - (each in "]}")
        if not 0 <= depth <= 4:
            return False
    return depth == 0


def _character(each: str, hidden: str) -> str:
    if each in hidden or (not each.isprintable() and each not in _ESCAPES):
        number = ord(each)
        return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
    return _ESCAPES.get(each, each)
