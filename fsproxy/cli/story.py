"""One audit line, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from fsproxy.core.audit.facts import TRUNCATED
from fsproxy.core.audit.privacy import safe
from fsproxy.core.audit.rule_texts import rule_text
from fsproxy.core.failures import Failure
from fsproxy.core.filters import FILTERS
from fsproxy.core.model import FilterName
from fsproxy.core.policy import Snapshot
from fsproxy.core.policy_rules import hit_of
from fsproxy.core.reasons import ReasonCode, RejectionCode
from fsproxy.core.replay.again import Replay
from fsproxy.core.replay.facts import page_line

Line = Mapping[str, Any]

_MEANS = {
    RejectionCode.TOO_BIG_TO_PARSE: "the call is too large",
    RejectionCode.INVALID_JSON: "the call is not valid JSON",
    RejectionCode.INVALID_EVENT_NAME: "an event's name is 1 to 250 characters",
    RejectionCode.INVALID_PROPERTY_NAME: "a name is letters, digits and _, and begins with a letter",
    RejectionCode.PROPERTY_NAME_TOO_LONG: "the name, its parents' included, is too long",
    RejectionCode.INVALID_PROPERTY_TYPE: "the suffix is none of the types",
    RejectionCode.MISSING_PROPERTY_TYPE: "the name has no type suffix, such as _str",
    RejectionCode.INVALID_VALUE: "the value does not fit the type",
    RejectionCode.VALUE_TOO_BIG: "the value is too large",
    RejectionCode.EXPECTED_ATOM: "one value is expected, not an object or list",
    RejectionCode.INVALID_ID: "the uid is empty, too long or a placeholder",
    RejectionCode.CARDINALITY_EXCEEDED: "the org has used up its number of names, and this one is new",
    RejectionCode.RATE_LIMITED: "the session made too many calls",
}
_OUTCOMES = {
    "captured": "captured",
    "blocked": "blocked",
    "forwarded": "forwarded",
    "rejected": "rejected: no valid call was in it, and nothing was sent on",
    "failed": "failed",
}


_NO_RULES = "with --config FILE its line in that file is told here"


_OF_ITS_PAGE = "; this was judged on its page, which was blocked"
_NO_PLACE = {"state:down": "state.on_error"} | {f"{each.value}:error": "filters.on_error" for each in FilterName}
_ON_PAGES_ONLY = {each.name.value for each in FILTERS if each.on_pages_only}


class Rules:
    """A configuration in which rules are looked up. It may not be the one that judged."""

    def __init__(self, name: str, snapshot: Snapshot) -> None:
        self._name = name
        self._snapshot = snapshot
        self._replay = Replay(snapshot)

    def place(self, rule: str, org: str | None, generation: object) -> str:
        """Where a rule stands, in words."""
        if rule in _NO_PLACE:
            return f"no rule's place: {_NO_PLACE[rule]} decided"
        found = hit_of(self._snapshot.policy(org), rule)
        if found is None:
            return f"not in {self._name} as it is now; generation {generation} had it"
        where = found.rule.where or f"a default, not written in {self._name}"
        return f"{where} (as the file is now; generation {generation} may have been another)"

    def today(self, line: Line) -> str:
        """What would be decided by this configuration."""
        decided = self._replay.decide(page_line(line))
        if not decided.judged:
            return "it had failed before it was judged"
        if decided.undecidable:
            return f"undecidable: {decided.undecidable}{_named(decided.rules)}"
        return f"blocked, {_reason(decided.code)}, rule {decided.rule}" if decided.code else "captured"


def _named(rules: tuple[str, ...]) -> str:
    """Return the rules that cannot be asked, in brackets."""
    return f" (rule {', '.join(rules)})" if rules else ""


def story(line: Line, rules: Rules | None) -> list[str]:
    """The lines of the story."""
    head = f"{_text(line, '@timestamp')}  {_text(line, 'event.action')}, request {_text(line, 'http.request.id')}"
    told = [head]
    told += [f"  {label + ':':<11}{text}" for label, text in _parts(line, rules) if text]
    return told


def _parts(line: Line, rules: Rules | None) -> Iterator[tuple[str, str]]:
    facts: Line = line.get("fsproxy.facts") or {}
    yield "judged", _judged(line, facts)
    yield "decision", _decision(line)
    rule, org, generation = line.get("rule.id"), line.get("organization.id"), line.get("fsproxy.generation")
    if rule:
        name = _text(line, "fsproxy.filter")
        yield "rule", f"{safe(str(rule), 256)} (filter {name}), config generation {generation}"
        yield "it means", rule_text(name, str(rule)) + (_OF_ITS_PAGE if _is_its_pages(line) else "")
        yield "stands at", rules.place(str(rule), org, generation) if rules is not None else _NO_RULES
    else:
        yield "by", f"config generation {generation}, mode {_text(line, 'fsproxy.mode')}"
    for hit in line.get("fsproxy.shadow") or ():
        code = hit.get("reason_code")
        yield (
            "shadow",
            f"would be blocked, {_reason(code)}, rule {safe(str(hit.get('rule.id')), 256)}, were it enforced",
        )
        if rules is not None:
            yield "stands at", rules.place(str(hit.get("rule.id")), org, generation)
    failed = line.get("fsproxy.filters_failed")
    yield "fault", f"the filters {', '.join(map(str, failed))} failed: filters.on_error decided" if failed else ""
    yield "state", "the store was down: state.on_error decided" if line.get("fsproxy.ledger_down") else ""
    yield "upstream", _upstream(line)
    yield from _rejections(line)
    yield "left out", _left_out(line, facts)
    if rules is not None and line.get("event.action") == "page":
        yield "today", rules.today(line)


def _judged(line: Line, facts: Line) -> str:
    address = line.get("client.ip") or line.get("client.address")
    session = {"new": "new", "under_way": "under way", "admitted": "new, of a visitor admitted by ramping before"}
    country = line.get("client.geo.region_iso_code") or line.get("client.geo.country_iso_code")
    parts = {
        "org": line.get("organization.id"),
        "domain": line.get("url.domain"),
        **_judged_by(line, facts),
        "session": line.get("fsproxy.session_id"),
        "which is": session.get(str(facts.get("session"))),
        "page": line.get("fsproxy.page_id"),
        "user": line.get("fsproxy.user_id"),
        "address": address,
        "location": country,
        "User-Agent": line.get("user_agent.original"),
    }
    return ", ".join(f"{name} {safe(str(value), 120)}" for name, value in parts.items() if value)


def _judged_by(line: Line, facts: Line) -> Line:
    """What only one filter looks at, where that one blocked."""
    match line.get("fsproxy.filter"):
        case "url":
            return {"scheme": facts.get("scheme"), "URL's length": line.get("fsproxy.url.length")}
        case "script":
            built = facts.get("compiled")
            return {"script's version": facts.get("version"), "script built": _day(built)}
    return {}


def _is_its_pages(line: Line) -> bool:
    return line.get("event.action") != "page" and line.get("fsproxy.filter") in _ON_PAGES_ONLY


def _day(built: object) -> str:
    try:
        return datetime.fromtimestamp(float(str(built)), UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "at a time that is not told"


def _decision(line: Line) -> str:
    outcome = str(line.get("fsproxy.decision"))
    said = _OUTCOMES.get(outcome, safe(outcome))
    code = line.get("fsproxy.reason_code")
    if code is not None:
        said += f", {_reason(code)}"
    error = line.get("fsproxy.error")
    if error:
        known = next((each for each in Failure if each.value == error), None)
        said += f" ({known.detail if known is not None else safe(str(error))})"
    status = line.get("http.response.status_code")
    return f"{said}; answered {status}" if status else f"{said}; nothing was answered"


def _reason(code: object) -> str:
    known = next((each for each in ReasonCode if each.value == code), None)
    return f"reason_code {code}" + (f" ({known.text})" if known is not None else "")


def _upstream(line: Line) -> str:
    status, duration = line.get("fsproxy.upstream.status_code"), line.get("fsproxy.upstream.duration")
    if status is None:
        return "was asked and did not answer" if duration else "was not asked"
    took = f" after {duration / 1e6:.1f} ms" if isinstance(duration, int) else ""
    own = line.get("fsproxy.upstream.reason_code")
    return f"answered {status}{took}" + (f": blocked by itself, {_reason(own)}" if own is not None else "")


def _rejections(line: Line) -> Iterator[tuple[str, str]]:
    listed = line.get("fsproxy.rejections") or ()
    for each in listed:
        code = str(each.get("code"))
        means = _MEANS[RejectionCode(code)] if code in _MEANS else ""
        what = " ".join(safe(str(each[name])) for name in ("call", "property") if each.get(name))
        yield "rejected", f"{what or 'the call'}: {safe(code)}" + (f", {means}" if means else "")
    more = int(line.get("fsproxy.rejections_count") or 0) - len(listed)
    yield "rejected", f"and {more} more, not listed in the line (audit.rejections)" if more > 0 else ""


def _left_out(line: Line, facts: Line) -> str:
    if facts.get("unnamed"):
        return "address, user and session: the visitor opted out or is being deleted"
    how = facts.get("address")
    said = []
    if line.get("client.address"):
        said.append("the address, of which a hash is written (audit.client_ip)")
    elif how is not None:
        said.append("the last part of the address" if how == TRUNCATED else "the address (audit.client_ip)")
    if facts.get("identified"):
        said.append("the visitor's uid, never written")
    return ", and ".join(said)


def _text(line: Line, name: str) -> str:
    return safe(str(line.get(name) or "?"))
