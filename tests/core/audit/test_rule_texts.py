"""Every rule that can block says in words what it means."""

from __future__ import annotations

import pytest

from fsproxy.core.audit.rule_texts import rule_text
from fsproxy.core.filters.url import UrlRule
from fsproxy.core.model import FilterName


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
