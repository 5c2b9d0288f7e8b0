"""What lines and stories say of redaction."""

from __future__ import annotations

from fsproxy.core.audit.record import AuditRedaction
from fsproxy.core.audit.redactions import audit_redactions, told_redactions
from support.redacting import redaction

RULES = redaction({"mask": "email", "id": "a\u202eb"}, {"mask": "ip", "mode": "shadow"}, {"mask": "card", "id": "c"})


def test_rules_are_listed_with_their_counts_those_in_shadow_mode_apart() -> None:
    assert audit_redactions(RULES, {2: 3, 1: 1, 0: 2}) == (
        (AuditRedaction("a\\u202eb", 2), AuditRedaction("c", 3)),
        (AuditRedaction("redact:mask:ip", 1),),
    )
    assert audit_redactions(RULES, {}) == ()
    assert audit_redactions(None, {1: 1}) == ()


def test_a_story_says_how_often() -> None:
    line = {
        "fsproxy.redactions": [{"rule.id": "a", "count": 1}, {"rule.id": "b", "count": 2}],
        "fsproxy.shadow_redactions": [{"rule.id": "c", "count": 1}],
    }
    assert list(told_redactions(line)) == [
        ("redacted", "1 match of the rule a"),
        ("redacted", "2 matches of the rule b"),
        ("counted", "1 match of the rule c, which went on: the rule is in shadow mode"),
    ]
    assert list(told_redactions({})) == []
