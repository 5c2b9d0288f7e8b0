"""What is wrong with a text that is no YAML, in plain words."""

from __future__ import annotations

import re

import yaml

from fsproxy.config.problems import Problem

_GLUED = re.compile(r"[\s-]*[\w.-]+:(?!//)(?=\S)")
"""The beginning of a line whose key has no blank after its colon."""
_COLON = "quotes around a text with a colon; else check the indentation, and the line before"
_INDENTS = "one indentation for all keys of a section, a dash before each item of a list, nothing behind closing quotes"
_WORDS = (
    ("mapping values are not allowed", "a colon makes a key here", _COLON),
    ("cannot start any token", "a text cannot begin with this character", "quotes around the text"),
    ("while scanning an alias", "* begins an alias here", 'quotes around the text, such as "*.example.com"'),
    ("undefined alias", "refers to an anchor that is not there", "quotes around the text, if * is a part of it"),
    ("unknown escape", "a backslash that YAML does not know", "single quotes, in which a backslash is itself"),
    ("while parsing a block", "does not fit here", _INDENTS),
    ("expected a single document", "a second document begins here", "one document in a file"),
)
"""A part of what the parser says; the fault; and what is allowed."""


def syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    """Return the fault. It holds nothing of the file, which may have a secret in that place."""
    mark, began = error.problem_mark or error.context_mark, error.context_mark or error.problem_mark
    said = ", ".join(part for part in (error.context, error.problem) if part)
    lines = [*text.splitlines(), ""]

    def problem(line: int, column: int, fault: str, allowed: str = "") -> Problem:
        return Problem(file, line + 1, column + 1, "", None, allowed, f"is not YAML: {fault}")

    if mark is None or began is None:
        return problem(0, 0, said)
    line = min(mark.line, len(lines) - 1)
    indent = lines[line][: -len(lines[line].lstrip()) or None]
    if "\t" in indent:
        return problem(line, indent.index("\t"), "a tab indents this line", "spaces alone")
    if "while scanning a quoted scalar, found unexpected end" in said:
        return problem(began.line, began.column, "the quotes that begin here are not closed")
    if "while parsing a flow" in said:
        fault = "the bracket that opens here is not closed, or a comma is missing"
        return problem(began.line, began.column, fault)
    # The parser takes a line without a colon, or without the blank after it, for the beginning of a longer text.
    before = began.line if "simple key" in said else line - 1 if "mapping values" in said else -1
    if before >= 0 and (glued := _GLUED.match(lines[before])):
        return problem(before, glued.end() - 1, "a blank is missing after the colon", "KEY: VALUE")
    if "simple key" in said:
        return problem(began.line, began.column, "a colon or a dash is missing", "KEY: VALUE, or - ITEM")
    for part, fault, allowed in _WORDS:
        if part in said:
            return problem(mark.line, mark.column, fault, allowed)
    return problem(mark.line, mark.column, said)
