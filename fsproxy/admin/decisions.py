"""The requests of the past: found by what is asked for, counted, put into words, and divided into pages.

Nothing here does I/O, and all of it may run in a thread beside the event loop: it looks at copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from fsproxy.admin.answers import AddressAsked, Decision, Decisions, OutcomeCounts
from fsproxy.admin.queries import Cursor, DecisionsQuery
from fsproxy.admin.views import REASONS
from fsproxy.config.schema import AuditConfig
from fsproxy.core.audit.privacy import kept_bits, truncated
from fsproxy.core.audit.record import Outcome
from fsproxy.core.json.surrogates import without_halves
from fsproxy.core.model import Address
from fsproxy.core.replay.story import Rules, story
from fsproxy.core.wire.client_address import parse_address
from fsproxy.telemetry.ring import MOST_DECISIONS, MOST_FORWARDED, Noted

Wanted = Callable[[bytes], bool]
"""Returns whether an audit line is one of those that the question is about."""
MINUTE = 60
_encode = msgspec.json.Encoder().encode
_read_line = msgspec.json.Decoder(dict[str, Any]).decode


class _End(msgspec.Struct):
    """What is counted of a line."""

    decision: str = msgspec.field(name="fsproxy.decision", default="")
    rejections: int = msgspec.field(name="fsproxy.rejections_count", default=0)


_read_end = msgspec.json.Decoder(_End).decode


def find(kept: Sequence[Noted], query: DecisionsQuery, audit: AuditConfig) -> tuple[list[Noted], OutcomeCounts, str]:
    """Return the newest of the lines that are asked for, how many there are, and the cursor to go on with, or "".

    ``kept`` is in no order. The counts are of all lines that meet all conditions but the outcome.
    """
    wanted, below = conditions(query, audit), Cursor.parse(query.before) if query.before else None
    counts: OutcomeCounts = {"all": 0, "blocked": 0, "rejected": 0, "failed": 0, "captured": 0, "forwarded": 0}
    found: list[Noted] = []
    for each in kept:
        if not wanted(each):
            continue
        end = _read_end(each.line)
        outcomes = {end.decision, "rejected"} if end.rejections else {end.decision}
        counts["all"] += 1
        for outcome in outcomes:
            counts[outcome] += 1  # type: ignore[literal-required]
        if query.outcome is UNSET or query.outcome in outcomes:
            found.append(each)
    if below is not None:
        found = [each for each in found if each.place < (below.microsecond, below.number)]
    found.sort(key=lambda each: each.place, reverse=True)
    shown = found[: query.limit]
    microsecond, number = shown[-1].place if len(found) > len(shown) else (0, 0)
    return shown, counts, str(Cursor(microsecond, 0, number)) if number else ""


def answer(
    found: tuple[list[Noted], OutcomeCounts, str],
    query: DecisionsQuery,
    audit: AuditConfig,
    rules: Rules,
    *,
    number: int,
    since: float,
) -> Decisions:
    """Return the answer of one process. ``number`` and ``since``: what its ring says of all that it keeps."""
    shown, counts, after = found
    return {
        "decisions": tell(shown, rules),
        "next": after or None,
        "matching": matching(counts, query),
        "counts": counts,
        "kept": {"decisions": MOST_DECISIONS, "forwarded": MOST_FORWARDED, "since": since},
        "address": address_asked(query.address, audit) if query.address else None,
        "number": number,
    }


def matching(counts: OutcomeCounts, query: DecisionsQuery) -> int:
    """Return how many lines meet all conditions."""
    found: int = counts["all" if query.outcome is UNSET else query.outcome]  # type: ignore[literal-required]
    return found


def tell(lines: Sequence[Noted], rules: Rules) -> list[Decision]:
    """Return requests with their audit lines, whether or not these were written, and what the lines say in words."""
    return [_told(each, rules) for each in lines]


def _told(noted: Noted, rules: Rules) -> Decision:
    line = _read_line(noted.line)
    same_rules = line.get("fsproxy.generation") == rules.snapshot.generation
    return {
        "number": noted.number,
        "where": noted.where,
        "ended": noted.ended,
        # The answer's encoder copies a Raw object as it is.
        "line": cast("dict[str, Any]", msgspec.Raw(noted.line)),
        "story": [list(part) for part in story(line, rules, noted.where if same_rules else "")],
    }


# -- conditions


def conditions(query: DecisionsQuery, audit: AuditConfig) -> Callable[[Noted], bool]:
    """Return a test of whether a line meets all conditions but the outcome and the cursor."""
    test = wanted(query, audit)
    if query.at is UNSET:
        return lambda noted: test(noted.line)
    begin = query.at // MINUTE * MINUTE
    end = begin + query.minutes * MINUTE
    return lambda noted: begin <= noted.ended < end and test(noted.line)


def wanted(query: DecisionsQuery, audit: AuditConfig) -> Wanted:
    """Return a test of whether a line meets all of ``org``, ``code``, ``session``, ``address`` and ``q``."""
    tests: list[Wanted] = []
    if query.org:
        tests.append(_has("organization.id", query.org))
    if query.code is not UNSET:
        tests.append(_of_code(query.code))
    if query.session:
        tests.append(_contains(_member("fsproxy.session_id", query.session)[:-1]))
    if query.address:
        masked = address_asked(query.address, audit)["listed_as"] or ""
        ip, hashed = _has("client.ip", masked), _has("client.address", masked)
        tests.append(lambda line: bool(masked) and (ip(line) or hashed(line)))
    if text := query.q.strip().casefold():
        tests.append(lambda line: any(text in (each or "").casefold() for each in astuple(_read_texts(line))))
    return lambda line: all(test(line) for test in tests)


def address_asked(given: str, audit: AuditConfig) -> AddressAsked:
    """Return how lines have this address, or its hash, and how many addresses they have alike."""
    address = parse_address(given)
    if address is None:
        return {"asked": given, "listed_as": given, "stands_for": 1}
    mask = audit.mask
    listed = mask(address)
    stands_for = None if listed is None else _alike(address) if mask is truncated else 1
    return {"asked": given, "listed_as": listed, "stands_for": stands_for}


def _alike(address: Address) -> float:
    return 1 << (address.max_prefixlen - kept_bits(address))


def _of_code(code: str) -> Wanted:
    if code in REASONS:
        return _contains(b'"fsproxy.reason_code":%b,' % code.encode())
    if code in {outcome.value for outcome in Outcome}:
        return _has("fsproxy.decision", code)
    rejected, failed = _has("code", code), _has("fsproxy.error", code)
    return lambda line: rejected(line) or failed(line)


def _member(name: str, text: str) -> bytes:
    """Return a member as a line has it. As quotes are escaped in JSON, no text can contain it."""
    return b'"%b":%b' % (name.encode(), _encode(without_halves(text)))


def _contains(part: bytes) -> Wanted:
    return lambda line: part in line


def _has(name: str, text: str) -> Wanted:
    return _contains(_member(name, text))


_SEARCHED = (
    *("organization.id", "fsproxy.session_id", "fsproxy.page_id", "fsproxy.user_id", "http.request.id", "rule.id"),
    *("event.reason", "url.domain", "client.ip", "client.address", "client.geo.country_iso_code", "fsproxy.error"),
    "user_agent.original",
)
"""The texts of a line in which ``q`` is looked for."""
_fields = [(f"text_{n}", str | None, msgspec.field(default=None, name=name)) for n, name in enumerate(_SEARCHED)]
_read_texts = msgspec.json.Decoder(msgspec.defstruct("SearchedTexts", _fields)).decode
