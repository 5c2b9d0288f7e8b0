"""A key that was renamed is read by its old name too, with a warning, at the base and in each org."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from fsproxy.cli import main
from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.renamed import RENAMED, Renamed
from fsproxy.config.schema import Config
from fsproxy.telemetry.config_conditions import old_names

UPSTREAM = "upstream: {url: http://a}\n"


@pytest.fixture(autouse=True)
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RENAMED, "filters.host", Renamed("filters.domain", "0.3"))
    monkeypatch.setitem(RENAMED, "filters.quota.most", Renamed("filters.quota.sessions", "0.4"))
    monkeypatch.setitem(RENAMED, "connections", Renamed("server.max_connections", "0.3"))


def loaded(text: str) -> Config:
    return load_text(UPSTREAM + text, "f.yaml", {}, Path())


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (
            "filters: {host: {otherwise: block}}",
            "filters: {domain: {otherwise: block}}",
            "f.yaml:2:11: filters.host is now called filters.domain; version 0.3 reads that name alone",
        ),
        (
            "filters: {quota: {most: 7, cycle: yearly}}",
            "filters: {quota: {sessions: 7, cycle: yearly}}",
            "f.yaml:2:19: filters.quota.most is now called filters.quota.sessions; version 0.4 reads that name alone",
        ),
        (
            "connections: 20",
            "server: {max_connections: 20}",
            "f.yaml:2:1: connections is now called server.max_connections; version 0.3 reads that name alone",
        ),
        (
            "orgs: {listed: {o-1: {filters: {quota: {most: 7}}}, o-2: {}}}",
            "orgs: {listed: {o-1: {filters: {quota: {sessions: 7}}}, o-2: {}}}",
            (
                "f.yaml:2:41: orgs.listed.o-1.filters.quota.most is now called orgs.listed.o-1.filters.quota.sessions; "
                "version 0.4 reads that name alone"
            ),
        ),
    ],
)
def test_the_old_name_means_the_same_and_is_warned_of(old: str, new: str, warning: str) -> None:
    found, expected = loaded(old), loaded(new)
    assert found.warnings == (warning,)
    assert expected.warnings == ()
    assert (found.server, list(found.core.orgs)) == (expected.server, list(expected.core.orgs))
    for one, other in zip(
        (found.core.default, *found.core.orgs.values()),
        (expected.core.default, *expected.core.orgs.values()),
        strict=True,
    ):
        assert (one.filters.domain.otherwise_capture, one.filters.quota.sessions, one.filters.quota.cycle) == (
            other.filters.domain.otherwise_capture,
            other.filters.quota.sessions,
            other.filters.quota.cycle,
        )


def test_both_names_at_once_are_a_fault() -> None:
    with pytest.raises(ConfigError) as raised:
        loaded("filters: {quota: {most: 7, sessions: 8}}")
    assert str(raised.value) == (
        "f.yaml:2:19: filters.quota.most: is the old name of filters.quota.sessions, which is there too; "
        "allowed: one of the two"
    )


def test_a_wrong_value_is_reported_by_the_name_that_the_user_wrote() -> None:
    with pytest.raises(ConfigError) as raised:
        loaded("connections: none")
    (problem,) = raised.value.problems
    assert (problem.line, problem.column, problem.key_path) == (2, 14, "connections")


@pytest.mark.parametrize("text", ["filters: {quota: 7}", "filters: 7", "orgs: {listed: {o-1: 7}}", "server: 7"])
def test_what_is_no_section_stays_a_fault(text: str) -> None:
    with pytest.raises(ConfigError):
        loaded(f"{text}\nconnections: 20")


def test_check_and_the_log_warn(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(f"{UPSTREAM}connections: 20\nfilters: {{host: {{otherwise: block}}}}\n")
    result = CliRunner().invoke(main, ["check", "--no-host", str(file)])
    assert result.exit_code == 0
    assert f"{file}: warning: {file}:2:1: connections is now called server.max_connections" in result.output
    (condition,) = old_names(loaded("connections: 20\nfilters: {host: {otherwise: block}}").warnings, 5.0)
    assert condition.text.endswith("version 0.3 reads that name alone, and 1 more")
    assert not list(old_names((), 5.0))
