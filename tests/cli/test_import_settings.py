"""The vendor's settings, in every shape in which they are exported, as a configuration that loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.cli import main
from fsproxy.config.loader import load_text
from fsproxy.config.vendor.export import VendorSettingsError
from fsproxy.config.vendor.settings import to_yaml
from fsproxy.core.settings import CoreSettings

BLOCKING = {
    "blockedIps": ["55.55.55.55", "99.99.99.*"],
    "blockedUas": ["YandexBot", "facebot"],
    "blockedAppIds": ["u-1"],
    "metadata": {"lastUpdated": "2020-10-23T15:05:50.778Z", "lastUpdatedBy": "someone@example.com"},
}
DOMAIN = {
    "onlyRecordKnownDomains": True,
    "domains": [
        {"disabled": True, "domain": "staging.example.com"},
        {"disabled": False, "domain": "*.example.com"},
        {"domain": "example.com"},
    ],
    "metadata": {},
}
GEO = {"recordGeoMode": "GEO_BLOCK_LIST", "recordGeoZones": ["CA", "us"], "metadata": {}}


def loaded(document: Any, org: str | None = None) -> CoreSettings:
    text, _ = to_yaml([json.dumps(document)], org)
    return load_text(text, "made.yaml", {}, Path()).core


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["import-settings", *arguments], input=stdin)


def entries(found: Any) -> list[str]:
    return [each.text for each in found]


@pytest.mark.parametrize(
    "document",
    [
        BLOCKING,
        {"blocking": BLOCKING},
        {"versions": [BLOCKING, {"blockedIps": ["1.1.1.1"]}], "nextPaginationToken": "x"},
        {"versions": [{"blocking": BLOCKING}], "next_pagination_token": ""},
        {"blocking": {"versions": [BLOCKING, {}]}},
    ],
    ids=["alone", "named", "history", "history of named", "named history"],
)
def test_every_shape_gives_the_newest_settings_in_order(document: Any) -> None:
    filters = loaded(document).default.filters
    assert entries(filters.ip.block) == ["55.55.55.55", "99.99.99.*"]
    assert entries(filters.user_agent.block) == ["YandexBot", "facebot"]
    assert entries(filters.blocked_user.block) == ["u-1"]


def test_spaces_around_addresses_and_zones_are_none_of_their_rules_ids() -> None:
    filters = loaded({"blockedIps": [" 10.1.2.3 "], "recordGeoMode": "GEO_BLOCK_LIST", "recordGeoZones": ["ca "]})
    assert entries(filters.default.filters.ip.block) == ["10.1.2.3"]
    assert entries(filters.default.filters.geo.never) == ["CA"]


def test_a_rule_that_is_there_twice_is_carried_over_twice_and_loads() -> None:
    domains = [{"domain": "a.example"}, {"domain": "a.example", "disabled": True}]
    filters = loaded({"blockedAppIds": ["u", "u"], "domains": domains}).default.filters
    assert entries(filters.blocked_user.block) == ["u", "u"]
    assert [rule.capture for rule in filters.domain.rules] == [True, False]


def test_domains_keep_their_order_and_unknown_ones_are_blocked() -> None:
    domain = loaded({"domain": DOMAIN}).default.filters.domain
    assert [(rule.capture, rule.pattern.text) for rule in domain.rules] == [
        (False, "staging.example.com"),
        (True, "*.example.com"),
        (True, "example.com"),
    ]
    assert not domain.otherwise_capture


def test_without_known_domains_only_all_others_are_captured() -> None:
    assert loaded({**DOMAIN, "onlyRecordKnownDomains": False}).default.filters.domain.otherwise_capture


@pytest.mark.parametrize(
    ("mode", "only", "never"),
    [("GEO_ALL", [], []), ("GEO_ALLOW_LIST", ["CA", "US"], []), ("GEO_BLOCK_LIST", [], ["CA", "US"])],
)
def test_zones_are_captured_or_not_by_mode(mode: str, only: list[str], never: list[str]) -> None:
    geo = loaded({**GEO, "recordGeoMode": mode}).default.filters.geo
    assert (entries(geo.only), entries(geo.never)) == (only, never)


def test_all_sections_at_once_become_those_of_the_org_that_is_named() -> None:
    document = {"blocking": BLOCKING, "domain": DOMAIN, "geo": GEO, "features": {"enabled": True}}
    core = loaded(document, "o-1ABC-na1")
    org = core.orgs["o-1ABC-na1"]
    assert org.enabled
    assert len(org.filters.domain.rules) == 3
    assert entries(org.filters.geo.never) == ["CA", "US"]
    assert not core.default.filters.ip.block


@pytest.mark.parametrize("features", [{"recordingShutoff": True}, {"enabled": False}])
def test_recording_that_is_off_disables_the_org(features: dict[str, bool]) -> None:
    assert not loaded({"features": features}, "o-1").orgs["o-1"].enabled


def test_recording_that_is_off_without_an_org_is_reported_loudly() -> None:
    done = run("-", stdin=json.dumps({"recordingShutoff": True}))
    assert done.exit_code == 0
    assert "# not carried over: $.recordingShutoff: recording is off" in done.stdout
    assert "1 setting was not carried over" in done.stderr


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"blocking": {**BLOCKING, "blockedIps": ["300.1.1.1"]}}, "$.blocking.blockedIps[0]"),
        ({"geo": {**GEO, "recordGeoZones": ["Bavaria"]}}, "$.geo.recordGeoZones[0]"),
        ({"geo": GEO, "heatmaps": {"on": True}}, "$.heatmaps: an object of 1"),
        ({"geo": {**GEO, "radius": 3}}, "$.geo.radius: 3"),
        ({"features": {"consoleWatcher": True}}, "$.features.consoleWatcher: true"),
        ({"domains": [{"domain": "https://example.com/x"}]}, "$.domains[0].domain"),
        ({"blockedAppIds": ["file:/etc/passwd"]}, "$.blockedAppIds[0]"),
        ({"blockedUas": ["\ud800"]}, "$.blockedUas[0]"),
        ({"recordGeoMode": "GEO_ALLOW_LIST"}, "ALL ZONES ARE CAPTURED"),
    ],
)
def test_what_has_no_counterpart_is_a_comment(document: Any, path: str) -> None:
    text, left = to_yaml([json.dumps(document)])
    assert left == 1
    assert f"# not carried over: {path}" in text or path in text.split("version: 1")[0]
    load_text(text, "made.yaml", {}, Path())


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[]", "$: an object"),
        ("{", "$: is not JSON: line 1, column 2"),
        ("{}", "$: none of the sections"),
        ('{"versions": []}', "$.versions: is empty"),
        ('{"blockedIps": "1.1.1.1"}', "$.blockedIps: a list"),
        ('{"blocking": {"blockedUas": ["a", 1]}}', "$.blocking.blockedUas[1]: a text"),
        ('{"domain": {"domains": [{"disabled": true}]}}', "$.domain.domains[0]: has no domain"),
        ('{"domains": [{"domain": "a.b", "disabled": 1}]}', "$.domains[0].disabled: true or false"),
        ('{"geo": {"recordGeoMode": "GEO_SOME"}}', "$.geo.recordGeoMode: one of GEO_ALL"),
        ('{"geo": null}', "$.geo: an object"),
        ('{"features": {"enabled": "yes"}}', "$.features.enabled: true or false"),
        ('{"blocking": {"blockedIps": []}, "blockedIps": []}', "$.blockedIps: is given already"),
        ('{"geo": {}, "geo": {}}', 'the key "geo" is there twice'),
        ('{"geo": ' + "[" * 100_000, "$: is not JSON"),
        ('{"blockedIps": NaN}', "$: is not JSON"),
    ],
)
def test_a_wrong_shape_is_refused_with_its_path(text: str, path: str) -> None:
    done = run("-", stdin=text)
    assert done.exit_code == 1
    assert path in done.stderr
    assert done.stdout == ""


def test_a_wrong_value_is_not_shown_by_the_error() -> None:
    assert "hunter2" not in run("-", stdin='{"blockedIps": "hunter2"}').output


def test_several_files_are_put_together(tmp_path: Path) -> None:
    for name, document in (("b", BLOCKING), ("d", {"versions": [DOMAIN]})):
        (tmp_path / name).write_text(json.dumps(document))
    done = run(str(tmp_path / "b"), str(tmp_path / "d"))
    filters = load_text(done.stdout, "made.yaml", {}, Path()).core.default.filters
    assert len(filters.domain.rules) == 3
    assert len(filters.ip.block) == 2


def test_the_file_that_is_at_fault_is_named(tmp_path: Path) -> None:
    (tmp_path / "good").write_text(json.dumps(BLOCKING))
    (tmp_path / "bad").write_text('{"geo": []}')
    done = run(str(tmp_path / "good"), str(tmp_path / "bad"))
    assert (done.exit_code, done.stderr) == (1, f"Error: {tmp_path}/bad: $.geo: an object is expected\n")


def test_the_output_passes_check_and_refers_to_the_upstream_to_be_named(tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    made.write_text(run("-", "--org", "o-1", stdin=json.dumps({"blocking": BLOCKING, "geo": GEO})).stdout)
    done = CliRunner().invoke(main, ["check", str(made)])
    assert done.exit_code == 0, done.output
    assert "${UPSTREAM_URL:-http://127.0.0.1:9000}" in made.read_text()


HOSTILE = [
    "${HOME}",
    "$${HOME}",
    "$$${",
    "a: b",
    "a #b",
    "# c",
    "*x",
    "&x",
    "!x",
    "%x",
    "@x",
    "`x",
    "'",
    '"',
    "\\",
    "x\ny",
    "no",
    "null",
    "~",
    "1e3",
    "-",
    "- ",
    "?",
    "[",
    "]" * 300,
    "{" * 300,
    "- " * 300,
    "\x00",
    "\x7f",
    "\u2028",
    "\ufeff",
    "\U0001f600",
    "regex:(",
    "file:x",
    " lead",
    "trail ",
    "\t",
    "...",
    "---",
    "x" * 5000,
    "true",
    "0x10",
    "12:30:00",
    "<<",
    "=",
    "{a}[b]",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_comes_out_as_itself_whatever_yaml_might_make_of_it(text: str) -> None:
    assert_carried(text)


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40))
def test_any_text_comes_out_as_itself(text: str) -> None:
    assert_carried(text)


@pytest.mark.parametrize("org", ["true", "o: 1", "*", "${HOME}", '"', "#", "- x"])
def test_any_org_id_comes_out_as_itself(org: str) -> None:
    assert list(loaded({"enabled": False}, org).orgs) == [org]


def assert_carried(text: str) -> None:
    users = entries(loaded({"blockedAppIds": ["first", text, "last"]}).default.filters.blocked_user.block)
    assert users == (["first", "last"] if text.startswith("file:") else ["first", text, "last"])


@pytest.mark.parametrize("text", ["file:/etc/passwd", "regex:.*"])
def test_an_agent_that_looks_like_our_syntax_still_means_its_letters(text: str) -> None:
    from fsproxy.core.filters.user_agent import UserAgentFilter
    from fsproxy.core.model import Instant, Route, SessionFacts

    core = loaded({"blockedUas": [text]})
    judged = UserAgentFilter.compile(core.default, core)
    assert judged is not None
    assert judged.judge(SessionFacts(route=Route.PAGE, user_agent=f"a {text} b"), Instant(0)) is not None
    assert judged.judge(SessionFacts(route=Route.PAGE, user_agent="Mozilla/5.0"), Instant(0)) is None


def test_an_error_names_the_path_for_callers() -> None:
    with pytest.raises(VendorSettingsError) as raised:
        to_yaml(['{"geo": {"recordGeoZones": [1]}}'])
    assert raised.value.path == "$.geo.recordGeoZones[0]"


@pytest.mark.parametrize(
    "text",
    [
        '{"versions": [' * 400 + "{}" + "]}" * 400,
        '{"versions": [' * 100_000,
        "[" * 100_000,
        "{" + ", ".join(f'"k{n}": 1' for n in range(100_000)) + ', "k99999": 2}',
    ],
    ids=["nested versions", "endless versions", "brackets", "a key twice among many"],
)
def test_what_is_too_deep_or_too_much_is_reported_and_costs_little(text: str) -> None:
    """The last one took as many steps as the square of its keys."""
    result = run("-", stdin=text)

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_more_than_an_export_can_hold_is_not_read() -> None:
    assert "is larger than 16 MB" in run("-", stdin=" " * (16 * 2**20 + 1)).output


def test_a_text_that_no_configuration_takes_is_left_out() -> None:
    agents = ["x" * 20_000, "$" * 10_000 + "{"]
    text, left = to_yaml([json.dumps({"blockedUas": agents})])

    assert left == 1
    assert entries(load_text(text, "made.yaml", {}, Path()).core.default.filters.user_agent.block) == agents[1:]
