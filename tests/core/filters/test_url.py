"""Reason 9: what is wrong with a page's URL."""

from __future__ import annotations

import pytest

from fsproxy.core.filters.url import UrlFilter, problem
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, FilterSettings, OrgSettings, UrlSettings
from tests.support.urls import of_url

NOW = Instant(1_795_287_301.0)


def _judge(settings: UrlSettings, url: object, origin: str | None = None) -> Hit | None:
    made = UrlFilter.compile(OrgSettings(filters=FilterSettings(url=settings)), CoreSettings())
    assert made is not None
    return made.judge(SessionFacts(route=Route.PAGE, **of_url(url), origin=origin), NOW)


def _id(settings: UrlSettings, url: object, origin: str | None = None) -> str | None:
    hit = _judge(settings, url, origin)
    return hit.rule.id if hit is not None else None


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        # what real pages send
        ("http://localhost:9000/", None),
        ("https://www.example.com/a/b?q=%20#frag", None),
        ("https://example.com", None),
        ("https://user:pass@example.com/", None),
        ("https://example.com:/", None),
        ("https://example.com:65535/", None),
        ("http://[::1]:9000/", None),
        ("http://127.0.0.1/", None),
        ("https://bücher.example/straße?ü", None),
        ("https://i❤.example/", None),
        ("https://my_app.example.com/", None),
        ("https://example.com/with space", None),
        ("https://example.com/\ud800", None),
        # what is none
        (None, "url:missing"),
        ("", "url:missing"),
        (0, "url:not_string"),
        (False, "url:not_string"),
        ({"href": "https://example.com/"}, "url:not_string"),
        (["https://example.com/"], "url:not_string"),
        (b"https://example.com/", "url:not_string"),
        ("example.com", "url:unparseable"),
        ("/path", "url:unparseable"),
        ("//example.com/", "url:unparseable"),
        ("http://[::1/", "url:unparseable"),
        ("file:///C:/index.html", "url:scheme"),
        ("about:blank", "url:scheme"),
        ("chrome-extension://abcdef/x.html", "url:scheme"),
        ("javascript:alert(1)", "url:scheme"),
        ("ftp://example.com/", "url:scheme"),
        ("https:///x", "url:host"),
        ("https:example.com", "url:host"),
        ("https://?x", "url:host"),
        ("https://a b/", "url:host"),
        ("https://a..b/", "url:host"),
        ("https://1.2.3.4.5/", "url:host"),
        ("https://example.com:0/", "url:port"),
        ("https://example.com:65536/", "url:port"),
        ("https://example.com:x/", "url:port"),
        ("https://example.com/\n", "url:control"),
        ("https://example.com/\x00", "url:control"),
        ("https://exa\tmple.com/", "url:control"),
        ("https://example.com/\x7f", "url:control"),
        ("https://example.com/\x85", "url:control"),
    ],
)
def test_by_default_a_url_must_be_one_of_the_web(url: object, rule: str | None) -> None:
    hit = _judge(UrlSettings(), url)
    assert (hit.rule.id if hit is not None else None) == rule
    if hit is not None:
        assert (hit.filter, hit.code) == (FilterName.URL, ReasonCode.INVALID_URL)


def test_other_schemes_pass_where_they_are_allowed_and_need_no_host() -> None:
    settings = UrlSettings(schemes=("HTTPS", "file", "about", "capacitor"))
    for url in ("file:///C:/index.html", "about:blank", "capacitor://localhost/", "https://example.com/"):
        assert _id(settings, url) is None
    assert _id(settings, "http://example.com/") == "url:scheme"
    assert _id(settings, "https:///x") == "url:host"


def test_max_length_is_in_characters_and_itself_allowed() -> None:
    settings = UrlSettings(max_length=24)
    assert _id(settings, "https://example.com/üüüü") is None
    assert _id(settings, "https://example.com/üüüüü") == "url:max_length"


@pytest.mark.parametrize(
    ("url", "origin", "rule"),
    [
        ("https://example.com/x", "https://example.com", None),
        ("https://EXAMPLE.com./x", "https://example.com", None),
        ("https://bücher.example/x", "https://xn--bcher-kva.example", None),
        ("https://example.com:8443/x", "http://example.com", None),
        ("http://[::1]:9000/", "http://[0:0::1]:9000", None),
        ("https://example.com/x", "https://www.example.com", "url:match_origin"),
        ("https://example.com/x", "null", "url:match_origin"),
        ("https://example.com/x", None, "url:match_origin"),
        ("https://example.com/x", "", "url:match_origin"),
        ("https://example.com/x", "garbage", "url:match_origin"),
        ("about:blank", "null", "url:match_origin"),
        ("about:blank", None, "url:match_origin"),
    ],
)
def test_match_origin_compares_hosts_and_no_origin_matches_nothing(
    url: str, origin: str | None, rule: str | None
) -> None:
    settings = UrlSettings(match_origin=True, schemes=("http", "https", "about"))
    assert _id(settings, url, origin) == rule
    assert _id(UrlSettings(schemes=settings.schemes), url, origin) is None


def test_a_rule_stands_where_its_key_stands() -> None:
    places = {"schemes": "fsproxy.yaml:2:3", "max_length": "fsproxy.yaml:4:3"}
    settings = UrlSettings(max_length=30, places=places)
    schemes, length = _judge(settings, "about:blank"), _judge(settings, "https://example.com/" + "x" * 30)
    assert schemes is not None
    assert length is not None
    assert (schemes.rule.where, length.rule.where) == ("fsproxy.yaml:2:3", "fsproxy.yaml:4:3")


@pytest.mark.parametrize(
    ("text", "good"),
    [("https", True), ("HTTP", True), ("chrome-extension", True), ("a+b.c-1", True)]
    + [(text, False) for text in ("", "https:", "https://", "1a", "a b", "ä", "*")],
)
def test_an_entry_of_schemes_is_a_scheme(text: str, *, good: bool) -> None:
    assert (problem(text) is None) is good


def test_mode_off_compiles_to_nothing_and_the_top_mode_caps() -> None:
    def mode_of(own: Mode, top: Mode) -> Mode | None:
        org = OrgSettings(filters=FilterSettings(url=UrlSettings(mode=own)))
        made = UrlFilter.compile(org, CoreSettings(mode=top))
        return made.mode if made is not None else None

    assert mode_of(Mode.OFF, Mode.ENFORCE) is None
    assert mode_of(Mode.ENFORCE, Mode.OFF) is None
    assert mode_of(Mode.ENFORCE, Mode.SHADOW) is Mode.SHADOW
