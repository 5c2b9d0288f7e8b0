"""Texts in YAML: writes foreign ones as scalars and comments that mean these texts and nothing else."""

from __future__ import annotations

import json
import re

LONGEST_SHOWN = 80
"""Characters of a foreign text in a comment."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*|[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "inf", "nan"})
"""Words that some version of YAML does not read as texts."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_NESTING = re.compile(r"(?:[-?:] +){8}")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def is_text(value: str) -> bool:
    """Return whether YAML can hold the text. It cannot hold a lone surrogate, which is no character."""
    return _SURROGATE.search(value) is None


def joined(text: str) -> str:
    """Return the text with each pair of surrogates, as JSON escapes emoji, as the character that it means."""
    if is_text(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def quoted(text: str) -> str:
    """Return the text as a scalar, in quotes unless every version of YAML reads it unquoted as the same text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # The loader counts brackets in texts too, and refuses what looks nested too deeply; hence the escapes.
    hidden = ("[]{}" if not _balanced(text) else "") + (" " if _NESTING.search(text) else "")
    return '"' + "".join(_character(each, hidden) for each in text) + '"'


def value(text: str) -> str:
    """Return the text as ``quoted`` does, for a value of the configuration, in which ``${`` would be a reference."""
    return quoted(text.replace("${", "$${"))


def shown(document: object) -> str:
    """Return a JSON value for a comment, on one line and cut. Of lists and objects it says only the length."""
    if isinstance(document, (dict, list)):
        return f"{'an object' if isinstance(document, dict) else 'a list'} of {len(document)}"
    # The loader counts brackets, in comments too.
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
