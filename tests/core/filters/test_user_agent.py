"""Reason 6: what a User-Agent contains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.core.filters.user_agent import UserAgentFilter, problem
from fsproxy.core.matching import crawlers as known
from fsproxy.core.matching.crawlers import CrawlersMissingError, crawlers_problem
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, FilterSettings, OrgSettings, UserAgentSettings

NOW = Instant(1_795_287_301.0)
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"


def _filter(
    block: list[str] | None = None,
    allow: list[str] | None = None,
    *,
    crawlers: bool = False,
    case_sensitive: bool = False,
    block_missing: bool = False,
) -> UserAgentFilter:
    found = UserAgentSettings(
        block=tuple(map(Entry, block or [])),
        allow=tuple(map(Entry, allow or [])),
        crawlers=crawlers,
        case_sensitive=case_sensitive,
        block_missing=block_missing,
    )
    made = UserAgentFilter.compile(OrgSettings(filters=FilterSettings(user_agent=found)), CoreSettings())
    assert made is not None
    return made


def _hit(made: UserAgentFilter, agent: str | None) -> Hit | None:
    return made.judge(SessionFacts(route=Route.PAGE, user_agent=agent), NOW)


def _id(made: UserAgentFilter, agent: str | None) -> str | None:
    hit = _hit(made, agent)
    return hit.rule.id if hit is not None else None


@pytest.mark.parametrize(
    ("pattern", "agent", "matches"),
    [
        # contained, without case
        ("YandexBot", "Mozilla/5.0 (compatible; YandexBot/3.0)", True),
        ("yandexbot", "Mozilla/5.0 (compatible; YandexBot/3.0)", True),
        ("YANDEXBOT", "yandexbot", True),
        ("YandexBots", "YandexBot", False),
        ("Chrome/156", CHROME, True),
        ("KÄFER", "Mozilla käfer/1.0", True),
        # a literal is no expression
        ("Chrome.156", CHROME, False),
        (".*", CHROME, False),
        (".*", "weird .* agent", True),
        ("(X11", CHROME, True),
        ("[", "a[b", True),
        ("\\d", "a\\db", True),
        # expressions
        ("regex:Headless.*", "HeadlessChrome/1", True),
        ("regex:headless[A-Z]hrome", "HeadlessChrome/1", True),
        ("regex:^curl/", "curl/8.0", True),
        ("regex:^curl/", "libcurl/8.0", False),
        ("regex:a|b", "xxBxx", True),
        (r"regex:\Qa.b", "xA.Bx", True),
        (r"regex:Chrome/1\d\d\.", CHROME, True),
        ("regex:(?-i:chrome)", CHROME, False),
    ],
)
def test_a_pattern_is_contained_in_the_agent(pattern: str, agent: str, *, matches: bool) -> None:
    assert problem(pattern) is None
    hit = _hit(_filter([pattern]), agent)
    assert (hit is not None) is matches
    if hit is not None:
        assert (hit.filter, hit.code, hit.rule.id) == (
            FilterName.USER_AGENT,
            ReasonCode.USER_AGENT,
            f"user_agent:block:{pattern}",
        )


@pytest.mark.parametrize("pattern", ["YandexBot", "regex:Yandex.ot"])
def test_case_counts_when_configured(pattern: str) -> None:
    made = _filter([pattern], case_sensitive=True)
    assert _id(made, "YandexBot/3.0") is not None
    assert _id(made, "yandexbot/3.0") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "regex:",
        "regex: ",
        "regex:(",
        "regex:(?=x)",
        r"regex:(a)\1",
        "regex:(?<!x)y",
        "regex:((a{1000}){1000}){1000}",
    ],
)
def test_empty_patterns_and_what_re2_does_not_know_are_refused(text: str) -> None:
    assert problem(text) is not None


def test_of_several_rules_that_match_the_first_is_named() -> None:
    made = _filter(["Safari", "regex:Chrome", "AppleWebKit"])
    assert _id(made, CHROME) == "user_agent:block:Safari"


def test_allow_wins() -> None:
    made = _filter(["bot"], allow=["GoodBot", "regex:^Internal"])
    assert _id(made, "EvilBot/1") == "user_agent:block:bot"
    assert _id(made, "goodbot/1") is None
    assert _id(made, "internal bot") is None


@pytest.mark.parametrize("agent", [None, ""])
def test_a_missing_agent_is_blocked_only_when_configured_and_no_allow_helps_it(agent: str | None) -> None:
    assert _id(_filter(["bot"]), agent) is None
    assert _id(_filter(allow=["regex:.*"], block_missing=True), agent) == "user_agent:missing"


def test_only_the_first_8192_bytes_are_looked_at() -> None:
    made = _filter(["evil"])
    assert _id(made, "x" * 8188 + "evil") is not None
    assert _id(made, "x" * 8189 + "evil") is None
    assert _id(made, "ü" * 4094 + "evil") is not None
    assert _id(made, "ü" * 4095 + "evil") is None


def test_bytes_that_are_not_utf8_hide_nothing() -> None:
    raw = b"Mozilla \xff\xfe EvilBot \xc3".decode("utf-8", "surrogateescape")
    assert _id(_filter(["evilbot"]), raw) == "user_agent:block:evilbot"


def test_surrogates_that_stand_for_no_byte_hide_nothing_either() -> None:
    assert _id(_filter(["evilbot"]), "\ud800 EvilBot") == "user_agent:block:evilbot"


def test_crawlers_adds_the_maintained_list_after_the_own_rules() -> None:
    made = _filter(["GoogleBot"], allow=["AhrefsBot"], crawlers=True)
    google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    assert _id(made, google) == "user_agent:block:GoogleBot"
    assert _id(made, "Mozilla/5.0 (compatible; bingbot/2.0)") == "user_agent:crawler:bingbot"
    assert _id(made, "Mozilla/5.0 (compatible; AhrefsBot/7.0)") is None
    assert _id(made, CHROME) is None
    assert crawlers_problem() is None


@pytest.fixture(scope="module")
def crawlers() -> UserAgentFilter:
    """The crawlers alone, with ``case_sensitive``, which is for the user's own patterns."""
    return _filter(crawlers=True, case_sensitive=True)


