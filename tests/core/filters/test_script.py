"""Reason 11: the capture script's age and version."""

from __future__ import annotations

import math

import pytest

from fsproxy.core.filters.script import ScriptFilter
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, FilterSettings, OrgSettings, ScriptSettings

NOW = Instant(1_795_287_301.0)
MIN = 1_691_020_800
"""2023-08-03."""


def _hit(script: ScriptSettings, compiled: object = None, version: object = None, snippet: object = None) -> Hit | None:
    made = ScriptFilter.compile(OrgSettings(filters=FilterSettings(script=script)), CoreSettings())
    assert made is not None
    facts = SessionFacts(
        route=Route.PAGE, compiled_timestamp=compiled, compiled_version=version, snippet_version=snippet
    )
    return made.judge(facts, NOW)


def _id(script: ScriptSettings, compiled: object = None, version: object = None, snippet: object = None) -> str | None:
    hit = _hit(script, compiled, version, snippet)
    return hit.rule.id if hit is not None else None


OLD, NONE = "script:min_compiled", "script:require"


@pytest.mark.parametrize(
    ("compiled", "rule", "rule_when_required"),
    [
        (1_770_727_426, None, None),
        (MIN, None, None),
        (MIN - 1, OLD, OLD),
        (MIN - 0.5, OLD, OLD),
        (float(MIN), None, None),
        (0, OLD, OLD),
        (-1, OLD, OLD),
        (10**400, None, None),
        (-(10**400), OLD, OLD),
        # missing or no number
        (None, None, NONE),
        (True, None, NONE),
        (False, None, NONE),
        ("1661778047", None, NONE),
        ("", None, NONE),
        ([1_661_778_047], None, NONE),
        ({}, None, NONE),
        (math.nan, None, NONE),
        (math.inf, None, NONE),
        (-math.inf, None, NONE),
    ],
)
def test_older_than_min_compiled_is_blocked_and_no_number_only_when_required(
    compiled: object, rule: str | None, rule_when_required: str | None
) -> None:
    hit = _hit(ScriptSettings(min_compiled=MIN), compiled)
    assert (hit.rule.id if hit is not None else None) == rule
    assert _id(ScriptSettings(min_compiled=MIN, require=True), compiled) == rule_when_required
    if hit is not None:
        assert (hit.filter, hit.code) == (FilterName.SCRIPT, ReasonCode.INVALID_DATA_CAPTURE_SCRIPT)


def test_require_alone_asks_for_a_build_time_of_any_age() -> None:
    assert _id(ScriptSettings(require=True), 1) is None
    assert _id(ScriptSettings(require=True)) == "script:require"


@pytest.mark.parametrize(
    ("version", "snippet", "rule"),
    [
        ("c99041d728", None, "script:version:c99041d728"),
        (None, "1.3.0", "script:version:1.3.0"),
        ("c99041d728", "1.3.0", "script:version:c99041d728"),
        ("C99041D728", "1.3", None),
        ("c99041d7280", "2.0.0", None),
        (None, None, None),
        (1.3, ["1.3.0"], None),
        ({}, b"1.3.0", None),
    ],
)
def test_a_listed_version_of_script_or_snippet_is_blocked(version: object, snippet: object, rule: str | None) -> None:
    script = ScriptSettings(blocked_versions=(Entry("1.3.0"), Entry("c99041d728")))
    assert _id(script, None, version, snippet) == rule


def test_a_new_script_of_a_listed_version_is_blocked_all_the_same() -> None:
    script = ScriptSettings(min_compiled=MIN, blocked_versions=(Entry("2.0.0", "fsproxy.yaml:3:4", "bad-one"),))
    hit = _hit(script, 1_770_727_426, "x", "2.0.0")
    assert hit is not None
    assert (hit.rule.id, hit.rule.where) == ("bad-one", "fsproxy.yaml:3:4")


def test_nothing_to_judge_compiles_to_nothing() -> None:
    def compiled(script: ScriptSettings, top: Mode = Mode.ENFORCE) -> ScriptFilter | None:
        return ScriptFilter.compile(OrgSettings(filters=FilterSettings(script=script)), CoreSettings(mode=top))

    assert compiled(ScriptSettings()) is None
    assert compiled(ScriptSettings(require=True, mode=Mode.OFF)) is None
    assert compiled(ScriptSettings(require=True), Mode.OFF) is None
    assert compiled(ScriptSettings(min_compiled=0)) is not None
