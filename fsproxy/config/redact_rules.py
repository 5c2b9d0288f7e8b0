"""What is wrong with the rules of redaction, each by itself and together (rules.md 8)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from fsproxy.config.problems import Problem
from fsproxy.config.yaml.positions import Kind, Node, Scalar, Table
from fsproxy.core.redact.patterns import NAMED, problem, reason
from fsproxy.core.settings import RedactIn

_ACTIONS = ("mask", "exclude", "hash")
_FORM = "{mask: PATTERN}, {exclude: PATTERN} or {hash: PATTERN}, with in, id and mode if need be"


def rule_faults(rule: Table) -> Iterator[Problem]:
    """Yield the faults of one rule: it has one action, of a pattern that can be read, where the action may be."""
    actions = [name for name in _ACTIONS if name in rule.members]
    if len(actions) != 1:
        yield rule.problem("has not exactly one of mask, exclude and hash", _FORM)
        return
    (action,) = actions
    pattern = rule.scalar(action)
    if pattern is not None and pattern.text and (allowed := problem(pattern.text)) is not None:
        yield pattern.problem(f"is not a pattern{_hint(pattern.text)}", allowed)
    elif pattern is None:
        yield rule.members[action].problem("is not a pattern", problem("") or "")
    places = rule.sequence("in") or filter(None, (rule.scalar("in"),))
    for each in places:
        place = each.text if isinstance(each, Scalar) else ""
        if place == RedactIn.UID and action != "hash":
            yield each.problem(f"is not for {action}, which would make one person of many", "uid with hash alone")
        elif place == RedactIn.STRINGS and action != "mask":
            yield each.problem(f"is not for {action}: places in a recording would shift", "strings with mask alone")


def _hint(text: str) -> str:
    if said := reason(text):
        return f': RE2 says "{said}"'
    near = difflib.get_close_matches(text, NAMED, 1)
    return f" (did you mean {near[0]}?)" if near else ""


def section_faults(redact: Table) -> Iterator[Problem]:
    """Yield the ids that two rules have."""
    seen: dict[str, Node] = {}
    for rule in redact.sequence("rules"):
        node = rule.scalar("id") if isinstance(rule, Table) else None
        if node is not None and node.kind is not Kind.NULL:
            first = seen.setdefault(node.text, node)
            if first is not node:
                yield node.problem(f"is not unique: line {first.place.line} has it too", "an id of its own")


def key_faults(root: Table) -> Iterator[Problem]:
    """Yield the rules that hash without a key: then anybody could hash every address and compare."""
    redact, audit = root.members.get("redact"), root.members.get("audit")
    if not isinstance(redact, Table) or (isinstance(audit, Table) and audit.scalar("key")):
        return
    for rule in redact.sequence("rules"):
        if isinstance(rule, Table) and rule.scalar("hash"):
            yield rule.members["hash"].key_problem("needs audit.key", "key: ${SOME_VARIABLE} in the section audit")
