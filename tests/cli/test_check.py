"""``check`` and ``schema``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from fsproxy.cli import main

ROOT = Path(__file__).parents[2]
UPSTREAM = "upstream: {url: http://127.0.0.1:9000}\n"
NO_PORTS = "listen: {port: 0}\nadmin: {port: 0}\n"
"""Others may listen on the usual ones."""


def test_a_file_without_faults_is_fine_and_summed_up_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text(
        UPSTREAM + NO_PORTS + "filters: {ip: {block: [10.0.0.0/8], mode: shadow}}\nstate: {persist: null}\n"
    )
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith(f"{file}: fine. mode enforce; upstream http://127.0.0.1:9000; enforced: url")
    assert "shadowed: ip" in result.stdout
    assert "trusts x-forwarded-for from 127.0.0.0/8" in result.stdout
    assert "forgotten at restart" in result.stdout
    assert result.stdout.count("\n") == 1


def test_all_faults_are_listed_at_once_each_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text(
        UPSTREAM + "mode: strict\nfilters:\n  ip: {block: [10.0.0.300]}\n  domain: {rules: [{blok: a}]}\nnope: 1\n"
    )
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 1
    assert result.stdout == ""
    *faults, last = result.stderr.splitlines()
    assert [line.split(" ")[0] for line in faults if line[0] != " "] == [
        f"{file}:{place}:" for place in ("2:7", "4:16", "5:20", "6:1")
    ]
    assert last == f"{file}: 4 faults were found"


def test_one_fault_is_counted_as_one(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text(UPSTREAM + "mode: strict\n")
    assert CliRunner().invoke(main, ["check", str(file)]).stderr.splitlines()[-1] == f"{file}: 1 fault was found"


@pytest.mark.parametrize("text", ["", "[]", "a: [", "upstream: {}", "\t", "upstream: {url: ftp://a}"])
def test_what_is_no_configuration_is_refused_without_a_traceback(tmp_path: Path, text: str) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text(text)
    result = CliRunner().invoke(main, ["check", str(file)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith(f"{file}:")


@pytest.mark.parametrize("to", ["/dev/stdout", "link"])
def test_an_audit_file_that_serve_would_not_follow_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("audit.log")
    Path("fsproxy.yaml").write_text(f"{UPSTREAM}audit: {{to: {to}}}\n")
    result = CliRunner().invoke(main, ["check", "fsproxy.yaml"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f'audit.to: "{to}" is a symbolic link, which is not followed' in result.stderr
    assert "write stdout" in result.stderr


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(tmp_path / "none.yaml")])
    assert result.exit_code == 1
    assert "none.yaml:1:1" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_a_database_that_cannot_be_opened_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "fsproxy.yaml"
    (tmp_path / "geo.mmdb").write_bytes(b"no database")
    file.write_text(UPSTREAM + "filters: {geo: {never: [AQ], source: {database: geo.mmdb}}}\n")
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 1
    assert 'filters.geo.source.database: "geo.mmdb" cannot be opened' in result.stderr


@pytest.mark.parametrize("name", ["fsproxy.yaml", "demo.yaml"])
def test_the_files_that_come_with_the_program_are_fine(name: str) -> None:
    result = CliRunner().invoke(main, ["check", "--no-host", str(ROOT / "config" / name)])
    assert (result.exit_code, result.stderr) == (0, "")


def test_several_files_are_checked_each_and_one_may_be_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(UPSTREAM)
    Path("bad.yaml").write_text(UPSTREAM + "mode: strict\n")
    piped = UPSTREAM + "filters: {ip: {block: ['file:list.txt']}}\n"
    Path("list.txt").write_text("10.0.0.1\n")
    result = CliRunner().invoke(main, ["check", "--no-host", "bad.yaml", "good.yaml", "-"], input=piped)
    assert result.exit_code == 1
    assert [line.partition(" ")[0] for line in result.stdout.splitlines()] == ["good.yaml:", "-:"]
    assert result.stderr.splitlines()[0].startswith("bad.yaml:2:7: mode:")

    wrong = CliRunner().invoke(main, ["check", "-"], input=b"mode: \xff")
    assert wrong.stderr == "-:1:1: is not UTF-8 in line 1\n-: 1 fault was found\n"
    assert CliRunner().invoke(main, ["check"]).exit_code == 2


def test_without_the_host_what_only_the_machine_lacks_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsproxy.config.conflicts.find_spec", lambda _: None)
    monkeypatch.setenv("AIOCACHE_DISABLE", "1")
    file = tmp_path / "fsproxy.yaml"
    file.write_text(
        "upstream: {url: '${BACKEND}', tls: {ca: none.pem}}\naudit: {to: none/a}\nadmin: {token: '${TOKEN}'}\n"
        "filters: {geo: {never: [AQ], source: {database: a}}, ip: {block: ['file:/none/list.txt']}}\n"
    )
    result = CliRunner().invoke(main, ["check", "--no-host", str(file)])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"{file}: fine, but for what depends on the machine: "
        "upstream.url, admin.token, filters.geo.source.database, filters.ip.block[0]\n"
    )
    assert CliRunner().invoke(main, ["check", str(file)]).stderr.endswith(f"{file}: 4 faults were found\n")


def test_on_a_terminal_the_place_and_the_mark_have_colours_unless_no_color_is_set(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text(UPSTREAM + "mode: strict\n")
    coloured = CliRunner().invoke(main, ["check", str(file)], color=True).stderr
    assert coloured.startswith(f"\x1b[1m{file}:2:7:\x1b[0m mode: ")
    assert "\x1b[31m     |       ^^^^^^\x1b[0m\n" in coloured
    plain = CliRunner(env={"NO_COLOR": "1"}).invoke(main, ["check", str(file)], color=True).stderr
    assert plain == CliRunner().invoke(main, ["check", str(file)]).stderr
    assert plain.count("\x1b") == 0 < plain.count("^")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _at(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The part, or what it refers to."""
    reference = part.get("$ref")
    if reference is None:
        return part
    found: dict[str, Any] = schema["$defs"][reference.removeprefix("#/$defs/")]
    return found


