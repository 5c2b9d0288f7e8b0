"""The rules of a policy, each once, wherever its filters keep them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.policy_rules import hit_by_address, hit_of, hits_in
from fsproxy.core.settings import (
    BlockedUserSettings,
    CoreSettings,
    DeletingUserSettings,
    DomainRule,
    DomainSettings,
    Entry,
    GeoSettings,
    IpSettings,
    OptOutSettings,
    QuotaSettings,
    RampingSettings,
    ScriptSettings,
    UserAgentSettings,
)

IP = IpSettings(
    block=(Entry("10.0.0.0/8", "f:1:1"), Entry("192.0.2.7", "f:2:1"), Entry("192.0.2.9", "f:3:1"), Entry("::/33")),
    allow=(Entry("10.1.0.0/16", "f:9:1"),),
)


def policy(**filters: Any) -> OrgPolicy:
    core = CoreSettings()
    org = replace(core.default, filters=replace(core.default.filters, **filters))
    return Snapshot.compile(replace(core, default=org), 1).default


@pytest.mark.parametrize(
    ("filters", "rules"),
    [
        ({"script": ScriptSettings(require=True, min_compiled=1)}, ["script:min_compiled", "script:require"]),
        (
            {
                "domain": DomainSettings(
                    rules=(
                        DomainRule(True, Entry("a.example"), share=0.5),
                        DomainRule(False, Entry("b.example")),
                        DomainRule(False, Entry("b.example"), "/pay/*"),
                    ),
                    otherwise_capture=False,
                )
            },
            [
                "domain:block:b.example",
                "domain:block:b.example/pay/*",
                "domain:capture:a.example",
                "domain:otherwise",
            ],
        ),
        ({"ip": IP}, ["ip:block:10.0.0.0/8", "ip:block:192.0.2.x", "ip:block:192.0.2.x", "ip:block:::/33"]),
        (
            {"user_agent": UserAgentSettings(block=(Entry("Bot"), Entry("regex:[ab]")), block_missing=True)},
            ["user_agent:block:Bot", "user_agent:block:regex:[ab]", "user_agent:missing"],
        ),
        ({"geo": GeoSettings(never=(Entry("AQ"), Entry("US-CA")))}, ["geo:never:AQ", "geo:never:US-CA", "geo:only"]),
        (
            {"opt_out": OptOutSettings(gpc=True, dnt=True, cookies=(Entry("c"),))},
            ["opt_out:cookie:c", "opt_out:dnt", "opt_out:gpc"],
        ),
        ({"deleting_user": DeletingUserSettings(block=(Entry("u"), Entry("v")))}, ["deleting_user:listed"]),
        ({"blocked_user": BlockedUserSettings(block=(Entry("u", id="mine"),))}, ["mine"]),
        ({"ramping": RampingSettings(share=0.5)}, ["ramping:share"]),
        ({"quota": QuotaSettings(sessions=5)}, ["quota:sessions"]),
    ],
)
def test_each_rule_of_a_filter_is_found_once(filters: dict[str, Any], rules: list[str]) -> None:
    own = f"{next(iter(filters))}:"
    found = [hit.rule.id for hit in hits_in(policy(**filters))]
    assert sorted(rule for rule in found if rule.startswith(own) or rule in rules) == sorted(rules)
    assert [rule.partition(":")[0] for rule in found].count("url") == 9


def test_the_rules_come_in_the_order_of_judgement() -> None:
    found = policy(ip=IP, ramping=RampingSettings(share=0.5), quota=QuotaSettings(sessions=5))
    names = dict.fromkeys(hit.filter.value for hit in hits_in(found))
    assert list(names) == ["url", "ip", "opt_out", "ramping", "quota"]


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        ("ip:block:10.0.0.0/8", "f:1:1"),
        ("ip:block:192.0.2.x", "f:2:1"),
        ("ip:block:192.0.2.9", "f:3:1"),
        ("ip:block:192.0.2.8", None),
        ("ip:block:nonsense", None),
        ("ip:block:10.1.0.0/16", None),
        ("opt_out:cookie:fs_optout=1", ""),
        ("opt_out", None),
        ("", None),
    ],
)
def test_a_rule_is_found_by_its_id_and_one_about_an_address_also_by_the_whole_of_it(
    rule: str, where: str | None
) -> None:
    hit = hit_of(policy(ip=IP), rule)
    assert (hit.rule.where if hit is not None else None) == where
    assert hit_of(policy(), "ip:block:192.0.2.9") is None


def test_only_an_id_with_the_whole_address_is_looked_up_by_it() -> None:
    found = hit_by_address(policy(ip=IP), "ip:block:192.0.2.9")
    assert found is not None
    assert found.rule.where == "f:3:1"
    assert hit_by_address(policy(ip=IP), "ip:block:192.0.2.x") is None
    assert hit_by_address(policy(ip=IP), "opt_out:cookie:fs_optout=1") is None
