"""The script that counts calls counts what it says."""

from __future__ import annotations

import os
import re

import pytest

from benchmarks.way import CASES, CEILINGS, Way, table, ways
from support.documents import text_of


def test_files_and_changes_are_counted_from_the_calls() -> None:
    way = Way([("a.py", "f"), ("a.py", "g"), ("b.py", "h"), ("a.py", "f")])
    assert (len(way.calls), way.files, way.changes) == (4, 2, 2)
    assert list(table({"x": way}))[1].split() == ["x", "4", "2", "2"]


async def test_no_request_takes_more_calls_or_files_than_its_ceiling() -> None:
    found = await ways(CASES)
    assert found.keys() == CEILINGS.keys()
    over = {
        name: (len(way.calls), way.files)
        for name, way in found.items()
        if len(way.calls) > CEILINGS[name][0] or way.files > CEILINGS[name][1]
    }
    assert not over


async def test_redaction_adds_no_step_for_each_string_where_nothing_is_found() -> None:
    """A bundle without a match is passed over by one search, whatever is in it."""
    off = (await ways(["bundle"]))["bundle"]
    rules = [{"mask": each, "in": ["properties", "urls", "strings"]} for each in ("email", "card", "ip", "query:token")]
    on = (await ways(["bundle"], redact={"rules": rules}))["bundle"]
    assert len(on.calls) <= len(off.calls) + 16
    only_calls = [{**each, "in": ["properties", "urls"]} for each in rules]
    less = (await ways(["bundle"], redact={"rules": only_calls}))["bundle"]
    assert len(less.calls) <= len(off.calls) + 10
    assert "Redaction.may_hold" not in [function for _, function in less.calls]


@pytest.mark.skipif(os.environ.get("FSPROXY_FAST_LANE") == "off", reason="the document is about the fast lane")
async def test_the_document_says_how_many_calls_there_are() -> None:
    """About so many: a call more or less is no news."""
    found = await ways(CASES)
    text = " ".join(text_of("reference/performance.md").split())
    said = re.search(
        r"a blocked page takes (\d+) calls of functions in (\d+) files .*, a captured one (\d+) calls", text
    )
    assert said is not None
    blocked, captured = found["blocked page"], found["captured page"]
    assert [*map(int, said.groups())] == pytest.approx(
        [len(blocked.calls), blocked.files, len(captured.calls)], rel=0.05
    )


async def test_every_case_goes_the_whole_way_to_its_record() -> None:
    found = await ways(CASES)
    for name, way in found.items():
        functions = [function for _, function in way.calls]
        assert functions.count("Recorder.record") == 1, name
        answered = {"ResponseWriter.on_whole", "ResponseWriter.on_head"} & set(functions)
        assert bool(answered) == (name != "blocked page"), name
    assert "validate_call" in [function for _, function in found["bundle with a rejected property"].calls]
    assert "validate_call" not in [function for _, function in found["bundle"].calls]
