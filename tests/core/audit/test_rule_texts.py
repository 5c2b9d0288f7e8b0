"""Every rule that can block says in words what it means."""

from __future__ import annotations

import pytest

from fsproxy.core.audit.rule_texts import meaning
from fsproxy.core.filters.url import UrlRule
from fsproxy.core.model import FilterName


@pytest.mark.parametrize("name", FilterName)
def test_a_rule_with_an_id_of_its_own_means_what_its_filter_means(name: FilterName) -> None:
    assert meaning(name.value, "an-id-of-its-own")


def test_every_rule_of_a_url_has_words_of_its_own() -> None:
    told = [meaning("url", f"url:{rule.value}") for rule in UrlRule]
    assert len(set(told)) == len(UrlRule)
    assert meaning("url", "some-id") not in told


def test_a_filter_that_failed_is_told_apart_from_one_that_hit() -> None:
    assert "a fault of ours" in meaning("ip", "ip:error")
    assert "a fault of ours" not in meaning("ip", "ip:block:10.0.0.0/8")
    assert "store" in meaning("quota", "state:down")


def test_patterns_with_colons_are_no_other_rule() -> None:
    assert meaning("domain", "domain:block:otherwise:80") == meaning("domain", "domain:block:x")
    assert meaning("user_agent", "user_agent:crawler:a:b") != meaning("user_agent", "user_agent:block:a:b")


def test_a_filter_of_a_later_version_has_no_words_here() -> None:
    assert meaning("weather", "weather:rain") == ""
