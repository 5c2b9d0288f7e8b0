"""What an audit line says of redaction: which rules have found something, and how often (rules.md 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fsproxy.core.audit.line import LONGEST_RULE
from fsproxy.core.audit.privacy import safe
from fsproxy.core.audit.record import AuditRedaction
from fsproxy.core.redact.redaction import Redaction

Redactions = tuple[tuple[AuditRedaction, ...], tuple[AuditRedaction, ...]] | tuple[()]
"""The fields of a ``LineEnd`` after the rejections, or nothing."""


def audit_redactions(redaction: Redaction | None, found: Mapping[int, int]) -> Redactions:
    """Return how often each rule was found as a line lists it: those in force, then those in shadow mode."""
    if redaction is None or not found:
        return ()
    enforced, shadow = redaction.counts(found)
    return (
        tuple(AuditRedaction(safe(rule, LONGEST_RULE), count) for rule, count in enforced.items()),
        tuple(AuditRedaction(safe(rule, LONGEST_RULE), count) for rule, count in shadow.items()),
    )


def told_redactions(line: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a line says of redaction, in words."""
    for name, verdict, rest in (
        ("fsproxy.redactions", "redacted", ""),
        ("fsproxy.shadow_redactions", "counted", ", which went on: the rule is in shadow mode"),
    ):
        for each in line.get(name) or ():
            count = each.get("count")
            yield (
                verdict,
                f"{count} match{'es' if count != 1 else ''} of the rule {safe(str(each.get('rule.id')))}{rest}",
            )
