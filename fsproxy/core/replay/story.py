"""One audit line, in words: for ``why`` and for the admin API alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from fsproxy.core.audit.facts import TRUNCATED
from fsproxy.core.audit.privacy import safe
from fsproxy.core.audit.redactions import told_redactions
from fsproxy.core.audit.rule_texts import rule_text
from fsproxy.core.failures import Failure
from fsproxy.core.filters import FILTERS
from fsproxy.core.filters.base import RUN_TIME_IDS
from fsproxy.core.model import FilterName
from fsproxy.core.policy import Snapshot
from fsproxy.core.policy_rules import hit_by_address, hits_in
from fsproxy.core.reasons import RejectionCode
from fsproxy.core.replay.again import Replay
from fsproxy.core.replay.facts import page_line
from fsproxy.core.wording import reason, sentence

Line = Mapping[str, Any]

_REJECTIONS = {
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
    RejectionCode.UNPLANNED_EVENT: "the plan of names does not have this event",
    RejectionCode.UNPLANNED_PROPERTY: "the plan of names does not have this property, or not with this type",
    RejectionCode.MISSING_PROPERTY: "the plan of names requires this property of the event",
    RejectionCode.CARDINALITY_EXCEEDED: "the org, or the page, has used up its number of names, and this one is new",
    RejectionCode.RATE_LIMITED: "the session, or the page, made too many calls",
}
_OUTCOMES = {
    "captured": "The page was captured.",
    "forwarded": "The request was forwarded.",
    "rejected": "The request was rejected: no valid call was in it, and nothing was forwarded.",
    "failed": "The request failed.",
}
_SESSIONS = {"new": "new", "under_way": "under way", "admitted": "new, of a visitor whom ramping admitted before"}
_NO_RULES = "With --config FILE, its line in that file is shown here."
_OF_ITS_PAGE = " This was decided on its page, which was blocked."
_OR_ANOTHER = ", or another rule that has this id, as the id hides a part of the address"
_NO_PLACE = {"state:down": "state.on_error"} | {f"{each.value}:error": "filters.on_error" for each in FilterName}
_NO_PLACE |= {
    rule: f"an entry of the list {name} at run time (fsproxy lists show {name})" for rule, name in RUN_TIME_IDS.items()
}
"""Rules that no line of the file holds, and what decided in their place."""
_ON_PAGES_ONLY = {each.name.value for each in FILTERS if each.on_pages_only}


class Rules:
    """A configuration in which rules are looked up. It may not be the one that decided."""

    def __init__(self, name: str, snapshot: Snapshot) -> None:
        """``name``: what the configuration is called in the story."""
        self.snapshot = snapshot
        self._name = name
        self._replay = Replay(snapshot)
        self._places: dict[int, dict[str, str]] = {}
        """Of the policies that were asked for, by identity: the place of each rule. They may have 100,000."""

    @property
    def remembered(self) -> int:
        """How many parts of pages are kept, to answer again without looking."""
        return self._replay.remembered

    def place(self, rule: str, org: str | None, generation: object, known: str = "") -> str:
        """Return a sentence that says where the rule is. ``known``: its place, if these rules decided."""
        if rule in _NO_PLACE:
            return f"No line of the file: {_NO_PLACE[rule]} decided."
        found = known or self._place(org, rule)
        if found is None:
            return f"It is not in {self._name} as it is now; generation {generation} had it."
        where = found or f"A default, which {self._name} does not write out"
        return f"{where} (as the file is now; generation {generation} may have been another)"

    def _place(self, org: str | None, rule: str) -> str | None:
        policy = self.snapshot.policy(org)
        places = self._places.get(id(policy))
        if places is None:
            places = self._places[id(policy)] = {}
            for hit in hits_in(policy):
                known = places.setdefault(hit.rule.id, hit.rule.where)
                if known != hit.rule.where and not known.endswith(_OR_ANOTHER):
                    places[hit.rule.id] = known + _OR_ANOTHER
        if rule not in places:
            found = hit_by_address(policy, rule)
            return found.rule.where if found is not None else None
        return places[rule]

    def today(self, line: Line) -> str:
        """Return a sentence that says what this configuration would decide about a page."""
        decided = self._replay.decide(page_line(line))
        if not decided.judged:
            return "It had failed before the filters were asked."
        if decided.undecidable:
            rules = f" (rule {', '.join(decided.rules)})" if decided.rules else ""
            return f"It cannot be known: {decided.undecidable}{rules}."
        if decided.code:
            return f"It would be blocked with {reason(decided.code)} by the rule {decided.rule}."
        return "It would be captured."


def story(line: Line, rules: Rules | None, where: str = "") -> list[tuple[str, str]]:
    """Return the story as labels and sentences.

    Without ``rules``, no place of a rule is in it. ``where``: the place of the rule that blocked, where ``rules`` are
    those that decided.
    """
    return [(label, text) for label, text in _parts(line, rules, where) if text]


def _parts(line: Line, rules: Rules | None, where: str) -> Iterator[tuple[str, str]]:
    facts: Line = line.get("fsproxy.facts") or {}
    yield "request", _request(line, facts)
    yield "decision", _decision(line)
    rule, org, generation = line.get("rule.id"), line.get("organization.id"), line.get("fsproxy.generation")
    if rule:
        name = _text(line, "fsproxy.filter")
        yield "rule", f"{safe(str(rule), 256)} (filter {name}), config generation {generation}"
        means = rule_text(name, str(rule), line.get("fsproxy.reason_code"))
        yield "meaning", sentence(means) + (_OF_ITS_PAGE if _is_its_pages(line) else "")
        yield "place", rules.place(str(rule), org, generation, where) if rules is not None else _NO_RULES
    else:
        yield "rules", f"config generation {generation}, mode {_text(line, 'fsproxy.mode')}"
    for hit in line.get("fsproxy.shadow") or ():
        rule = str(hit.get("rule.id"))
        blocks = f"It would be blocked with {reason(hit.get('reason_code'))} by the rule {safe(rule, 256)}"
        yield "shadow", f"{blocks}, if that were enforced."
        if rules is not None:
            yield "place", rules.place(rule, org, generation)
    failed = line.get("fsproxy.filters_failed")
    yield (
        "fault",
        f"These filters failed, so filters.on_error decided: {', '.join(map(str, failed))}." if failed else "",
    )
    yield "state", "The store was down, so state.on_error decided." if line.get("fsproxy.ledger_down") else ""
    yield "upstream", _upstream(line)
    yield from _rejections(line)
    yield from _rejections(line, "fsproxy.shadow_rejections", "reported")
    yield from told_redactions(line)
    yield "left out", _left_out(line, facts)
    if rules is not None and line.get("event.action") == "page":
        yield "today", rules.today(line)


def _request(line: Line, facts: Line) -> str:
    parts = {
        "org": line.get("organization.id"),
        "domain": line.get("url.domain"),
        **_of_filter(line, facts),
        "session": line.get("fsproxy.session_id"),
        "which is": _SESSIONS.get(str(facts.get("session"))),
        "page": line.get("fsproxy.page_id"),
        "user": line.get("fsproxy.user_id"),
        "address": line.get("client.ip") or line.get("client.address"),
        "location": line.get("client.geo.region_iso_code") or line.get("client.geo.country_iso_code"),
        "User-Agent": line.get("user_agent.original"),
    }
    return ", ".join(f"{name} {safe(str(value), 120)}" for name, value in parts.items() if value)


def _of_filter(line: Line, facts: Line) -> Line:
    """Return what only one filter looks at, where that one blocked."""
    match line.get("fsproxy.filter"):
        case "url":
            return {"scheme": facts.get("scheme"), "URL's length": line.get("fsproxy.url.length")}
        case "script":
            return {"script's version": facts.get("version"), "script built": _day(facts.get("compiled"))}
    return {}


def _is_its_pages(line: Line) -> bool:
    return line.get("event.action") != "page" and line.get("fsproxy.filter") in _ON_PAGES_ONLY


def _day(built: object) -> str:
    try:
        return datetime.fromtimestamp(float(str(built)), UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"


def _decision(line: Line) -> str:
    outcome = str(line.get("fsproxy.decision"))
    code, error, status = (
        line.get(name) for name in ("fsproxy.reason_code", "fsproxy.error", "http.response.status_code")
    )
    if outcome == "blocked":
        sentences = [f"The request was blocked with {reason(code)}."]
    elif outcome == "captured" and line.get("fsproxy.upstream.status_code") not in {None, 200}:
        # Recorders take any other answer for a block (wire.md 1).
        sentences = ["The page was let through, but the upstream did not capture it."]
    else:
        sentences = [_OUTCOMES.get(outcome) or sentence(safe(outcome))]
    if error:
        known = next((each for each in Failure if each.value == error), None)
        sentences.append(known.detail if known is not None else sentence(safe(str(error))))
    sentences.append(f"The answer had status {status}." if status else "There was no answer.")
    return " ".join(sentences)


def _upstream(line: Line) -> str:
    status, duration = line.get("fsproxy.upstream.status_code"), line.get("fsproxy.upstream.duration")
    if status is None:
        return "It was asked and did not answer." if duration else "It was not asked."
    time = f" after {duration / 1e6:.1f} ms" if isinstance(duration, int) else ""
    own = line.get("fsproxy.upstream.reason_code")
    blocked = f" It blocked the session itself, with {reason(own)}." if own is not None else ""
    return f"It answered with status {status}{time}.{blocked}"


def _rejections(line: Line, name: str = "fsproxy.rejections", verdict: str = "rejected") -> Iterator[tuple[str, str]]:
    listed = line.get(name) or ()
    for each in listed:
        code = str(each.get("code"))
        means = f", {_REJECTIONS[RejectionCode(code)]}" if code in _REJECTIONS else ""
        what = " ".join(safe(str(each[part])) for part in ("call", "property") if each.get(part))
        yield verdict, f"{what or 'the call'}: {safe(code)}{means}"
    more = int(line.get(f"{name}_count") or 0) - len(listed)
    yield verdict, f"and {more} more, which the line does not list (audit.rejections)" if more > 0 else ""


def _left_out(line: Line, facts: Line) -> str:
    if facts.get("unnamed"):
        return "The address, user and session: the visitor opted out or is being deleted."
    how = facts.get("address")
    left = []
    if line.get("client.address"):
        left.append("the address, of which a hash is written (audit.client_ip)")
    elif how is not None:
        left.append("the last part of the address" if how == TRUNCATED else "the address (audit.client_ip)")
    if facts.get("identified"):
        left.append("the visitor's uid, which is never written")
    return sentence(", and ".join(left)) if left else ""


def _text(line: Line, name: str) -> str:
    return safe(str(line.get(name) or "?"))
