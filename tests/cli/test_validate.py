"""``fsproxy validate``: a call or bundle in a file, validated as on the wire."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fsproxy.cli import main
from fsproxy.cli.validate import ROUTES
from fsproxy.core.model import Route

SECRET = "s3cr3t"


def validate(kind: str, body: object, *options: str) -> Result:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CliRunner().invoke(main, ["validate", kind, "-", *options], input=sent)


def bundle(*calls: list[Any]) -> dict[str, Any]:
    events = [{"Kind": 8193 if args[:1] == ["user"] else 8197, "Args": args, "When": 1} for args in calls]
    return {"Seq": 1, "When": 0, "Evts": [{"Kind": 2, "Args": [], "When": 0}, *events]}


GOOD: list[tuple[str, object]] = [
    ("event", {"name": "Bought", "properties": {"price_real": 9.5}}),
    ("event", {"n": "Bought", "p": {}}),
    ("identify", {"uid": "u1", "displayName": "x"}),
    ("setUserVars", {"age_int": 7}),
    ("bundle", bundle(["Bought", '{"a_int":1}'], ["user", '{"a":1}', None, 1, '{"a":"int"}'])),
    ("bundle", bundle()),
]
BAD: list[tuple[str, object, list[tuple[str, str | None]]]] = [
    ("event", {"name": "", "properties": {"a_int": SECRET}}, [("InvalidEventName", None), ("InvalidValue", "a_int")]),
    ("event", {"name": "a", "properties": {"n": {"b": 1}}}, [("MissingPropertyType", "n.b")]),
    ("identify", {"uid": "null"}, [("InvalidId", None)]),
    ("setUserVars", {"a_int": SECRET, "b_int": 1}, [("InvalidValue", "a_int")]),
    ("setUserVars", b"{", [("InvalidJson", None)]),
    ("setUserVars", b" " * 524_287 + b"{}", [("TooBigToParse", None)]),
    ("bundle", bundle(["a", '{"x_foo":1}'], ["b", "["]), [("InvalidPropertyType", "x_foo"), ("InvalidJson", None)]),
]


def test_each_word_stands_for_a_route_and_there_are_no_others() -> None:
    assert ROUTES == {
        "event": Route.DIRECT_EVENT,
        "identify": Route.DIRECT_IDENTIFY,
        "setUserVars": Route.DIRECT_SET_USER_VARS,
        "bundle": Route.BUNDLE,
    }


@pytest.mark.parametrize(("kind", "body"), GOOD)
def test_what_is_valid_exits_0(kind: str, body: object) -> None:
    result = validate(kind, body)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("fine: ")
    machine = validate(kind, body, "--json")
    assert machine.exit_code == 0
    assert json.loads(machine.output)["errors"] == []


@pytest.mark.parametrize(("kind", "body", "expected"), BAD)
def test_every_rejection_is_reported_with_its_path_and_exits_1(
    kind: str, body: object, expected: list[tuple[str, str | None]]
) -> None:
    machine = validate(kind, body, "--json")
    assert machine.exit_code == 1
    errors = json.loads(machine.output)["errors"]
    assert [(each["code"], each["property"]) for each in errors] == expected
    assert all(each["detail"] for each in errors)
    human = validate(kind, body)
    assert human.exit_code == 1
    lines = human.output.splitlines()
    assert len(lines) == len(expected)
    for line, (code, path) in zip(lines, expected, strict=True):
        assert line.startswith(code)
        assert path is None or f": {path}: " in line
    assert SECRET not in human.output + machine.output


def test_the_limit_is_reported() -> None:
    assert "longer than 512 characters" in validate("setUserVars", {"n" * 509 + "_str": "x"}).output
    assert "larger than 8192 bytes" in validate("setUserVars", {"a_str": "x" * 8193}).output
    assert "larger than 524288 bytes" in validate("event", b" " * 524_289).output


def test_a_file_may_be_compressed(tmp_path: Path) -> None:
    file = tmp_path / "bundle.gz"
    file.write_bytes(gzip.compress(json.dumps(bundle(["", "{}"])).encode()))
    result = CliRunner().invoke(main, ["validate", "bundle", str(file)])
    assert result.exit_code == 1
    assert result.output.startswith("InvalidEventName")


@pytest.mark.parametrize(
    "body",
    [b"", b"not JSON", b"[]", b'{"Seq":1}', b'{"Evts":[', b"\x1f\x8bcorrupt", gzip.compress(b"x" * 99, mtime=0)[:-3]],
)
def test_what_is_no_bundle_is_an_error_of_one_line(body: bytes) -> None:
    result = validate("bundle", body)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1


def test_limits_are_taken_from_a_configuration_and_from_one_org_of_it(tmp_path: Path) -> None:
    config = tmp_path / "fsproxy.yaml"
    config.write_text(
        "upstream: {url: http://127.0.0.1:9000}\n"
        "client_api: {event_name: {max_length: 5}}\n"
        "orgs: {listed: {o-1: {client_api: {event_name: {max_length: 9}}}, o-2: {client_api: {mode: shadow}}}}\n"
    )
    event = {"name": "Bought", "properties": {}}
    assert validate("event", event).exit_code == 0
    assert validate("event", event, "--config", str(config)).exit_code == 1
    assert validate("event", event, "--config", str(config), "--org", "o-1").exit_code == 0
    assert validate("event", event, "--config", str(config), "--org", "o-2").exit_code == 1


def test_an_unknown_kind_and_a_missing_file_are_usage_errors() -> None:
    assert validate("page", {}).exit_code == 2
    assert CliRunner().invoke(main, ["validate", "event", "missing.json"]).exit_code == 2


def test_the_limits_of_a_profile_hold_without_a_configuration() -> None:
    hyphen = {"name": "Bought", "properties": {"order-id_str": "A1"}}
    assert validate("event", hyphen).exit_code == 1
    assert validate("event", hyphen, "--limits", "documents").exit_code == 1
    assert validate("event", hyphen, "--limits", "current").exit_code == 0
    document = json.loads(validate("event", hyphen, "--limits", "current", "--json").stdout)
    assert (document["limits"], document["errors"]) == ("current", [])


def test_a_profile_beside_a_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("upstream: {url: http://u.test}\nclient_api: {limits: current}\n")
    hyphen = {"name": "Bought", "properties": {"order-id_str": "A1"}}
    assert validate("event", hyphen, "--config", str(path)).exit_code == 0
    refused = validate("event", hyphen, "--config", str(path), "--limits", "documents")
    assert refused.exit_code == 2
    assert "--limits is set beside --config" in refused.stderr
