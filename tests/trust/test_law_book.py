"""The tables of the law book say what the program does."""

from __future__ import annotations

import re

from fsproxy.core.failures import Failure
from fsproxy.core.filters import FILTERS
from fsproxy.core.model import PropertyType, Route
from fsproxy.core.reasons import ReasonCode, RejectionCode
from support.documents import rows, text_of

RULES = text_of("design/rules.md")
IN_FRAMES_OR_NOT_ANSWERED = {
    Failure.SOCKET_REFUSED,
    Failure.UPSTREAM_DECLINED,
    Failure.UPSTREAM_CUT,
    Failure.CLIENT_GONE,
    Failure.CLIENT_STALLED,
}


def test_the_filters_are_those_of_the_program_in_their_order() -> None:
    names = [row[2] for row in rows(RULES, "## 1. Filters, in the order in which they are judged")]
    assert list(dict.fromkeys(names)) == [each.name.value for each in FILTERS]


def test_the_reason_codes_have_the_texts_of_the_program() -> None:
    written = {int(code.lstrip("| ")): text.rstrip(" |").strip("`") for code, text in rows(RULES, "### Reason codes")}
    assert written == {int(code): code.text for code in ReasonCode}


def test_every_rejection_code_is_listed_and_belongs_to_a_rule() -> None:
    listed = RULES.partition("The list of codes is closed: ")[2].partition(".")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == {code.value for code in RejectionCode}
    breaches = {code for row in rows(RULES, "## 2. Client API calls") for code in re.findall(r"`([A-Z]\w+)`", row[2])}
    assert breaches == {code.value for code in RejectionCode}


def test_the_types_are_those_of_the_program() -> None:
    assert re.findall(r"`(\w+)`", " ".join(row[0] for row in rows(RULES, "### Types"))) == [
        each.value for each in PropertyType
    ]


def test_every_failure_has_its_status_on_both_kinds_of_routes() -> None:
    written = {name: row[1:] for row in rows(RULES, "### Failures") for name in re.findall(r"`(\w+)`", row[0])}
    assert set(written) == {failure.value for failure in Failure}
    for failure in set(Failure) - IN_FRAMES_OR_NOT_ANSWERED:
        page, bundle = written[failure.value]
        assert page == str(failure.status_on(Route.PAGE))
        assert bundle in {"", str(failure.status_on(Route.BUNDLE))}
