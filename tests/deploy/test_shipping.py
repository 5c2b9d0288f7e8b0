"""What ships lines and metrics elsewhere finds in real lines what it looks for."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import fsproxy
from support.rig import running_rig
from support.tools import missing

DEPLOY = Path(fsproxy.__file__).parents[1] / "config" / "deploy"
COLLECTOR = DEPLOY / "otel-collector" / "collector.yaml"
VECTOR = DEPLOY / "vector" / "vector.yaml"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def _lines() -> tuple[list[str], list[str]]:
    async with running_rig({"filters": {"user_agent": {"block": ["Robot"]}}}) as rig:
        traced = await rig.page({"traceparent": f"00-{TRACE}-{SPAN}-01"})
        blocked = await rig.page({"User-Agent": "Robot"})
        for answer in (traced, blocked):
            await rig.line(answer)
        audit = (rig.proxy.folder / "stdout").read_text().splitlines()
        return audit, rig.proxy.log_text().splitlines()


@pytest.fixture(scope="module")
def lines() -> tuple[list[str], list[str]]:
    """The audit lines of a traced page and of a blocked one, and the log of their program."""
    return asyncio.run(_lines())


def _nodes(tree: Any) -> Iterator[Any]:
    yield tree
    for each in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(each)


def test_the_collector_looks_for_fields_that_lines_have(lines: tuple[list[str], list[str]]) -> None:
    receivers = yaml.safe_load(COLLECTOR.read_text())["receivers"]
    for name, found in (("filelog/audit", lines[0]), ("journald/log", lines[1])):
        known = set().union(*(json.loads(line) for line in found))
        texts = [each for each in _nodes(receivers[name]["operators"]) if isinstance(each, str)]
        wanted = set(re.findall(r'attributes\["([^"]+)"\]', " ".join(texts)))
        assert wanted, name
        assert wanted <= known, name
        ids = [each.get("id", each["type"]) for each in receivers[name]["operators"]]
        assert len(set(ids)) == len(ids), name


def test_the_collectors_pipelines_name_what_there_is() -> None:
    config = yaml.safe_load(COLLECTOR.read_text())
    for pipeline in config["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(config[kind])
    assert set(config["service"]["extensions"]) == set(config["extensions"])


def test_the_collectors_layout_of_time_fits(lines: tuple[list[str], list[str]]) -> None:
    # Go's layout says by example: nine or fewer digits of a second, and Z or an offset.
    for line in lines[0] + lines[1]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z", json.loads(line)["@timestamp"])


def test_vectors_pipelines_name_what_there_is() -> None:
    config = yaml.safe_load(VECTOR.read_text())
    known = {*config["sources"], *config["transforms"]}
    for each in (*config["transforms"].values(), *config["sinks"].values()):
        assert set(each["inputs"]) <= known


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="pyvrl has wheels for 3.11 and 3.12 alone (pyproject.toml)")
def test_vector_makes_log_records_of_lines(lines: tuple[list[str], list[str]]) -> None:
    if importlib.util.find_spec("pyvrl") is None:
        missing("pyvrl, which runs Vector's language")
    from pyvrl import Transform

    program = Transform((DEPLOY / "vector" / "fsproxy.vrl").read_text())
    special = {"@timestamp", "message", "trace.id", "span.id", "service.name", "service.version", "host.name"}
    records = []
    for text in lines[0] + lines[1]:
        line = json.loads(text)
        (logs,) = program.remap({"message": text})["resourceLogs"]
        (scope,) = logs["scopeLogs"]
        (record,) = scope["logRecords"]
        records.append(record)
        resource = {each["key"]: each["value"]["stringValue"] for each in logs["resource"]["attributes"]}
        assert resource == {name: line[name] for name in resource}
        assert resource["service.name"] == "fsproxy"
        attributes = {each["key"]: next(iter(each["value"].values())) for each in record["attributes"]}
        expected = {
            name: json.dumps(value, separators=(",", ":")) if isinstance(value, list | dict) else value
            for name, value in line.items()
            if name not in special
        }
        assert {name: _sorted(value) for name, value in attributes.items()} == {
            name: _sorted(value) for name, value in expected.items()
        }
        moment = datetime.fromisoformat(line["@timestamp"])
        assert abs(record["timeUnixNano"] / 1e9 - moment.timestamp()) < 1e-3
    texts = [(record["body"]["stringValue"], record["severityText"]) for record in records]
    assert ("page captured", "INFO") in texts
    assert ("page blocked", "INFO") in texts
    assert [len(record["traceId"]) > 0 for record in records if "traceId" in record] == [True]


def _sorted(value: object) -> object:
    """The same value of JSON, whatever the order of its members."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        return json.dumps(json.loads(value), sort_keys=True)
    return value
