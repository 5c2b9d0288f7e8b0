"""Reason 7: zones."""

from __future__ import annotations

import pytest

from fsproxy.core.filters.geo import GeoFilter, problem
from fsproxy.core.matching.zones import COUNTRIES, EEA, EU
from fsproxy.core.model import FilterName, Hit, Instant, Location, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, FilterSettings, GeoSettings, OrgSettings

NOW = Instant(1_795_287_301.0)


def _filter(*, only: str = "", never: str = "") -> GeoFilter:
    geo = GeoSettings(only=tuple(map(Entry, only.split())), never=tuple(map(Entry, never.split())))
    made = GeoFilter.compile(OrgSettings(filters=FilterSettings(geo=geo)), CoreSettings())
    assert made is not None
    return made


def _hit(made: GeoFilter, country: str | None, region: str | None = None) -> Hit | None:
    location = Location(country, region) if country is not None else None
    return made.judge(SessionFacts(route=Route.PAGE, location=location), NOW)


def _id(made: GeoFilter, country: str | None, region: str | None = None) -> str | None:
    hit = _hit(made, country, region)
    return hit.rule.id if hit is not None else None


@pytest.mark.parametrize(
    ("never", "country", "region", "rule"),
    [
        ("CA", "CA", None, "geo:never:CA"),
        ("CA", "US", None, None),
        ("ca", "CA", None, "geo:never:ca"),
        ("US-CA", "US", "US-CA", "geo:never:US-CA"),
        ("US-CA", "US", "US-NY", None),
        ("US-CA", "US", None, None),
        ("US-CA", "CA", None, None),
        ("EU", "DE", None, "geo:never:EU"),
        ("EU", "NO", None, None),
        ("EU", "GB", None, None),
        ("EU", "CH", None, None),
        *[("EU", zone, None, "geo:never:EU") for zone in ("AX", "GF", "GP", "MF", "MQ", "RE", "YT", "EU")],
        *[("EEA", zone, None, "geo:never:EEA") for zone in ("AX", "GF", "GP", "MF", "MQ", "RE", "YT", "EU")],
        *[("EU", zone, None, None) for zone in ("PM", "NC", "BL", "GI", "PF", "SX", "GL", "FO", "IM", "JE", "GG")],
        ("FR", "EU", None, None),
        ("FR", "RE", None, None),
        ("EEA", "NO", None, "geo:never:EEA"),
        ("EEA", "IS", None, "geo:never:EEA"),
        ("EEA", "LI", None, "geo:never:EEA"),
        ("EEA", "FR", None, "geo:never:EEA"),
        ("EEA", "CH", None, None),
        # the first rule that names the place
        ("EU DE", "DE", None, "geo:never:EU"),
        ("DE EU", "DE", None, "geo:never:DE"),
        ("US US-CA", "US", "US-CA", "geo:never:US"),
        ("US-CA US", "US", "US-CA", "geo:never:US-CA"),
        ("US-CA US", "US", "US-NY", "geo:never:US"),
        # unknown is captured
        ("CA US EU", None, None, None),
        ("CA US EU", "XX", None, None),
        ("CA US EU", "T1", None, None),
        ("CA US EU", "", None, None),
    ],
)
def test_never(never: str, country: str | None, region: str | None, rule: str | None) -> None:
    assert _id(_filter(never=never), country, region) == rule


@pytest.mark.parametrize(
    ("only", "country", "region", "rule"),
    [
        ("US", "US", None, None),
        ("US", "US", "US-CA", None),
        ("US", "CA", None, "geo:only"),
        ("US-CA", "US", "US-CA", None),
        ("US-CA", "US", "US-NY", "geo:only"),
        ("US-CA", "US", None, "geo:only"),
        ("EU US", "IE", None, None),
        ("EU", "NO", None, "geo:only"),
        ("EEA", "NO", None, None),
        *[(group, zone, None, None) for group in ("EU", "EEA") for zone in ("RE", "GP", "AX", "EU")],
        ("EU", "NC", None, "geo:only"),
        ("FR", "EU", None, "geo:only"),
        # unknown is blocked
        ("US", None, None, "geo:only"),
        ("US", "XX", None, "geo:only"),
        ("US", "T1", None, "geo:only"),
        ("US", "", None, "geo:only"),
    ],
)
def test_only(only: str, country: str | None, region: str | None, rule: str | None) -> None:
    hit = _hit(_filter(only=only), country, region)
    assert (hit.rule.id if hit is not None else None) == rule
    if hit is not None:
        assert (hit.filter, hit.code) == (FilterName.GEO, ReasonCode.GEOGRAPHY)


@pytest.mark.parametrize("text", ["US", "us", "GB", "XK", "US-CA", "us-ca", "GB-ENG", "FR-75", "EU", "EEA", " DE "])
def test_zones_that_are_known(text: str) -> None:
    assert problem(text) is None


@pytest.mark.parametrize(
    "text", ["", "UK", "XX", "T1", "EN", "USA", "US-", "US-CALI", "XX-CA", "EU-DE", "US_CA", "Germany", "*"]
)
def test_what_is_no_zone_is_refused_with_what_is_allowed(text: str) -> None:
    said = problem(text)
    assert said is not None
    assert "US-CA" in said


def test_the_groups_have_their_members_of_2026() -> None:
    assert (len(EU), len(EEA), len(COUNTRIES)) == (27 + 7 + 1, 30 + 7 + 1, 250)
    assert {"IS", "LI", "NO"} == EEA - EU
    assert EEA - {"EU"} <= COUNTRIES
    assert "GB" not in EEA


def test_rules_keep_their_ids_and_places() -> None:
    never = GeoSettings(never=(Entry("EU", "fsproxy.yaml:4:20", "gdpr"),))
    only = GeoSettings(only=(Entry("US"),), places={"only": "fsproxy.yaml:5:9"})
    rules = []
    for geo in (never, only):
        made = GeoFilter.compile(OrgSettings(filters=FilterSettings(geo=geo)), CoreSettings())
        assert made is not None
        hit = _hit(made, "DE")
        assert hit is not None
        rules.append((hit.rule.id, hit.rule.where))
    assert rules == [("gdpr", "fsproxy.yaml:4:20"), ("geo:only", "fsproxy.yaml:5:9")]


def test_without_zones_or_switched_off_it_compiles_to_nothing() -> None:
    def compiled(geo: GeoSettings, top: Mode = Mode.ENFORCE) -> GeoFilter | None:
        return GeoFilter.compile(OrgSettings(filters=FilterSettings(geo=geo)), CoreSettings(mode=top))

    assert compiled(GeoSettings()) is None
    assert compiled(GeoSettings(never=(Entry("CA"),), mode=Mode.OFF)) is None
    assert compiled(GeoSettings(never=(Entry("CA"),)), Mode.OFF) is None


@pytest.mark.parametrize("country", ["", "XX", "T1"])
def test_a_region_beside_an_unknown_country_makes_it_no_better_known(country: str) -> None:
    """rules.md 1: an unknown location is blocked under only, captured under never."""
    facts = SessionFacts(route=Route.PAGE, location=Location(country, "US-CA"))
    for geo, blocked in ((GeoSettings(only=(Entry("US-CA"),)), True), (GeoSettings(never=(Entry("US-CA"),)), False)):
        made = GeoFilter.compile(OrgSettings(filters=FilterSettings(geo=geo)), CoreSettings())
        assert made is not None
        assert (made.judge(facts, NOW) is not None) is blocked
