"""Audit lines as a terminal shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.core.audit.record import Outcome
from fsproxy.core.failures import Failure
from fsproxy.core.model import CallKind, FilterName, Hit, Instant, Rejection, Route, Rule, SessionFacts
from fsproxy.core.pipeline import Decision
from fsproxy.core.reasons import ReasonCode, RejectionCode
from fsproxy.telemetry.destination import Destination
from fsproxy.telemetry.short_lines import short_lines
from support.made_lines import line_of
from tests.support.urls import of_url

FACTS = SessionFacts(route=Route.PAGE, org="o-1", session_id="s-1", **of_url("https://www.example.com/secret"))
BLOCK = Decision(block=Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("demo")))
CUT = [Rejection(RejectionCode.INVALID_VALUE, CallKind.EVENT, "Bought", "price", "")]
AT = Instant(1795287341.25)


@pytest.mark.parametrize(
    ("line", "short"),
    [
        (
            line_of(FACTS, request_id="r-1", arrived=AT, status=200),
            "18:55:41.250  captured   page        o-1  www.example.com  200  5.0 ms  r-1",
        ),
        (
            line_of(FACTS, Outcome.BLOCKED, decision=BLOCK, request_id="r-1", arrived=AT, status=202),
            "18:55:41.250  \x1b[36mblocked  \x1b[0m  page        o-1  www.example.com  5 IP Filter (demo)  202  5.0 ms  r-1",
        ),
        (
            line_of(None, Outcome.FAILED, request_id="r-1", arrived=AT, failure=Failure.UPSTREAM_TIMEOUT, status=504),
            "18:55:41.250  \x1b[31mfailed   \x1b[0m  page        /rec/page  Upstream too slow  504  5.0 ms  r-1",
        ),
    ],
)
def test_a_line_tells_the_decision_and_its_reason(monkeypatch: pytest.MonkeyPatch, line: bytes, short: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert short_lines(line + b"\n").decode().replace("\x1b[2m18:55:41.250\x1b[0m", "18:55:41.250") == short + "\n"


def test_rejections_are_counted() -> None:
    line = line_of(FACTS, Outcome.FORWARDED, route=Route.BUNDLE, rejections=CUT * 3, request_id="r-1", status=200)
    assert b"\x1b[33mforwarded\x1b[0m" in short_lines(line)
    assert b"3 rejected" in short_lines(line)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    short = short_lines(line_of(FACTS, Outcome.BLOCKED, decision=BLOCK, request_id="r-1"))
    assert b"\x1b" not in short
    assert b"5 IP Filter" in short


@given(st.text(), st.text())
def test_nothing_of_a_client_reaches_the_terminal_as_a_command(org: str, host: str) -> None:
    facts = SessionFacts(route=Route.PAGE, org=org, **of_url(f"https://{host}/"))
    short = re.sub(r"\x1b\[\d+m", "", short_lines(line_of(facts, request_id="r-1")).decode())
    assert short.endswith("\n")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", short[:-1])


def test_a_destination_writes_them_and_counts_as_before(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    destination = Destination(str(file))
    destination.render = short_lines
    line = line_of(FACTS, request_id="r-1", status=200)
    assert destination.write(line + b"\n" + line + b"\n") == 0
    destination.close()
    assert file.read_text().count("r-1\n") == 2
