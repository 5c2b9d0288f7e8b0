"""``why``, ``replay`` and the admin API give one answer about a page, and it never contradicts what was decided live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fsproxy.admin.explaining import explain_record
from fsproxy.config.loader import load_text
from fsproxy.core.audit.privacy import address_mask
from fsproxy.core.audit.record import Outcome
from fsproxy.core.limits.operations import Admitted
from fsproxy.core.model import Instant, Location
from fsproxy.core.pipeline import Decision, judge, settle
from fsproxy.core.replay.again import Replay
from fsproxy.core.replay.facts import page_line
from fsproxy.core.replay.story import Rules
from fsproxy.core.wire.facts import page_facts
from fsproxy.core.wire.header_values import index
from fsproxy.core.wire.page import read_page
from fsproxy.proxy.generation import Generation
from support.made_lines import line_of

NOW = Instant(1795287341.5)
ADDRESSES = ["203.0.113.7", "203.0.113.0", "203.0.114.9", "2001:db8:1:2::3", "10.1.2.3"]
HOSTS = ["www.example.com", "staging.example.com", "a.b.example.com", "localhost", "10.1.2.3"]
AGENTS = [
    "Mozilla/5.0",
    "YandexBot/3.0",
    "okhttp/4",
    "x" * 600,
    "Half \ud83d".encode("utf-8", "surrogatepass").decode("latin-1"),
]
ANSWERS = st.sampled_from(
    [
        Admitted(under_way=False, user_admitted=False, over_quota=False),
        Admitted(under_way=True, user_admitted=False, over_quota=False),
        Admitted(under_way=False, user_admitted=True, over_quota=False),
        Admitted(under_way=False, user_admitted=False, over_quota=True),
        None,
    ]
)

NEW = Admitted(under_way=False, user_admitted=False, over_quota=False)


def some(values: list[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), max_size=most, unique_by=json.dumps)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """The filters of a configuration; any of them may be in shadow."""
    found: dict[str, Any] = {
        "script": draw(
            st.sampled_from([{}, {"min_compiled": "2023-08-03"}, {"blocked_versions": ["v-old"]}, {"require": True}])
        ),
        "url": draw(st.sampled_from([{}, {"max_length": 30}, {"match_origin": True}, {"schemes": ["https"]}])),
        "domain": {
            "otherwise": draw(st.sampled_from(["capture", "capture", "block"])),
            "rules": draw(
                some([{"block": "staging.example.com"}, {"capture": "*.example.com"}, {"block": "10.1.2.3"}])
            ),
        },
        "ip": {
            "block": draw(
                some(
                    [*ADDRESSES, "203.0.113.0/24", "203.0.113.0/29", "203.0.*.7", "2001:db8::/32", "2001:db8:1:2::/64"]
                )
            ),
            "allow": draw(some(["203.0.113.7", "203.0.113.0/24"])),
        },
        "user_agent": draw(
            st.sampled_from(
                [{}, {"block": ["YandexBot"]}, {"block": ["x{599}", "regex:x{599}"]}, {"block_missing": True}]
            )
        ),
        "geo": draw(st.sampled_from([{}, {"never": ["AQ"]}, {"only": ["US"]}, {"never": ["US-CA"]}])),
        "opt_out": draw(
            st.sampled_from([{}, {"cookies": ["leave=1"]}, {"gpc": True}, {"cookies": ["leave"], "dnt": True}])
        ),
        "deleting_user": {"block": draw(some(["uid-1", "client-1"]))},
        "blocked_user": {"block": draw(some(["uid-1", "uid-2"]))},
        "ramping": {"share": draw(st.sampled_from(["100%", "0%", "50%"]))},
    }
    if draw(st.booleans()):
        found["quota"] = {"sessions": draw(st.sampled_from([0, 100]))}
    for name in draw(some(list(found), 4)):
        found[name] = {**found[name], "mode": "shadow"}
    if found.get("geo"):
        found["geo"] = {**found["geo"], "source": {"header": "cf-ipcountry"}}
    return found


@st.composite
def configurations(draw: st.DrawFn) -> Generation:
    config = {
        "upstream": {"url": "http://127.0.0.1:9"},
        "mode": draw(st.sampled_from(["enforce", "enforce", "enforce", "shadow"])),
        "state": {"on_error": draw(st.sampled_from(["allow", "block"]))},
        "orgs": {
            "unlisted": draw(st.sampled_from(["allow", "allow", "block"])),
            "listed": {"o-1": {}, "o-off": {"enabled": False}, "o-web": {"mobile": False}},
        },
        "filters": draw(rules()),
    }
    return Generation.compile(load_text(json.dumps(config), "fsproxy.yaml", {}, Path()), 7)


@st.composite
def pages(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, str], str, str]:
    """A page's body and headers, the visitor's address and country."""
    body: dict[str, Any] = {
        "OrgId": draw(st.sampled_from(["o-1", "o-off", "o-web", "o-who", "o" * 300, 5])),
        "UserId": draw(st.sampled_from(["", "client-1", "client-2", "u" * 120])),
        "SessionId": "s",
        "PageId": "p",
        "Url": draw(
            st.sampled_from(
                [
                    *(f"https://{host}/a" for host in HOSTS),
                    "javascript:alert(1)",
                    "",
                    7,
                    "https://a.example/" + "x" * 60,
                    "http://x:99999/",
                    "https://a.example/\x01",
                ]
            )
        ),
        "CompiledTimestamp": draw(st.sampled_from([1_661_778_047, 1_770_727_426, "x", None])),
        "CompiledVersion": draw(st.sampled_from(["v-new", "v-old", "v" * 150])),
    }
    uid = draw(st.sampled_from(["", "uid-1", "uid-2", "uid-3"]))
    if uid:
        body["AppId"] = uid
    headers = {
        "User-Agent": draw(st.sampled_from(AGENTS)),
        "Origin": f"https://{draw(st.sampled_from(HOSTS))}",
        "Cookie": draw(st.sampled_from(["", "leave=1", "leave=0; x=y", "other=1"])),
        "Sec-GPC": draw(st.sampled_from(["", "1"])),
        "DNT": draw(st.sampled_from(["", "1"])),
    }
    return (
        body,
        {k: v for k, v in headers.items() if v},
        draw(st.sampled_from(ADDRESSES)),
        draw(st.sampled_from(["", "US", "US-CA", "AQ", "XX"])),
    )


Page = tuple[dict[str, Any], dict[str, str], str, str]


def decided(generation: Generation, page: Page, answer: Admitted | None, mask: str) -> tuple[Decision, dict[str, Any]]:
    """The live decision on a page, and its audit line."""
    body, headers, address, country = page
    read = read_page(json.dumps(body).encode())
    assert read is not None
    policy = generation.snapshot.policy(body["OrgId"] if isinstance(body["OrgId"], str) else None)
    client = generation.clients.resolve("127.0.0.1", index(((b"x-forwarded-for", address.encode()),)))
    located = Location(country.partition("-")[0], country if "-" in country else None) if policy.geo_source else None
    facts = page_facts(
        read,
        index(tuple((k.encode(), v.encode("latin-1", "replace")) for k, v in headers.items())),
        client,
        located,
        fresh_user_id="fresh-1" if policy.ramping is not None and not body["UserId"] else "",
    )
    decision = settle(policy, judge(policy, facts, NOW, "token"), answer)
    outcome = Outcome.CAPTURED if decision.block is None else Outcome.BLOCKED
    written = line_of(facts, outcome, arrived=NOW, decision=decision, policy=policy, mask=address_mask(mask, "key"))
    return decision, json.loads(written)


def answers(generation: Generation, line: dict[str, Any]) -> tuple[int | None, str]:
    """The one answer of all who are asked: the code (0: captured; None: not known) and the rule, or what is missing."""
    replayed = Replay(generation.snapshot).decide(page_line(line))
    told = explain_record(generation, line)
    today = Rules("fsproxy.yaml", generation.snapshot).today(line)
    if replayed.undecidable:
        assert (told["decision"], told["because"]) == ("undecidable", replayed.undecidable)
        assert told["rules"] == list(replayed.rules)
        assert today.startswith(f"It cannot be known: {replayed.undecidable}")
        assert all(rule in today for rule in told["rules"])
        return None, replayed.undecidable
    if replayed.code:
        assert (told["decision"], told["reason_code"], told["rule"]["id"]) == ("blocked", replayed.code, replayed.rule)
        assert today.startswith(f"It would be blocked with reason_code {replayed.code} ")
        assert today.endswith(f"by the rule {replayed.rule}.")
    else:
        assert (told["decision"], today) == ("captured", "It would be captured.")
    return replayed.code, replayed.rule


@given(pages(), configurations(), ANSWERS, st.sampled_from(["full", "truncated", "hashed", "none"]))
def test_the_rules_that_judged_are_never_said_to_decide_otherwise(
    page: Page, generation: Generation, answer: Admitted | None, mask: str
) -> None:
    decision, line = decided(generation, page, answer, mask)
    code, rule = answers(generation, line)
    if code is not None:
        block = decision.block
        assert (code, rule) == ((0, "") if block is None else (int(block.code), block.rule.id))


@given(pages(), configurations(), configurations(), st.sampled_from(["full", "truncated", "hashed", "none"]))
def test_other_rules_are_said_to_decide_what_they_do_decide(
    page: Page, before: Generation, after: Generation, mask: str
) -> None:
    _, line = decided(before, page, NEW, mask)
    code, rule = answers(after, line)
    if code is not None:
        block = decided(after, page, NEW, mask)[0].block
        assert (code, rule) == ((0, "") if block is None else (int(block.code), block.rule.id))


def test_whole_lines_are_decidable_and_truncated_ones_name_the_rule_and_what_is_missing() -> None:
    config = {"upstream": {"url": "http://127.0.0.1:9"}, "filters": {"ip": {"block": ["203.0.113.7"]}}}
    generation = Generation.compile(load_text(json.dumps(config), "fsproxy.yaml", {}, Path()), 1)
    page: Page = ({"OrgId": "o-1", "UserId": "u", "Url": "https://a.example/"}, {}, "203.0.113.7", "")
    assert answers(generation, decided(generation, page, NEW, "full")[1]) == (5, "ip:block:203.0.113.x")
    _, line = decided(generation, page, NEW, "truncated")
    assert line["client.ip"] == "203.0.113.0"
    told = explain_record(generation, line)
    assert (told["decision"], told["because"], told["rules"]) == (
        "undecidable",
        "ip: the line does not hold the whole address",
        ["ip:block:203.0.113.x"],
    )
