"""Audit lines as container runtimes, shippers and the journal hand them over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from fsproxy.cli import main
from fsproxy.cli.carried_lines import CarriedLines
from support.made_lines import line_of
from tests.cli.test_replay import page
from tests.cli.test_why import FACTS

LINE = line_of(FACTS, request_id="r-1")
NEXT = line_of(FACTS, request_id="r-2")
TIME = "2026-11-30T04:00:00.123456789Z"
TEXT, HALF = LINE.decode(), len(LINE) // 2


def docker(text: str, stream: str = "stdout") -> str:
    return json.dumps({"log": text, "stream": stream, "time": TIME})


CARRIED = {
    "as it was written": [TEXT],
    "kubernetes": [f"{TIME} stdout F {TEXT}"],
    "kubernetes, in two parts": [f"{TIME} stdout P {TEXT[:HALF]}", f"{TIME} stdout F {TEXT[HALF:]}"],
    "kubernetes, with the other stream between the parts": [
        f"{TIME} stdout P {TEXT[:HALF]}",
        f"{TIME} stderr F started",
        f"{TIME} stdout F {TEXT[HALF:]}",
    ],
    "docker": [docker(TEXT + "\n")],
    "docker, in three parts": [docker(TEXT[:9]), docker("x\n", "stderr"), docker(TEXT[9:99]), docker(TEXT[99:] + "\n")],
    "docker compose": [f"fsproxy-1  | {TEXT}"],
    "kubectl logs with a prefix and times": [f"[pod/shop-7c9/fsproxy] {TIME} {TEXT}"],
    "syslog": [f"<134>1 {TIME} host fsproxy 123 - - {TEXT}"],
    "the journal, short": [f"Nov 30 04:00:00 host fsproxy[123]: {TEXT}"],
    "the journal, JSON": [json.dumps({"PRIORITY": "6", "MESSAGE": TEXT, "_PID": "123"})],
    "a shipper": [json.dumps({"source_type": "file", "message": TEXT})],
}


def why(file: Path, identity: str = "r-1") -> Result:
    return CliRunner().invoke(main, ["why", identity, "--audit", str(file)])


@pytest.mark.parametrize("carried", CARRIED.values(), ids=CARRIED)
def test_an_audit_line_is_found_in_what_carries_it(tmp_path: Path, carried: list[str]) -> None:
    file = tmp_path / "audit.log"
    file.write_text("\n".join(carried) + "\n")
    done = why(file)
    assert done.exit_code == 0, done.output
    assert "request r-1" in done.stdout


@pytest.mark.parametrize("carried", CARRIED.values(), ids=CARRIED)
def test_a_line_comes_out_as_it_went_in(carried: list[str]) -> None:
    found = CarriedLines().unwrap([f"{each}\n".encode() for each in carried])
    assert LINE in [each.rstrip(b"\n") for each in found]


def test_parts_of_a_line_may_come_in_several_batches() -> None:
    carried = CarriedLines()
    assert carried.unwrap([f"{TIME} stdout P {TEXT[:HALF]}\n".encode()]) == []
    assert carried.unfinished == 1
    assert carried.unwrap([f"{TIME} stdout F {TEXT[HALF:]}\n".encode(), NEXT]) == [LINE + b"\n", NEXT]
    assert carried.unfinished == 0


@given(st.lists(st.binary(max_size=200)))
def test_any_bytes_are_taken(lines: list[bytes]) -> None:
    CarriedLines().unwrap(lines)


@pytest.mark.parametrize("text", ["", '{"event": "started", "level": "info"}\n', "10.0.0.1 - - GET / 200\n", "[1]\n"])
def test_a_file_without_audit_lines_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "access.log"
    file.write_text(text)
    done = why(file)
    assert done.exit_code == 1
    assert f"{file}: there are no audit lines in it" in done.stderr


def test_replay_names_the_file_without_audit_lines(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("upstream: {url: http://127.0.0.1:9000}\n")
    (tmp_path / "started.log").write_text('{"event": "started"}\n')
    (tmp_path / "audit.log").write_text(f"{TIME} stdout F {json.dumps(page(1, '192.0.2.1'))}\n")
    given_files = ["started.log", "audit.log"]
    arguments = ["replay", *(str(tmp_path / each) for each in given_files), "--config", str(tmp_path / "rules.yaml")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert done.stderr == f"{tmp_path / 'started.log'}: there are no audit lines in it\n"
    assert "1 page was decided again" in done.stdout
    assert CliRunner().invoke(main, [arguments[0], arguments[1], *arguments[3:]]).exit_code == 1
