"""``fsproxy plan learn`` and ``validate --plan``: from the names that were counted to what a site's CI checks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fsproxy.cli import main
from fsproxy.clock import now
from fsproxy.config.loader import load_plan
from fsproxy.core.limits.operations import NameKind
from fsproxy.core.model import Instant
from fsproxy.core.name_digest import name_digest
from fsproxy.state.memory.rows import LedgerRows
from fsproxy.state.sqlite.file import LedgerFile

LONG = "Opened the page of special offers that is only there on Black Friday"
NAMES = [
    ("o-1", NameKind.EVENT_NAME, "Bought"),
    ("o-1", NameKind.EVENT_PROPERTY, "Bought/total_real"),
    ("o-1", NameKind.EVENT_PROPERTY, "Bought/code_str"),
    ("auth:1f", NameKind.EVENT_PROPERTY, "Bought/code_int"),
    ("auth:1f", NameKind.EVENT_NAME, "Bought"),
    ("o-1", NameKind.EVENT_NAME, "a/b: [c], 'd' \"e\" \U0001f600\0"),
    ("o-1", NameKind.EVENT_PROPERTY, "a/b: [c], 'd' \"e\" \U0001f600\0/x.y_strs"),
    ("o-1", NameKind.EVENT_NAME, "null"),
    ("o-1", NameKind.EVENT_NAME, name_digest(LONG)),
    ("o-1", NameKind.EVENT_NAME, "half \ud83d"),
    ("o-1", NameKind.USER_PROPERTY, "tier_str"),
]


def run(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, list(words), input=stdin)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose proxy has counted names, one of them long ago."""
    file, time = LedgerFile.open(tmp_path / "names.sqlite"), now()
    rows = [(*each, Instant(time - 3600)) for each in NAMES]
    file.write(LedgerRows(names=[*rows, ("o-1", NameKind.EVENT_NAME, "Forgotten", Instant(time - 40 * 86_400))]))
    file.close()
    path = tmp_path / "f.yaml"
    path.write_text(
        json.dumps({"upstream": {"url": "http://a"}, "state": {"persist": {"path": str(tmp_path / "names.sqlite")}}})
    )
    return path


def test_a_plan_is_learned_from_the_file_of_the_ledger(config: Path) -> None:
    written = config.parent / "plan.yaml"
    result = run("plan", "learn", "--config", str(config), "--output", str(written))
    assert (result.exit_code, result.output) == (
        0,
        f"{written.name} (3 events, 4 event properties, 1 user property, 2 digests)\n",
    )
    plan = load_plan(written)
    assert plan.events == {"Bought", "a/b: [c], 'd' \"e\" \U0001f600\0", "null"}
    assert "Forgotten" not in written.read_text()
    assert plan.has_event(LONG)
    assert plan.has_event("half \ud83d")
    assert not plan.has_event("half \ud83e")
    assert "    properties:\n      code: [int, str]\n      total: real\n" in written.read_text()


def test_a_plan_that_is_there_is_not_written_over(config: Path) -> None:
    written = config.parent / "plan.yaml"
    written.write_text("mine")
    result = run("plan", "learn", "--config", str(config), "--output", str(written))
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "is there already" in result.output
    assert written.read_text() == "mine"


def test_a_plan_of_one_org_has_the_names_of_that_org(config: Path) -> None:
    result = run("plan", "learn", "--config", str(config), "--org", "auth:1f")
    assert result.exit_code == 0
    _, *lines = result.output.partition("version: 1\n")[2].splitlines()
    assert lines[0].startswith("  Bought:  # last seen 20")
    assert lines[1:] == ["    properties:", "      code: int", "user_properties: {}"]


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        ({"persist": None}, "only the running proxy knows the names"),
        ({"persist": {"path": "/nowhere/x.sqlite"}}, "is not there"),
        ({"persist": {"path": __file__}}, "cannot be read"),
        (
            {"backend": "redis", "redis": {"url": "redis://user:s3cret@127.0.0.1:1/0"}},
            "cannot be read: ConnectionError",
        ),
    ],
)
def test_names_that_cannot_be_read_are_told_on_one_line(tmp_path: Path, state: object, fault: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(json.dumps({"upstream": {"url": "http://a"}, "state": state}))
    result = run("plan", "learn", "--config", str(path))
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert fault in result.output
    assert "s3cret" not in result.output


def test_an_org_without_names_has_no_plan(config: Path) -> None:
    result = run("plan", "learn", "--config", str(config), "--org", "o-9")
    assert (result.exit_code, result.output) == (1, "Error: no name was counted yet for o-9\n")


PLAN = "events: {Bought: {properties: {total: real}, required: [total]}}\nuser_properties: {}\n"
CALLS = [
    ("event", {"name": "Bought", "properties": {"total_real": 1}}, []),
    ("event", {"name": "Bought", "properties": {"x_str": ""}}, ["MissingProperty", "UnplannedProperty"]),
    ("event", {"name": "bought", "properties": {}}, ["UnplannedEvent"]),
    ("setUserVars", {"tier_str": "x", "displayName": "Ann"}, ["UnplannedProperty"]),
    ("identify", {"uid": "u1", "displayName": "Ann"}, []),
]


@pytest.mark.parametrize(("kind", "body", "codes"), CALLS)
def test_a_call_is_compared_with_a_plan(tmp_path: Path, kind: str, body: object, codes: list[str]) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    config = tmp_path / "f.yaml"
    config.write_text("upstream: {url: http://a}\nplan: {file: plan.yaml, mode: shadow}\n")
    for options in (["--plan", str(tmp_path / "plan.yaml")], ["--config", str(config)]):
        result = run("validate", kind, "-", "--json", *options, stdin=json.dumps(body))
        assert result.exit_code == (1 if codes else 0)
        assert [each["code"] for each in json.loads(result.output)["errors"]] == codes


def test_the_faults_of_a_plan_are_told_with_their_lines(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("events: {Bought: {properties: {total: number}}}")
    result = run("validate", "event", "-", "--plan", str(plan), stdin="{}")
    assert result.exit_code == 1
    assert f'{plan}:1:39: events.Bought.properties.total: "number" is not a type; allowed: str, int' in result.output
    assert f"{plan}: 1 fault was found" in result.output
    missing = run("validate", "event", "-", "--plan", str(tmp_path / "none.yaml"), stdin="{}")
    assert missing.exit_code == 1
    assert '"none.yaml" is not there' in missing.output
