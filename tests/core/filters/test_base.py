"""The ids of rules: stable, and made from what the rule says."""

from __future__ import annotations

from fsproxy.core.filters.base import rule_at, rule_of
from fsproxy.core.model import FilterName, Rule
from fsproxy.core.settings import Entry


def test_a_rules_id_is_made_of_filter_verb_and_text_and_its_place_is_kept() -> None:
    made = rule_of(FilterName.IP, "block", Entry("10.0.0.0/8", "fsproxy.yaml:3:9"))
    assert made == Rule("ip:block:10.0.0.0/8", "fsproxy.yaml:3:9")


def test_an_explicit_id_goes_before_the_made_one() -> None:
    assert rule_of(FilterName.IP, "block", Entry("10.0.0.0/8", "f:1:1", "mine")) == Rule("mine", "f:1:1")


def test_the_rule_of_a_key_is_named_by_it_and_stands_where_it_does_or_nowhere() -> None:
    assert rule_at(FilterName.OPT_OUT, "gpc", {"gpc": "f:2:2"}) == Rule("opt_out:gpc", "f:2:2")
    assert rule_at(FilterName.OPT_OUT, "dnt", {"gpc": "f:2:2"}) == Rule("opt_out:dnt", "")
