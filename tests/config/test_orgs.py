"""Orgs merge over the base key by key, and share what they do not override."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.core.filters.base import Filter
from fsproxy.core.model import FilterName, Mode, OnTrouble
from fsproxy.core.policy import OrgPolicy, Snapshot
from fsproxy.core.settings import CoreSettings, FilterSettings, GeoSource, Window

BASE = """\
upstream: {url: http://a}
filters:
  on_error: block
  geo: {never: [CA], source: {header: x-country, region_header: x-region}}
  ip: {block: [10.0.0.1], allow: [10.0.0.2]}
  ramping: {schedule: [{from: 2026-01-01, share: 10%}]}
  quota: {sessions: 7, anchor_day: 15}
client_api: {reserved: {uid: 10}, rate: {event: [1/s], user: [2/s]}}
orgs:
  unlisted: block
  listed:
"""


def core(*orgs: str) -> CoreSettings:
    return load_text(BASE + "".join(f"    {org}\n" for org in orgs), "f.yaml", {}, Path()).core


def other_sections(one: FilterSettings, base: FilterSettings) -> set[str]:
    sections = {field.name for field in fields(one)} - {"on_error", "on_bundles"}
    return {name for name in sections if getattr(one, name) is not getattr(base, name)}


@pytest.mark.parametrize("org", ["{}", "", "{filters: {}}", "{filters: null, client_api: }", "{filters: {geo: {}}}"])
def test_an_org_without_an_override_has_the_very_sections_of_the_base(org: str) -> None:
    found = core(f"o-1: {org}")

    assert found.orgs["o-1"].filters is found.default.filters
    assert found.orgs["o-1"].client_api is found.default.client_api


def test_an_org_shares_every_section_that_it_does_not_override() -> None:
    found = core("o-1: {filters: {geo: {never: [FR]}}}")
    org = found.orgs["o-1"]

    assert other_sections(org.filters, found.default.filters) == {"geo"}
    assert org.client_api is found.default.client_api


def test_sections_that_no_file_mentions_are_shared_too() -> None:
    text = "upstream: {url: http://a}\norgs: {listed: {o-1: {filters: {quota: {sessions: 1}}}, o-2: {}}}"
    found = load_text(text, "f.yaml", {}, Path()).core

    assert other_sections(found.orgs["o-1"].filters, found.default.filters) == {"quota"}
    assert found.orgs["o-2"].filters is found.default.filters


def test_orgs_share_the_compiled_filters_of_what_they_do_not_override() -> None:
    snapshot = Snapshot.compile(core("o-1: {filters: {geo: {never: [FR]}}}", "o-2: {}"), generation=1)

    def compiled(policy: OrgPolicy) -> dict[FilterName, Filter]:
        return {each.name: each for each in policy.on_page if each.name is not FilterName.ORG}

    base, one, two = compiled(snapshot.default), compiled(snapshot.policy("o-1")), compiled(snapshot.policy("o-2"))
    assert base.keys() == one.keys() == two.keys()
    assert {name for name in base if one[name] is not base[name]} == {FilterName.GEO}
    assert {name for name in base if two[name] is not base[name]} == set()


def test_keys_are_merged_and_lists_replaced() -> None:
    found = core("o-1: {filters: {ip: {block: [10.9.9.9]}, on_bundles: [geo]}}")
    filters = found.orgs["o-1"].filters

    assert [entry.text for entry in filters.ip.block] == ["10.9.9.9"]
    assert filters.ip.allow is found.default.filters.ip.allow
    assert filters.on_bundles == {FilterName.GEO}
    assert filters.on_error is OnTrouble.BLOCK


def test_the_client_api_is_merged_to_any_depth() -> None:
    found = core("o-1: {client_api: {mode: shadow, reserved: {email: 5}, rate: {user: [3/s]}}}").orgs["o-1"].client_api

    assert found.mode is Mode.SHADOW
    assert found.reserved == {"uid": 10, "displayName": 256, "email": 5, "acctId": 256, "website": 1024}
    assert (found.rate.event, found.rate.user) == ((Window(1, 1.0),), (Window(3, 1.0),))


def test_a_key_that_excludes_the_bases_takes_its_place() -> None:
    found = core(
        "o-1: {filters: {geo: {only: [FR]}}}",
        "o-2: {filters: {geo: {source: {database: geo.mmdb}}}}",
        "o-3: {filters: {ramping: {share: 50%}}}",
    ).orgs

    assert ([e.text for e in found["o-1"].filters.geo.only], found["o-1"].filters.geo.never) == (["FR"], ())
    assert found["o-2"].filters.geo.source == GeoSource(database="geo.mmdb")
    assert (found["o-3"].filters.ramping.share, found["o-3"].filters.ramping.schedule) == (0.5, ())


def test_keys_that_exclude_each_other_within_one_org_are_still_a_fault() -> None:
    with pytest.raises(ConfigError, match=r"13:\d+: orgs\.listed\.o-1\.filters\.geo\.never: is set beside only"):
        core("o-0: {}", "o-1: {filters: {geo: {only: [FR], never: [US]}}}")


def test_a_cycle_that_does_not_fit_the_bases_day_is_the_orgs_fault() -> None:
    with pytest.raises(ConfigError) as caught:
        core("o-1: {filters: {quota: {cycle: yearly}}}")

    (problem,) = caught.value.problems
    assert (problem.line, problem.key_path) == (12, "orgs.listed.o-1.filters.quota.cycle")


def test_a_fault_of_the_base_is_reported_once_however_many_orgs_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(
            "upstream: {url: http://a}\nfilters: {url: {max_length: x}}\n"
            "orgs: {listed: {a: {}, b: {filters: {url: {mode: off}}}, c: {filters: {geo: {never: [US]}}}}}",
            "f.yaml",
            {},
            Path(),
        )

    assert [problem.key_path for problem in caught.value.problems] == ["filters.url.max_length"]


def test_an_org_tells_its_own_places() -> None:
    found = core("o-1: {enabled: false, filters: {geo: {mode: shadow}}}").orgs["o-1"]

    assert found.places == {"enabled": "f.yaml:12:20"}
    assert found.filters.geo.places == {
        "never": "f.yaml:4:16",
        "source": "f.yaml:4:30",
        "mode": "f.yaml:12:49",
    }


def test_the_orgs_section_tells_its_places() -> None:
    assert core("o-1: {}").places["unlisted"] == "f.yaml:10:13"


def test_org_flags() -> None:
    found = core("o-1: {enabled: false}", "o-2: {mobile: false}")

    assert [(org.listed, org.enabled, org.mobile) for org in (*found.orgs.values(), found.default)] == [
        (True, False, True),
        (True, True, False),
        (False, True, True),
    ]


def test_explicit_ids_are_unique_within_an_org_and_may_recur_in_another() -> None:
    rules = "filters: {domain: {rules: [{block: a.example, id: mine}]}}"
    assert core(f"o-1: {{{rules}}}", f"o-2: {{{rules}}}").orgs.keys() == {"o-1", "o-2"}

    with pytest.raises(ConfigError, match="is not unique"):
        core("o-1: {filters: {domain: {rules: [{block: a.example, id: x}]}, ip: {block: [{pattern: '::1', id: x}]}}}")
