"""The ids of rules: stable, and made from what the rule says."""

from __future__ import annotations

from fsproxy.core.filters.base import RUN_TIME_IDS, rule_at, rule_of, run_time_rule
from fsproxy.core.model import FilterName, Hit, ListedRule, Rule
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.run_time_lists import RunTimeList
from fsproxy.core.settings import CoreSettings, Entry, ListedEntry
from fsproxy.core.uid_digest import uid_digest


def test_a_rules_id_is_made_of_filter_verb_and_text_and_its_place_is_kept() -> None:
    made = rule_of(FilterName.IP, "block", Entry("10.0.0.0/8", "fsproxy.yaml:3:9"))
    assert made == Rule("ip:block:10.0.0.0/8", "fsproxy.yaml:3:9")


def test_an_explicit_id_goes_before_the_made_one() -> None:
    assert rule_of(FilterName.IP, "block", Entry("10.0.0.0/8", "f:1:1", "mine")) == Rule("mine", "f:1:1")


def test_the_rule_of_a_key_is_named_by_it_and_stands_where_it_does_or_nowhere() -> None:
    assert rule_at(FilterName.OPT_OUT, "gpc", {"gpc": "f:2:2"}) == Rule("opt_out:gpc", "f:2:2")
    assert rule_at(FilterName.OPT_OUT, "dnt", {"gpc": "f:2:2"}) == Rule("opt_out:dnt", "")


def test_the_rule_of_a_line_in_a_file_is_known_as_one() -> None:
    line = rule_of(FilterName.IP, "block", ListedEntry("10.0.0.0/8", "bad.txt:3:1"))
    assert line == ListedRule("ip:block:10.0.0.0/8", "bad.txt:3:1")
    assert type(rule_of(FilterName.IP, "block", Entry("10.0.0.0/8"))) is Rule


def test_a_list_that_changes_at_run_time_is_one_rule_under_a_fixed_id() -> None:
    assert {each: str(name) for each, name in RUN_TIME_IDS.items()} == {
        "ip:run-time": "ip",
        "deleting_user:run-time": "deleting_user",
        "blocked_user:run-time": "blocked_user",
    }
    listed = RunTimeList()
    found = run_time_rule(FilterName.IP, ReasonCode.IP_FILTER, CoreSettings(run_time={FilterName.IP: listed}))
    assert found is not None
    assert (found.hit, found.listed) == (Hit(FilterName.IP, ReasonCode.IP_FILTER, Rule("ip:run-time")), listed)
    assert run_time_rule(FilterName.IP, ReasonCode.IP_FILTER, CoreSettings()) is None


def test_what_is_listed_at_run_time_makes_no_other_rule_and_is_shown_nowhere() -> None:
    rules = []
    for uid in ("ann", "bob"):
        listed = RunTimeList()
        listed.put(uid_digest(uid), 2.0, 1.0)
        core = CoreSettings(run_time={FilterName.BLOCKED_USER: listed})
        rules.append(run_time_rule(FilterName.BLOCKED_USER, ReasonCode.UNSPECIFIED, core))
    assert rules[0] == rules[1]
    assert "RunTimeList" not in repr(rules[0])
