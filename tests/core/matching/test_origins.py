"""Which pages may read our answers: patterns of origins, and the ones that no origin can match."""

from __future__ import annotations

import pytest

from fsproxy.core.matching.origins import OriginTable, problem
from fsproxy.core.wire.answers import OwnAnswers

EXTENSION = "mhjfbmdgcfjbbpaeojofohoefgiehjai"


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        # a host alone: any scheme
        ("*.example.com", ["https://app.example.com", "http://APP.example.com:8080"], ["https://example.com"]),
        ("a.example:8443", ["https://a.example:8443"], ["https://a.example", "capacitor://a.example"]),
        ("localhost", ["http://localhost:3000", "capacitor://localhost", "ionic://localhost"], ["null", "file://"]),
        # a scheme as well
        ("https://a.example", ["https://a.example", "https://A.example:443"], ["http://a.example", "app://a.example"]),
        ("http://a.example:80", ["http://a.example"], ["http://a.example:81", "https://a.example:80"]),
        ("https://*.example.com", ["https://b.example.com"], ["http://b.example.com", "https://example.com"]),
        ("capacitor://localhost", ["capacitor://localhost"], ["http://localhost", "ionic://localhost", "null"]),
        ("Capacitor://LocalHost", ["capacitor://localhost"], ["http://localhost"]),
        (f"chrome-extension://{EXTENSION}", [f"chrome-extension://{EXTENSION}"], [f"moz-extension://{EXTENSION}"]),
        ("chrome-extension://*", [f"chrome-extension://{EXTENSION}"], ["https://localhost"]),
        ("http://[::1]:3000", ["http://[::1]:3000"], ["http://[::1]"]),
        # origins without a host
        ("null", ["null"], ["https://null", "file://", ""]),
        ("Null ", ["null"], ["https://null"]),
        ("file://", ["file://"], ["null", "https://file"]),
    ],
)
def test_a_pattern_matches_some_origins_and_no_others(pattern: str, allowed: list[str], refused: list[str]) -> None:
    assert problem(pattern) is None
    table = OriginTable.of([pattern])
    assert {origin: table.allows(origin) for origin in allowed} == dict.fromkeys(allowed, True)
    assert {origin: table.allows(origin) for origin in refused} == dict.fromkeys(refused, False)
    # What the table allows is also written into an answer.
    answers = OwnAnswers(table.allows)
    for origin in allowed:
        assert b"Access-Control-Allow-Origin: " in answers.answer(202, b"{}", origin.encode(), b"id")


def test_several_patterns_stand_side_by_side() -> None:
    table = OriginTable.of(["null", "a.example", "capacitor://localhost", "capacitor://b.example"])
    origins = ["null", "https://a.example", "capacitor://a.example", "capacitor://localhost", "capacitor://b.example"]
    assert all(map(table.allows, origins))
    assert not any(map(table.allows, ["file://", "https://localhost", "https://b.example", "nonsense", ""]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "https://",
        "://a.example",
        "https://a.example/",
        "https://a.example/shop",
        "https://ann@a.example",
        "https://a.example:0",
        "https://a.example:99999",
        "https://https://a.example",
        "https:a.example",
        "capacitor://localhost/index.html",
        "app://.",
        "file:///index.html",
        "file://server",
        "wss://a.example",
        "ftp://a.example",
        "data:text/html",
        f"{'s' * 32}://a.example",
        "https://null:x",
    ],
)
def test_what_no_origin_can_match_is_refused(text: str) -> None:
    assert problem(text) is not None


def test_the_words_for_what_is_allowed_name_patterns_that_are() -> None:
    *with_host, null, files = str(problem("")).split("; ")
    examples = [each.strip("(),") for each in " ".join(with_host).split() if "://" in each or "*" in each]
    assert examples == ["*.example.com", "*", "https://example.com", "capacitor://localhost"]
    assert [text for text in (*examples, null, files) if problem(text) is not None] == []