@pytest.mark.parametrize("case", [str, str.lower, str.upper])
@pytest.mark.parametrize(
    "name",
    [
        *known.BLOCKED_BY_THE_VENDOR,
        *known.OF_THEIR_KIND,
        "AdsBot-Google-Mobile",
        "Google-AdWords-Express",
        "Google-Adwords-DisplayAds",
        "Google-Adwords-Instant",
        "AhrefsBot",
        "GPTBot",
    ],
)
def test_a_known_crawler_is_blocked_in_any_case(
    name: str, case: Callable[[str], str], crawlers: UserAgentFilter
) -> None:
    hit = _hit(crawlers, case(f"Mozilla/5.0 AppleWebKit/537.36 (compatible; {name}/1.0; +https://bots.example)"))
    assert hit is not None
    assert hit.rule.id.startswith("user_agent:crawler:")


def test_what_the_vendor_blocks_has_a_rule_that_names_it(crawlers: UserAgentFilter) -> None:
    assert _id(crawlers, "google-ads-qualify (x)") == "user_agent:crawler:Google-Ads-Qualify"
    assert _id(crawlers, "Mozilla/5.0 (compatible; Google Page Speed Insights)") == (
        "user_agent:crawler:Google Page Speed Insights"
    )


@pytest.mark.parametrize(
    "browser",
    [
        "X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
        "Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0",
        "iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/17.5 Mobile Safari/604",
        "iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) GSA/317.0.63 Mobile Safari/604",
        "iPhone; CPU iPhone OS 17_4 like Mac OS X) Mobile/15E148 [FBAN/FBIOS;FBAV/461.0.0.41.110;FBDV/iPhone14,5]",
        "Linux; Android 13; wv) AppleWebKit/537.36 Version/4.0 Chrome/124.0.0.0 Mobile Safari/537.36 [Pinterest/Android]",
        "Linux; Android 10) AppleWebKit/537.36 Version/4.0 Chrome/124.0 Mobile DuckDuckGo/5 Safari/537.36",
        "Linux; Android 6.0; CUBOT X15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88 Mobile Safari/537.36",
        "Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0 YaBrowser/23.9 Safari/537.36",
    ],
)
def test_no_browser_is_taken_for_a_crawler(browser: str, crawlers: UserAgentFilter) -> None:
    assert _id(crawlers, f"Mozilla/5.0 ({browser}") is None


def test_a_rule_keeps_its_id_and_place() -> None:
    found = UserAgentSettings(
        block=(Entry("bot", "fsproxy.yaml:5:9", "no-bots"),),
        crawlers=True,
        block_missing=True,
        places={"block_missing": "fsproxy.yaml:6:3", "crawlers": "fsproxy.yaml:7:3"},
    )
    made = UserAgentFilter.compile(OrgSettings(filters=FilterSettings(user_agent=found)), CoreSettings())
    assert made is not None
    rules = [hit.rule for agent in ("bot", "", "curl/8") if (hit := _hit(made, agent)) is not None]
    assert [(rule.id, rule.where) for rule in rules] == [
        ("no-bots", "fsproxy.yaml:5:9"),
        ("user_agent:missing", "fsproxy.yaml:6:3"),
        ("user_agent:crawler:^curl", "fsproxy.yaml:7:3"),
    ]


def test_a_list_of_crawlers_that_is_not_installed_is_a_problem_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_LIST", "no_such_module")
    assert str(crawlers_problem()).endswith("(pip install fsproxy[crawlers])")
    with pytest.raises(CrawlersMissingError):
        _filter(["bot"], crawlers=True)
    assert _id(_filter(["bot"]), "bot") is not None


def test_nothing_to_block_compiles_to_nothing() -> None:
    def compiled(found: UserAgentSettings, top: Mode = Mode.ENFORCE) -> UserAgentFilter | None:
        return UserAgentFilter.compile(OrgSettings(filters=FilterSettings(user_agent=found)), CoreSettings(mode=top))

    assert compiled(UserAgentSettings()) is None
    assert compiled(UserAgentSettings(allow=(Entry("x"),))) is None
    assert compiled(UserAgentSettings(block=(Entry("x"),), mode=Mode.OFF)) is None
    assert compiled(UserAgentSettings(block=(Entry("x"),)), Mode.OFF) is None


@settings(max_examples=150)
@given(
    patterns=st.lists(st.text("abAB.*[\\", min_size=1, max_size=3), min_size=1, max_size=6),
    agent=st.text("abAB.*[\\", min_size=1, max_size=12),
)
def test_literals_agree_with_looking_for_each_of_them(patterns: list[str], agent: str) -> None:
    contained = [pattern for pattern in patterns if pattern.lower() in agent.lower()]
    assert _id(_filter(patterns), agent) == (f"user_agent:block:{contained[0]}" if contained else None)
