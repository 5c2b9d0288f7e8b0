"""What is hidden, and how an address is found that lines hold in another form."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fsproxy.admin import views
from fsproxy.config.schema import AddressPrivacy, AuditConfig, Config, UpstreamConfig
from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.audit.record import Outcome
from fsproxy.core.model import FilterName, Hit, Route, Rule, SessionFacts
from fsproxy.core.pipeline import Decision
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.wire.client_address import parse_address
from support.made_lines import line_of
from tests.support.urls import of_url

ADDRESS = "203.0.113.77"


def test_what_is_added_to_the_configuration_and_kept_out_of_logs_is_hidden_here_too() -> None:
    @dataclass(frozen=True)
    class Section:
        seen: str = "seen"
        secret: str = field(default="s3cret", repr=False)
        unset: str | None = field(default=None, repr=False)

    assert views._plain(Section()) == {"seen": "seen", "secret": "(hidden)", "unset": None}


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("https://me:s3cret@a.example:1/prefix", "https://(hidden)@a.example:1/prefix"),
        ("redis://:s3cret@a.example/0?password=s3cret", "redis://(hidden)@a.example/0?(hidden)"),
        ("redis://:s3cret@[", "(hidden)"),
        ("unix:///run/redis.sock?password=s3cret", "unix:///run/redis.sock?(hidden)"),
    ],
)
def test_an_address_is_told_without_user_password_and_query(url: str, told: str) -> None:
    config = Config(upstream=UpstreamConfig(url=url, prefixes=(("/a", url),)))
    upstream = views.effective(config)["upstream"]
    assert upstream["url"] == told
    assert upstream["prefixes"] == [["/a", told]]


@pytest.mark.parametrize("privacy", AddressPrivacy)
def test_an_address_is_found_in_the_form_that_lines_hold(privacy: AddressPrivacy) -> None:
    audit = AuditConfig(client_ip=privacy, client_ip_key="key")
    config = Config(upstream=UpstreamConfig(url="http://127.0.0.1:9"), audit=audit)
    address = parse_address(ADDRESS)
    assert address is not None
    facts = SessionFacts(route=Route.PAGE, client_ip=address)
    held = line_of(facts, mask=address_mask(privacy.value, "key"))
    assert views.wanted(config, {"address": ADDRESS})(held) is (privacy is not AddressPrivacy.NONE)
    assert views.wanted(config, {"address": "198.51.100.1"})(held) is False


FACTS = SessionFacts(route=Route.PAGE, org="o-1", session_id='s"1', user_agent="Straße", **of_url("https://a.example/"))
BLOCKED = Decision(block=Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:block:10.0.0.0/8")))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "blocked captured"),
        ({"org": "o-1"}, "blocked captured"),
        ({"org": "o-"}, ""),
        ({"code": "5"}, "blocked"),
        ({"code": "blocked"}, "blocked"),
        ({"code": "captured"}, "captured"),
        ({"code": "-1"}, ""),
        ({"code": '5,"rule.id'}, ""),
        ({"session": 's"'}, "blocked captured"),
        ({"session": '"1'}, ""),
        ({"session": "\ud800"}, ""),
        ({"q": "STRASSE"}, "blocked captured"),
        ({"q": "ip filter"}, "blocked"),
        ({"q": "10.0.0.0/8"}, "blocked"),
        ({"q": "under_way"}, ""),
        ({"org": "o-1", "code": "5", "session": "s", "q": "a.example"}, "blocked"),
    ],
)
def test_a_line_is_found_by_all_that_is_asked_for(query: dict[str, str], found: str) -> None:
    wanted = views.wanted(Config(upstream=UpstreamConfig(url="http://127.0.0.1:9")), query)
    assert wanted(line_of(FACTS, Outcome.BLOCKED, decision=BLOCKED)) is ("blocked" in found)
    assert wanted(line_of(FACTS, decision=Decision(token="t"))) is ("captured" in found)
