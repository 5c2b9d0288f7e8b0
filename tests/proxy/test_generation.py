"""One generation of the configuration, compiled for use."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import HostError
from fsproxy.config.schema import ModeSwitch, TopMode
from fsproxy.core.model import Mode, Route
from fsproxy.proxy.generation import Generation

UPSTREAM = "upstream: {url: http://127.0.0.1:9000}\n"


def compiled(text: str = "", mode: TopMode | None = None) -> Generation:
    return Generation.compile(
        load_text(UPSTREAM + text, "f.yaml", {}, Path()), 7, ModeSwitch(mode) if mode is not None else None
    )


def test_its_number_and_the_configured_mode_are_in_force() -> None:
    generation = compiled("mode: shadow")
    assert (generation.number, generation.snapshot.generation) == (7, 7)
    assert (generation.mode, generation.snapshot.default.cap) == (TopMode.SHADOW, Mode.SHADOW)


@pytest.mark.parametrize(
    ("mode", "cap"), [(TopMode.ENFORCE, Mode.ENFORCE), (TopMode.SHADOW, Mode.SHADOW), (TopMode.BYPASS, Mode.OFF)]
)
def test_another_mode_goes_over_the_configured_one(mode: TopMode, cap: Mode) -> None:
    generation = compiled("mode: shadow", mode)
    assert (generation.mode, generation.snapshot.default.cap) == (mode, cap)


def test_shares_of_audit_lines_are_by_route() -> None:
    shares = compiled("audit: {share: {page: 10%, bundle: 20%, direct: 30%, other: 40%}}").audit_shares
    assert shares == {
        Route.PAGE: 0.1,
        Route.BUNDLE: 0.2,
        Route.EVENT: 0.2,
        Route.SOCKET: 0.2,
        Route.DIRECT_EVENT: 0.3,
        Route.DIRECT_IDENTIFY: 0.3,
        Route.DIRECT_SET_USER_VARS: 0.3,
        Route.SERVER_API: 0.3,
        Route.OTHER: 0.4,
    }


def test_configured_routes_take_the_place_of_the_usual_ones() -> None:
    routes = compiled("routes: {page: [/p, /q], direct: {event: null}, server_api: false}").routes
    assert [routes.match("POST", path).route for path in ("/p", "/q", "/rec/page")] == [
        Route.PAGE,
        Route.PAGE,
        Route.OTHER,
    ]
    assert routes.match("POST", "/client/event").route is Route.OTHER
    assert routes.match("POST", "/client/identify").route is Route.DIRECT_IDENTIFY
    assert routes.match("POST", "/v2/events").route is Route.OTHER


def test_any_origin_is_answered_with_cors_unless_a_list_says_otherwise() -> None:
    assert compiled().answers.origins is None
    allowed = compiled("cors: {origins: ['*.example.com', 'a.example:8443', localhost]}").answers.origins
    assert allowed is not None
    origins = {
        "https://app.example.com": True,
        "http://APP.example.com:8080": True,
        "https://example.com": False,
        "https://a.b.example.com": False,
        "https://a.example:8443": True,
        "https://a.example": False,
        "http://localhost:3000": True,
        "null": False,
        "nonsense": False,
        "": False,
    }
    assert {origin: allowed(origin) for origin in origins} == origins


@pytest.mark.parametrize("where", ["filters: {geo: %s}", "orgs: {listed: {o-1: {filters: {geo: %s}}}}"])
def test_a_database_that_cannot_be_opened_is_refused_at_the_start(where: str) -> None:
    """Also when only one org asks for it."""
    with pytest.raises(HostError):
        compiled(where % "{never: [AQ], source: {database: /no/such.mmdb}}")


def test_a_database_that_no_rule_needs_is_not_opened() -> None:
    generation = compiled("filters: {geo: {mode: 'off', never: [AQ], source: {database: /no/such.mmdb}}}")
    assert generation.snapshot.default.geo_source is None


def test_the_registrable_domain_is_known_when_the_list_is_installed() -> None:
    pytest.importorskip("publicsuffixlist")
    registrable = compiled().registrable
    assert registrable is not None
    assert registrable("a.b.example.co.uk") == "example.co.uk"
    assert registrable("co.uk") is None
