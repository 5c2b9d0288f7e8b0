"""Reason 4: ordered domain rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.filters.domain import DomainFilter, problem
from fsproxy.core.limits.ramping import Draw
from fsproxy.core.matching.domains import DomainTable, parse_pattern
from fsproxy.core.matching.hosts import Url
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, DomainRule, DomainSettings, Entry, FilterSettings, OrgSettings
from tests.support.urls import of_url

NOW = Instant(1_795_287_301.0)


def _compile(
    rules: list[tuple[str, str]], otherwise: str = "capture", mode: Mode = Mode.ENFORCE
) -> DomainFilter | None:
    domain = DomainSettings(
        rules=tuple(DomainRule(verb == "capture", Entry(text)) for verb, text in rules),
        otherwise_capture=otherwise == "capture",
        mode=mode,
    )
    return DomainFilter.compile(OrgSettings(filters=FilterSettings(domain=domain)), CoreSettings())


def _filter(rules: list[tuple[str, str]], otherwise: str = "capture") -> DomainFilter:
    made = _compile(rules, otherwise)
    assert made is not None
    return made


LAPSES = int(NOW) + 3600
ACCOUNT = {"path": "/account/**"}


def _limited(*rules: DomainRule, otherwise: bool = True, mode: Mode = Mode.ENFORCE) -> DomainFilter:
    domain = DomainSettings(rules=rules, otherwise_capture=otherwise, mode=mode)
    made = DomainFilter.compile(OrgSettings(filters=FilterSettings(domain=domain)), CoreSettings())
    assert made is not None
    return made


def _page(made: DomainFilter, url: object) -> Hit | None:
    return made.judge(SessionFacts(route=Route.PAGE, **of_url(url), origin="https://another.example"), NOW)


def _id(hit: Hit | None) -> str | None:
    return hit.rule.id if hit is not None else None


MATCHES = [
    ("example.com", "https://example.com/", True),
    ("example.com", "https://EXAMPLE.com/a?b#c", True),
    ("EXAMPLE.COM", "https://example.com", True),
    ("example.com", "https://example.com./", True),
    ("example.com.", "https://example.com/", True),
    # www is never implied
    ("example.com", "https://www.example.com/", False),
    ("www.example.com", "https://example.com/", False),
    # * is exactly one label
    ("*.example.com", "https://app.example.com/", True),
    ("*.example.com", "https://example.com/", False),
    ("*.example.com", "https://a.b.example.com/", False),
    ("*.*.example.com", "https://a.b.example.com/", True),
    ("app.*.example.com", "https://app.eu.example.com/", True),
    ("app.*.example.com", "https://web.eu.example.com/", False),
    ("app.example.*", "https://app.example.org/", True),
    ("*", "http://localhost:9000/", True),
    ("*", "https://example.com/", False),
    ("*.EXAMPLE.com", "https://APP.example.COM", True),
    # ports
    ("example.com", "https://example.com:8443/", True),
    ("example.com:8443", "https://example.com:8443/", True),
    ("example.com:8443", "https://example.com/", False),
    ("example.com:443", "https://example.com/", True),
    ("example.com:80", "http://example.com/", True),
    ("example.com:80", "https://example.com/", False),
    ("example.com", "https://example.com:/", True),
    ("*.example.com:8443", "https://app.example.com:8443/", True),
    ("*.example.com:8443", "https://app.example.com:8444/", False),
    # IDN
    ("bücher.example", "https://xn--bcher-kva.example/", True),
    ("xn--bcher-kva.example", "https://bücher.example/", True),
    ("BÜCHER.example", "https://bücher.example/", True),
    ("*.bücher.example", "https://my_app.xn--bcher-kva.example/", True),
    ("i❤.example", "https://xn--i-7iq.example/", True),
    ("example。com", "https://example.com/", True),
    # underscores and hyphens where DNS has them
    ("my_app.example.com", "https://my_app.example.com/", True),
    ("r3---sn.example.com", "https://r3---sn.example.com/", True),
    # addresses and localhost
    ("localhost", "http://localhost:9000/", True),
    ("localhost:9000", "http://localhost:9000/", True),
    ("localhost:9000", "http://localhost:9001/", False),
    ("192.168.1.7", "http://192.168.1.7/", True),
    ("192.168.1.7:8080", "http://192.168.1.7:8080/", True),
    ("192.168.1.*", "http://192.168.1.7/", True),
    ("192.168.1.*", "http://192.168.2.7/", False),
    ("[::1]", "http://[::1]:9000/", True),
    ("::1", "http://[::1]:9000/", True),
    ("[::1]:9000", "http://[::1]:9000/", True),
    ("[::1]:9000", "http://[::1]/", False),
    ("2001:DB8::1", "http://[2001:db8:0::1]/", True),
    ("*", "http://[::1]/", False),
    # userinfo is not the host
    ("example.com", "https://example.com@other.example/", False),
    ("other.example", "https://example.com:1@other.example/", True),
]


@pytest.mark.parametrize(("pattern", "url", "matches"), MATCHES)
def test_a_pattern_blocks_the_pages_whose_host_it_matches(pattern: str, url: str, *, matches: bool) -> None:
    assert problem(pattern) is None
    hit = _page(_filter([("block", pattern)]), url)
    assert _id(hit) == (f"domain:block:{pattern}" if matches else None)
    if hit is not None:
        assert (hit.filter, hit.code) == (FilterName.DOMAIN, ReasonCode.DOMAIN_FILTER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "https://example.com",
        "example.com/path",
        "a*.example.com",
        "**.example.com",
        "**:443",
        "exa mple.com",
        "example..com",
        ".example.com",
        "example.com:0",
        "example.com:65536",
        "example.com:http",
        "example.com:*",
        "example.com:",
        "[::1",
        "::1]",
        "1.2.3.4.5",
        "300.1.1.1",
        "a" * 64 + ".com",
        ".".join(["abcdefgh"] * 40),
        "user@example.com",
        "*.exa$mple.com",
        "*..com",
        "\ud800.example",
    ],
)
def test_what_is_no_pattern_is_refused_with_what_is_allowed(text: str) -> None:
    said = problem(text)
    assert said is not None
    assert "*.example.com" in said


def test_the_first_rule_that_matches_wins_whatever_it_says_and_however_it_is_written() -> None:
    rules = [("capture", "app.example.com"), ("block", "*.example.com"), ("capture", "web.example.com")]
    made = _filter(rules, otherwise="block")
    assert _page(made, "https://app.example.com/") is None
    assert _id(_page(made, "https://web.example.com/")) == "domain:block:*.example.com"
    assert _id(_page(made, "https://example.com/")) == "domain:otherwise"
    turned = _filter(list(reversed(rules)), otherwise="block")
    assert _page(turned, "https://web.example.com/") is None
    assert _id(_page(turned, "https://app.example.com/")) == "domain:block:*.example.com"


def test_of_two_wildcards_that_match_the_first_wins() -> None:
    made = _filter([("block", "*.eu.example.com"), ("block", "app.*.example.com"), ("block", "app.eu.example.com")])
    assert _id(_page(made, "https://app.eu.example.com/")) == "domain:block:*.eu.example.com"


def test_a_rule_with_a_port_and_one_without_keep_their_order() -> None:
    made = _filter([("capture", "example.com:8443"), ("block", "example.com")])
    assert _page(made, "https://example.com:8443/") is None
    assert _id(_page(made, "https://example.com/")) == "domain:block:example.com"


def test_the_same_pattern_twice_means_what_it_said_first() -> None:
    made = _filter([("capture", "example.com"), ("block", "EXAMPLE.com."), ("block", "other.example")])
    assert _page(made, "https://example.com/") is None


def test_an_explicit_id_is_kept() -> None:
    rule = DomainRule(capture=False, pattern=Entry("staging.example.com", "fsproxy.yaml:3:9", "no-staging"))
    domain = DomainSettings(rules=(rule,))
    made = DomainFilter.compile(OrgSettings(filters=FilterSettings(domain=domain)), CoreSettings())
    assert made is not None
    hit = _page(made, "https://staging.example.com/")
    assert hit is not None
    assert (hit.rule.id, hit.rule.where) == ("no-staging", "fsproxy.yaml:3:9")


@pytest.mark.parametrize(
    "url", [None, "", 7, [], "not a url", "about:blank", "file:///C:/x.html", "http://", "http://[::1"]
)
def test_a_page_without_a_host_gets_what_otherwise_says(url: object) -> None:
    assert _id(_page(_filter([("capture", "example.com")], otherwise="block"), url)) == "domain:otherwise"
    assert _page(_filter([("block", "example.com")]), url) is None


@pytest.mark.parametrize("route", [Route.BUNDLE, Route.EVENT, Route.SOCKET, Route.DIRECT_EVENT])
@pytest.mark.parametrize(
    ("origin", "rule"),
    [
        ("https://example.com", "domain:block:example.com"),
        ("https://EXAMPLE.com:8443", "domain:block:example.com"),
        ("https://other.example", "domain:otherwise"),
        ("https://app.example.com", None),
        ("null", None),
        (None, None),
        ("", None),
        ("file://", None),
        ("nonsense", None),
        ("https://", None),
    ],
)
def test_off_pages_the_origin_is_judged_and_without_a_host_nothing(
    route: Route, origin: str | None, rule: str | None
) -> None:
    made = _filter([("block", "example.com"), ("capture", "app.example.com")], otherwise="block")
    facts = SessionFacts(route=route, origin=origin, **of_url("https://example.com/"))
    assert _id(made.judge(facts, NOW)) == rule


def test_nothing_to_block_compiles_to_nothing() -> None:
    assert _compile([("capture", "example.com")]) is None
    assert _compile([]) is None
    assert _compile([("block", "example.com")], mode=Mode.OFF) is None
    assert _compile([], otherwise="block") is not None


def test_the_number_of_look_ups_is_that_of_the_shapes_and_not_of_the_rules() -> None:
    made = _filter([("block", f"*.customer{i}.example.com") for i in range(10_000)])
    assert made.table.shapes == {4: ((0,),)}
    assert _id(_page(made, "https://app.customer9999.example.com/")) == "domain:block:*.customer9999.example.com"
    assert _page(made, "https://app.customer10000.example.com/") is None


def _matches(pattern: str, host: str) -> bool:
    """What the rules say, by the letter."""
    wanted, got = pattern.split("."), host.split(".")
    return len(wanted) == len(got) and all(w in {"*", g} for w, g in zip(wanted, got, strict=True))


labels = st.sampled_from(["a", "b", "c"])
patterns = st.lists(labels | st.just("*"), min_size=1, max_size=4).map(".".join)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)


@settings(max_examples=200)
@given(rules=st.lists(st.tuples(st.sampled_from(["capture", "block"]), patterns), max_size=12), host=hosts)
def test_the_table_agrees_with_trying_every_rule_in_order(rules: list[tuple[str, str]], host: str) -> None:
    made = _filter(rules, otherwise="block")
    verb, pattern = next(((v, p) for v, p in rules if _matches(p, host)), ("otherwise", ""))
    expected = {"capture": None, "block": f"domain:block:{pattern}", "otherwise": "domain:otherwise"}[verb]
    assert _id(_page(made, f"https://{host}/")) == expected


@settings(max_examples=200)
@given(st.text(st.characters(), max_size=30))
def test_any_text_is_either_a_pattern_that_reads_the_same_again_or_refused(text: str) -> None:
    found = parse_pattern(text)
    assert (found is None) is (problem(text) is not None)
    if found is not None:
        host = f"[{found.host}]" if ":" in found.host else found.host
        again = parse_pattern(host if found.port is None else f"{host}:{found.port}")
        assert again == found


def test_the_rule_of_otherwise_has_its_id_and_its_place() -> None:
    domain = DomainSettings(otherwise_capture=False, places={"otherwise": "fsproxy.yaml:5:5"})
    made = DomainFilter.compile(OrgSettings(filters=FilterSettings(domain=domain)), CoreSettings())
    assert made is not None
    hit = _page(made, "https://a.example/")
    assert hit is not None
    assert (hit.rule.id, hit.rule.where) == ("domain:otherwise", "fsproxy.yaml:5:5")


def test_a_rule_that_is_no_pattern_keeps_its_place_among_the_others() -> None:
    table = DomainTable.of([parse_pattern("a.example"), None, parse_pattern("*.example")])
    assert [table.find(Url("https", host, None)) for host in ("a.example", "b.example", "example")] == [0, 2, None]


@pytest.mark.parametrize(
    "host",
    ["10.1.2.3", "[::ffff:10.1.2.3]", "[::ffff:a01:203]", "0xa.0x1.0x2.0x3", "167838211", "10.1.2.3.", "%31%30.1.2.3"],
)
@pytest.mark.parametrize("pattern", ["10.1.2.3", "[::ffff:10.1.2.3]"])
def test_an_address_is_one_in_whatever_form_a_browser_reads(host: str, pattern: str) -> None:
    made = _filter([("block", pattern)])
    assert _page(made, f"https://{host}/x") is not None
    assert _page(made, f"https://user@{host}:8443") is not None
    assert _page(made, "https://10.1.2.4/") is None
    origin = SessionFacts(route=Route.BUNDLE, origin=f"https://{host}")
    assert made.judge(origin, NOW) is not None


def _rule(text: str, **limits: Any) -> DomainRule:
    verb, _, pattern = text.partition(" ")
    return DomainRule(verb == "capture", Entry(pattern), **limits)


class TestLimitedRules:
    """Rules with a path, a share or an end (rules.md 7)."""

    @pytest.mark.parametrize(
        ("url", "rule"),
        [
            ("https://shop.example/account", "domain:block:**/account/**"),
            ("https://shop.example/account/7?x", "domain:block:**/account/**"),
            ("https://shop.example/account/\ud800", "domain:block:**/account/**"),
            ("https://[::1]:9000/account/7", "domain:block:**/account/**"),
            ("https://other.example/account/7", None),  # an earlier rule captures it
            ("https://shop.example/", "domain:block:shop.example"),
            ("https://shop.example:8443/pay/a", "domain:block:*.example:8443/pay/*"),
            ("https://shop.example/pay/a", "domain:block:shop.example"),
            ("https://else.example/pay/a", None),
            ("about:blank", None),
            ("file:///account/x", None),
        ],
    )
    def test_the_first_rule_that_host_and_path_match_wins(self, url: str, rule: str | None) -> None:
        made = _limited(
            _rule("capture other.example", **ACCOUNT),
            _rule("block **", **ACCOUNT),
            _rule("block *.example:8443", path="/pay/*"),
            _rule("block shop.example"),
        )
        assert _id(_page(made, url)) == rule

    def test_a_rule_is_skipped_from_the_day_on_that_it_names(self) -> None:
        made = _limited(_rule("block a.example", until=LAPSES), _rule("capture a.example"), otherwise=False)
        facts = SessionFacts(route=Route.PAGE, **of_url("https://a.example/"))
        assert _id(made.judge(facts, Instant(LAPSES - 0.001))) == "domain:block:a.example"
        assert made.judge(facts, Instant(LAPSES)) is None
        bundle = SessionFacts(route=Route.BUNDLE, origin="https://a.example")
        assert _id(made.judge(bundle, Instant(LAPSES - 0.001))) == "domain:block:a.example"
        assert made.judge(bundle, Instant(LAPSES)) is None

    @pytest.mark.parametrize(
        ("rules", "hit"),
        [
            ([("block a.example", ACCOUNT), ("block a.example", {})], None),
            ([("block **", ACCOUNT), ("block a.example", {})], None),
            ([("capture a.example", {"share": 0.0}), ("block a.example", {})], None),
            ([("block a.example", {}), ("block **", ACCOUNT)], "domain:block:a.example"),
            ([("block b.example", ACCOUNT), ("block *.example", {})], "domain:block:*.example"),
            ([("block b.example", ACCOUNT)], "domain:otherwise"),
            ([("block a.example", {**ACCOUNT, "until": int(NOW)}), ("block a.example", {})], "domain:block:a.example"),
        ],
    )
    def test_off_pages_the_first_rule_for_the_host_decides_if_it_needs_nothing_else(
        self, rules: list[tuple[str, dict[str, Any]]], hit: str | None
    ) -> None:
        made = _limited(*(_rule(text, **limits) for text, limits in rules), otherwise=False)
        facts = SessionFacts(route=Route.BUNDLE, origin="https://a.example", **of_url("https://a.example/account/x"))
        assert _id(made.judge(facts, NOW)) == hit

    def test_a_share_excludes_by_a_hash_that_its_rule_salts_and_never_drops_who_was_in(self) -> None:
        def inside(part: float, rule_id: str | None = None) -> set[int]:
            rule = DomainRule(True, Entry("a.example", "f:1:1", rule_id), "/pay/*", part)
            made = _limited(rule)
            found = set()
            for number in range(400):
                facts = SessionFacts(Route.PAGE, "o-1", user_id=f"u{number}", **of_url("https://a.example/pay/x"))
                assert made.judge(facts, NOW) is None  # only the ledger knows whether the session is under way
                share = made.share(facts, NOW)
                assert share is not None
                assert (share.hit.code, share.hit.filter) == (ReasonCode.TRAFFIC_RAMPING, FilterName.DOMAIN)
                assert share.hit.rule.id == (rule_id or "domain:capture:a.example/pay/*")
                if not share.excludes(facts):
                    found.add(number)
            return found

        tenth, quarter = inside(0.1), inside(0.25)
        assert 20 < len(tenth) < 60 < len(quarter) < 150
        assert tenth < quarter
        assert inside(0.25, "pay") not in (quarter, set())
        assert (inside(0.0), len(inside(1.0))) == (set(), 400)

    def test_other_pages_are_in_no_share(self) -> None:
        made = _limited(_rule("capture a.example", path="/pay/*", share=0.1), _rule("block a.example", path="/x"))
        for url in ("https://a.example/", "https://b.example/pay/x", "https://a.example/x", 7):
            assert made.share(SessionFacts(Route.PAGE, **of_url(url)), NOW) is None

    def test_the_work_is_that_of_the_rules_that_match_and_not_of_all(self) -> None:
        made = _limited(*(_rule("block **", path=f"/p{n}/**") for n in range(2000)), _rule("block *.b", path="/**"))
        assert made.limited is not None
        assert max(map(len, made.limited.on_pages.values())) == 1
        assert _id(_page(made, "https://a.example/p1999/x")) == "domain:block:**/p1999/**"
        assert _page(made, "https://a.example/p2000/x") is None

    def test_a_rule_that_only_captures_a_share_is_something_to_do(self) -> None:
        assert _limited(_rule("capture a.example", share=0.5)).shares

    def test_an_admitted_first_visit_of_a_share_is_remembered_by_the_rule(self) -> None:
        made = _limited(_rule("capture a.example", share=0.25))
        share = made.share(SessionFacts(route=Route.PAGE, org="o", **of_url("https://a.example/")), NOW)
        assert share is not None
        assert share.draw == Draw("domain:capture:a.example", 0.25, "domain:capture:a.example")

    def test_without_a_path_a_share_or_an_end_rules_are_looked_up_by_host_alone(self) -> None:
        assert _limited(_rule("block a.example")).limited is None
        for limit in ({"path": "/x"}, {"share": 0.5}, {"until": LAPSES}):
            assert _limited(_rule("block b.example"), _rule("capture a.example", **limit)).limited is not None


GLOBS = [None, "/**", "/a/*", "/a", "/**/b"]
PATHS = ["/", "/a", "/a/b", "/b", "/a/b/c"]
MEANS = {None: PATHS, "/**": PATHS, "/a/*": ["/a/b"], "/a": ["/a"], "/**/b": ["/a/b", "/b"]}


@settings(max_examples=150)
@given(
    rules=st.lists(
        st.tuples(patterns | st.just("**"), st.sampled_from(GLOBS), st.sampled_from([None, -1, 1])), max_size=8
    ),
    host=hosts,
    path=st.sampled_from(PATHS),
)
def test_limited_rules_agree_with_trying_every_rule_in_order(
    rules: list[tuple[str, str | None, int | None]], host: str, path: str
) -> None:
    def is_first(rule: tuple[str, str | None, int | None], *, on_page: bool) -> bool:
        pattern, glob, left = rule
        alike = pattern == "**" or _matches(pattern, host)
        return alike and (not on_page or path in MEANS[glob]) and left != -1

    made = _limited(
        *(
            DomainRule(False, Entry(pattern, id=str(number)), glob, None, None if left is None else int(NOW) + left)
            for number, (pattern, glob, left) in enumerate(rules)
        ),
        otherwise=False,
    )
    found = next((str(n) for n, rule in enumerate(rules) if is_first(rule, on_page=True)), "domain:otherwise")
    assert _id(_page(made, f"https://{host}{path}")) == found
    first = next((n for n, rule in enumerate(rules) if is_first(rule, on_page=False)), None)
    wanted = "domain:otherwise" if first is None else str(first) if rules[first][1] is None else None
    assert _id(made.judge(SessionFacts(route=Route.EVENT, origin=f"https://{host}"), NOW)) == wanted
