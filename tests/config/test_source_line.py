"""The line that a rule stands in, as an explanation shows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fsproxy.config.source_line import MOST_BYTES, SourceLine, line_at, source_line

TEXT = """\
upstream: {url: https://rs.example.com}
filters:
  ip:
    block: [203.0.113.0/24, 10.0.0.0/8]
  blocked_user: {block: [uid-of-somebody]}
orgs: {listed: {o-1: {filters: {ip: {block: [192.0.2.1]}, deleting_user: {block: [uid-of-another]}}}}}
admin: {port: 8081, token: hunter2-hunter2}
"""


def _place(text: str) -> tuple[int, int]:
    before, _, _ = TEXT.partition(text)
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _shown(text: str) -> SourceLine:
    found = line_at(TEXT, "fsproxy.yaml", *_place(text))
    assert found is not None
    return found


def test_the_rule_is_marked_in_its_line() -> None:
    number, text, start, end = _shown("203.0.113.0/24")
    assert (number, text) == (4, "    block: [203.0.113.0/24, 10.0.0.0/8]")
    assert text[start:end] == "203.0.113.0/24"


@pytest.mark.parametrize(
    ("at", "hidden"),
    [("uid-of-somebody", "uid-of-somebody"), ("192.0.2.1", "uid-of-another"), ("8081", "hunter2-hunter2")],
)
def test_ids_of_people_and_secrets_are_left_out_also_beside_the_rule(at: str, hidden: str) -> None:
    assert hidden not in _shown(at).text


def test_what_stands_beside_an_id_of_a_person_is_shown() -> None:
    number, text, start, end = _shown("192.0.2.1")
    assert (number, text[start:end]) == (6, "192.0.2.1")


def test_no_line_is_no_answer() -> None:
    assert line_at(TEXT, "fsproxy.yaml", 99, 1) is None
    assert line_at("a: [", "fsproxy.yaml", 1, 1) is None
    assert line_at("", "fsproxy.yaml", 1, 1) is None


def test_only_the_file_that_was_loaded_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    where = f"{file}:4:13"
    assert source_line(where, 1e10) is None, "it is not there"
    file.write_text(TEXT)
    os.utime(file, (1000, 1000))
    shown = source_line(where, 1000.0)
    assert shown is not None
    assert shown.text[shown.start : shown.end] == "203.0.113.0/24"
    assert source_line(where, 999.0) is None, "it has changed since"
    file.write_bytes(b"\xff" + TEXT.encode())
    assert source_line(where, 1e10) is None
    file.write_text(TEXT + "#" * MOST_BYTES)
    assert source_line(where, 1e10) is None, "too large to be read for a question"


def test_lists_are_not_shown_as_they_may_be_of_people(tmp_path: Path) -> None:
    file = tmp_path / "erasure.txt"
    file.write_text("uid-of-somebody\n")
    assert source_line(f"{file}:1:1", 1e10) is None
    assert source_line("", 1e10) is None