def _fits(schema: dict[str, Any], part: dict[str, Any], value: Any) -> bool:
    """The share of JSON Schema that the schema needs, to be sure that it accepts what the loader does."""
    part = _at(schema, part)
    if "anyOf" in part:
        return any(_fits(schema, each, value) for each in part["anyOf"])
    kinds = part.get("type", [])
    if kinds and not any(isinstance(value, KINDS[kind]) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if "pattern" in part and isinstance(value, str) and not re.search(part["pattern"], value):
        return False
    if "enum" in part and value not in part["enum"]:
        return False
    if isinstance(value, dict):
        known, others = part.get("properties", {}), part.get("additionalProperties", True)
        return all(
            _fits(schema, known[key], each) if key in known else bool(others) and _fits(schema, _open(others), each)
            for key, each in value.items()
        )
    return not isinstance(value, list) or all(_fits(schema, part.get("items", {}), each) for each in value)


def _open(others: Any) -> dict[str, Any]:
    return others if isinstance(others, dict) else {}


KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def test_the_schema_describes_every_key(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"mode", "listen", "upstream", "filters", "orgs", "client_api", "audit"} <= set(schema["properties"])
    for name, part in schema["properties"].items():
        assert part.get("description") or _at(schema, part).get("description"), name


@pytest.mark.parametrize("name", ["fsproxy.yaml", "demo.yaml"])
def test_the_schema_accepts_the_files_that_come_with_the_program(schema: dict[str, Any], name: str) -> None:
    document = yaml.safe_load((ROOT / "config" / name).read_text())
    assert _fits(schema, schema, document)


@pytest.mark.parametrize(
    "text",
    [
        "nope: 1",
        "mode: strict",
        "listen: {port: http}",
        "filters: {ip: {blok: []}}",
        "filters: {ip: {block: 10.0.0.1}}",
        "orgs: {listed: {o-1: {enabled: maybe}}}",
    ],
)
def test_the_schema_refuses_what_the_loader_does(schema: dict[str, Any], text: str) -> None:
    document = {"upstream": {"url": "http://127.0.0.1:9000"}}
    assert _fits(schema, schema, document)
    assert not _fits(schema, schema, {**document, **yaml.safe_load(text)})


@pytest.mark.parametrize("page", ["docs/reference/configuration.md", "docs/check.md"])
def test_what_the_documents_show_is_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text("upstream: {url: http://127.0.0.1:9000, timeout: 3s}\nmode: shaddow\n")
    _, _, shown = (ROOT / page).read_text("utf-8").partition("$ fsproxy check bad.yaml\n")
    assert shown.partition("```")[0] == CliRunner().invoke(main, ["check", "bad.yaml"]).stderr
