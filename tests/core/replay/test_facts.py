"""An audit line, read: what stands in it, and what stands for what does not."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.audit.facts import AuditFacts
from fsproxy.core.matching.hosts import parse_url
from fsproxy.core.model import Route
from fsproxy.core.replay.facts import (
    SOME_VALUE,
    PageLine,
    ReplayedFacts,
    address_part,
    is_cut,
    page_part,
    rebuilt_url,
)

SAID = AuditFacts()
LEAST = b'{"event.action":"page","@timestamp":"2026-11-21T00:00:00.000Z","http.request.id":"r"}'


def test_a_line_that_says_least_says_nothing_of_the_rest() -> None:
    line = msgspec.json.decode(LEAST, type=PageLine)
    assert (line.rule, line.filter, line.user_id, line.fresh_user_id, line.domain) == ("", "", "", "", "")
    assert (line.reason_code, line.org, line.client_ip, line.country, line.region, line.user_agent) == (None,) * 6
    assert (line.ledger_down, line.url_length, line.over_quota, bytes(line.facts)) == (False, 0, False, b"")
    facts = ReplayedFacts(route=Route.PAGE)
    assert (facts.agent_cut, facts.url_grown, facts.same_users, facts.url_length) == (False, False, False, 0)


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "255.255.255.255", "1.0.255.0", "0.255.0.255", "10.1.2.3", "2001:db8::1", "::ffff:10.0.0.1"]
)
def test_an_address_is_what_it_says(text: str) -> None:
    assert address_part(text, SAID).client_ip == ip_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "256.0.0.0",
        "0.256.0.0",
        "0.0.256.0",
        "0.0.0.256",
        "-1.0.0.0",
        "0.-1.0.0",
        "0.0.-1.0",
        "0.0.0.-1",
        "1.2.3",
        "a.b.c.d",
        "",
    ],
)
def test_what_is_no_address_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        address_part(text, SAID)


@settings(max_examples=100)
@given(st.ip_addresses())
def test_any_address_is_read_as_it_was_written(address: object) -> None:
    assert address_part(str(address), SAID).client_ip == address


def test_cookies_are_known_by_name_or_with_their_value() -> None:
    line = msgspec.json.decode(LEAST, type=PageLine)
    said = AuditFacts(opt_out=("out", "a=1", "b=2=3"))
    assert page_part(line, said, 0, same_users=False).cookies == f'a="1"; b="2=3"; out={SOME_VALUE}'


@pytest.mark.parametrize(
    ("said", "host", "url"),
    [
        (AuditFacts(scheme="https"), "a.example", "https://a.example"),
        (AuditFacts(scheme="https", port=8443), "a.example", "https://a.example:8443"),
        (AuditFacts(scheme="https", port=8443), "2001:db8::1", "https://[2001:db8::1]:8443"),
        (AuditFacts(scheme="https"), "[2001:db8::1]", "https://[2001:db8::1]"),
        (AuditFacts(scheme="about"), "", "about:x"),
        (AuditFacts(scheme="https", url_problems=("host",)), "", "https:x"),
        (AuditFacts(scheme="https", url_problems=("port",)), "a.example", "https://a.example:0"),
        (AuditFacts(url_problems=("unparseable",)), "", "x"),
        (AuditFacts(scheme="https", url_problems=("control",)), "a.example", "https://a.example/\x00"),
        (AuditFacts(url_problems=("missing",)), "a.example", None),
        (AuditFacts(url_problems=("not_string",)), "a.example", 0),
    ],
)
def test_the_url_that_stands_for_the_pages_own(said: AuditFacts, host: str, url: object) -> None:
    assert rebuilt_url(said, host, 0) == url
    if isinstance(url, str):
        longer = rebuilt_url(said, host, len(url) + 7)
        assert isinstance(longer, str)
        assert len(longer) == len(url) + 7
        assert longer.startswith(f"{url}/")
        if not said.url_problems:
            assert parse_url(longer) == parse_url(url)
        assert rebuilt_url(said, host, len(url)) == url


@pytest.mark.parametrize(
    ("text", "cut"),
    [("x" * 99, False), ("x" * 100, True), (r"a\u000ab", True), ("a\ufffdb", True), ("", False), ("größe", False)],
)
def test_a_text_that_was_cut_or_escaped_may_not_be_what_it_was(text: str, *, cut: bool) -> None:
    assert is_cut(text) is cut
    assert is_cut(text, 10_000) is (cut and len(text) < 100)
