"""Every rule that can block says in words what it means."""

from __future__ import annotations

import re

import pytest

from fsproxy.core.audit.rule_texts import rule_text
from fsproxy.core.filters.url import UrlRule
from fsproxy.core.model import FilterName
from fsproxy.core.reasons import ReasonCode

WORDS = {
    "org:unlisted": "unlisted is block",
    "org:disabled": "enabled: false",
    "org:mobile": "orgs.mobile_agents",
    "org:an-id": "is not captured",
    "script:min_compiled": "before min_compiled",
    "script:require": "require is set",
    "script:an-id": "blocked_versions",
    "url:missing": "no URL",
    "url:not_string": "not a string",
    "url:max_length": "longer than max_length",
    "url:control": "control characters",
    "url:unparseable": "cannot be read",
    "url:scheme": "none of schemes",
    "url:host": "no host",
    "url:port": "bad port",
    "url:match_origin": "match_origin is set",
    "url:an-id": "not valid",
    "domain:otherwise": "otherwise is block",
    "domain:an-id": "the first rule that matches",
    "ip:run-time": "changed at run time",
    "ip:an-id": "no allow rule",
    "user_agent:missing": "block_missing",
    "user_agent:crawler": "known crawlers",
    "user_agent:an-id": "no allow rule",
    "geo:only": "zones of only",
    "geo:an-id": "zone of never",
    "opt_out:gpc": "Sec-GPC: 1",
    "opt_out:dnt": "DNT: 1",
    "opt_out:an-id": "cookie",
    "deleting_user:run-time": "listed at run time",
    "deleting_user:an-id": "users being deleted",
    "blocked_user:run-time": "blocked at run time",
    "blocked_user:an-id": "digest",
    "ramping:an-id": "outside of the share",
    "quota:an-id": "used up",
    "state:down": "state.on_error is block",
    "ip:error": "filters.on_error is block",
}


@pytest.mark.parametrize(("rule", "words"), WORDS.items())
def test_a_rule_is_explained_with_the_words_that_an_operator_looks_up(rule: str, words: str) -> None:
    text = rule_text(rule.partition(":")[0], rule)
    assert words in text
    assert re.search(r"[a-zL1?]\Z", text), "what shows the text adds the full stop"


@pytest.mark.parametrize("code", [8, ReasonCode.TRAFFIC_RAMPING])
def test_the_share_of_a_domain_rule_is_told_apart_from_the_rule(code: int) -> None:
    assert re.search("the rule's share;.* pass\\Z", rule_text("domain", "domain:capture:x", code))
    assert "share" not in rule_text("domain", "domain:capture:x", 4)
    assert "the rule's share" not in rule_text("ramping", "ramping:an-id", code)


@pytest.mark.parametrize("name", FilterName)
def test_a_rule_with_an_id_of_its_own_means_what_its_filter_means(name: FilterName) -> None:
    assert rule_text(name.value, "an-id-of-its-own")


def test_every_rule_of_a_url_has_words_of_its_own() -> None:
    told = [rule_text("url", f"url:{rule.value}") for rule in UrlRule]
    assert len(set(told)) == len(UrlRule)
    assert rule_text("url", "some-id") not in told


def test_a_filter_that_failed_is_told_apart_from_one_that_hit() -> None:
    assert "a fault of ours" in rule_text("ip", "ip:error")
    assert "a fault of ours" not in rule_text("ip", "ip:block:10.0.0.0/8")
    assert "store" in rule_text("quota", "state:down")


def test_patterns_with_colons_are_no_other_rule() -> None:
    assert "share" in rule_text("domain", "domain:capture:x", 8)
    assert rule_text("domain", "domain:block:otherwise:80") == rule_text("domain", "domain:block:x")
    assert rule_text("user_agent", "user_agent:crawler:a:b") != rule_text("user_agent", "user_agent:block:a:b")


def test_a_filter_of_a_later_version_has_no_words_here() -> None:
    assert rule_text("weather", "weather:rain") == ""
