"""What the rules of now say of a request of the past, from its audit line: as ``why`` and ``replay`` would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fsproxy.admin.explaining import NOT_JUDGED
from fsproxy.admin.question import UnanswerableError
from fsproxy.core.audit.rule_texts import rule_text
from fsproxy.core.model import Route
from fsproxy.core.policy_rules import hit_of
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.replay.again import Replay, Replayed
from fsproxy.core.replay.facts import PageLine, page_line
from fsproxy.proxy.generation import Generation

_FAILED = "it failed before it was judged"
_NO_PAGE = "page: the line of a request that is no page does not hold what it was judged by"


def explain_record(generation: Generation, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what would be decided about the request of an audit line, for machines.

    ``decision`` is ``captured``, ``blocked``, ``undecidable`` (the rule and the fact that the line does not hold are
    named) or ``not_judged``. Whether a session was under way, the location and the quota are taken from the line.
    Raises UnanswerableError for what is no audit line.
    """
    action = record.get("event.action")
    if action not in set(Route):
        raise UnanswerableError("record", "not an audit line: event.action is none of " + ", ".join(Route))
    if Route(action) in NOT_JUDGED:
        return _document(generation, "not_judged", because=NOT_JUDGED[Route(action)])
    if action != Route.PAGE.value:
        return _document(generation, "undecidable", because=_NO_PAGE)
    try:
        line = page_line(record)
        decided = Replay(generation.snapshot).decide(line)
    except msgspec.ValidationError as error:
        raise UnanswerableError("record", f"not an audit line: {error}") from None
    except ValueError:  # its text would repeat the value
        raise UnanswerableError("record", "not an audit line: its time or its address cannot be read") from None
    return _decided(generation, line, decided)


def _decided(generation: Generation, line: PageLine, decided: Replayed) -> dict[str, Any]:
    if not decided.judged:
        return _document(generation, "not_judged", because=_FAILED)
    if decided.undecidable:
        return _document(generation, "undecidable", because=decided.undecidable, rules=decided.rules)
    if not decided.code:
        return _document(generation, "captured")
    hit = hit_of(generation.snapshot.policy(line.org), decided.rule)
    return _document(generation, "blocked") | {
        "reason_code": decided.code,
        "reason": ReasonCode(decided.code).text,
        "rule": {"id": decided.rule, "where": hit.rule.where if hit is not None else ""},
        "means": rule_text(hit.filter.value, decided.rule) if hit is not None else None,
    }


def _document(
    generation: Generation, decision: str, *, because: str = "", rules: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the fields that every answer has; ``because``: what is missing, or why nothing is judged."""
    return {
        "decision": decision,
        "because": because or None,
        "rules": list(rules),
        "reason_code": None,
        "reason": None,
        "rule": None,
        "means": None,
        "mode": generation.mode.value,
        "generation": generation.number,
        "filters": [],
        "not_judged": [],
        "not_given": [],
    }
