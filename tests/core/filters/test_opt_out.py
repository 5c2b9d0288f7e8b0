"""Reason 10: the visitor's own wish."""

from __future__ import annotations

import pytest

from fsproxy.core.filters.opt_out import OptOutFilter, problem
from fsproxy.core.model import FilterName, Hit, Instant, Mode, Route, SessionFacts
from fsproxy.core.reasons import ReasonCode
from fsproxy.core.settings import CoreSettings, Entry, FilterSettings, OptOutSettings, OrgSettings
from support.cookies import header_of

NOW = Instant(1_795_287_301.0)


def _compile(opt_out: OptOutSettings, top: Mode = Mode.ENFORCE) -> OptOutFilter | None:
    return OptOutFilter.compile(OrgSettings(filters=FilterSettings(opt_out=opt_out)), CoreSettings(mode=top))


def _hit(
    opt_out: OptOutSettings, cookies: dict[str, str] | None = None, *, gpc: bool = False, dnt: bool = False
) -> Hit | None:
    made = _compile(opt_out)
    assert made is not None
    return made.judge(SessionFacts(route=Route.PAGE, cookies=header_of(cookies or {}), gpc=gpc, dnt=dnt), NOW)


@pytest.mark.parametrize(
    ("rule", "cookies", "hits"),
    [
        ("fs_optout=1", {"fs_optout": "1"}, True),
        ("fs_optout=1", {"a": "b", "fs_optout": "1"}, True),
        ("fs_optout=1", {"fs_optout": "0"}, False),
        ("fs_optout=1", {"fs_optout": ""}, False),
        ("fs_optout=1", {"FS_OPTOUT": "1"}, False),
        ("fs_optout=1", {}, False),
        ("fs_optout", {"fs_optout": "anything"}, True),
        ("fs_optout", {"fs_optout": ""}, True),
        ("fs_optout", {"fs_opt": "1"}, False),
        ("fs_optout=", {"fs_optout": ""}, True),
        ("fs_optout=", {"fs_optout": "1"}, False),
        ("consent=a=b", {"consent": "a=b"}, True),
    ],
)
def test_a_listed_cookie_with_its_value_or_with_any(rule: str, cookies: dict[str, str], *, hits: bool) -> None:
    assert problem(rule) is None
    hit = _hit(OptOutSettings(cookies=(Entry(rule),)), cookies)
    assert (hit is not None) is hits
    if hit is not None:
        assert (hit.filter, hit.code) == (FilterName.OPT_OUT, ReasonCode.OPT_OUT_COOKIE)
        assert hit.rule.id == f"opt_out:cookie:{rule}"


def test_the_documented_cookie_is_listed_by_default() -> None:
    assert _hit(OptOutSettings(), {"fs_optout": "1"}) is not None


def test_gpc_and_dnt_count_only_when_configured() -> None:
    assert _hit(OptOutSettings(), gpc=True, dnt=True) is None
    gpc, dnt = _hit(OptOutSettings(gpc=True), gpc=True, dnt=True), _hit(OptOutSettings(dnt=True), gpc=True, dnt=True)
    assert gpc is not None
    assert dnt is not None
    assert (gpc.rule.id, dnt.rule.id) == ("opt_out:gpc", "opt_out:dnt")
    assert _hit(OptOutSettings(gpc=True, dnt=True)) is None


@pytest.mark.parametrize("text", ["", "=1", "a b=1", "a;b", "a,b", 'a"b', "a\tb"])
def test_what_is_no_cookie_is_refused(text: str) -> None:
    assert problem(text) is not None


def test_an_explicit_id_is_kept() -> None:
    hit = _hit(OptOutSettings(cookies=(Entry("no=1", "fsproxy.yaml:8:8", "banner"),)), {"no": "1"})
    assert hit is not None
    assert (hit.rule.id, hit.rule.where) == ("banner", "fsproxy.yaml:8:8")


def test_all_rules_whose_cookies_are_there_are_named() -> None:
    made = _compile(OptOutSettings(cookies=(Entry("a=1"), Entry("b"), Entry("c=1"), Entry("no"))))
    assert made is not None
    assert made.found(header_of({"a": "1", "b": "", "c": "2", "x": "no"})) == ("a=1", "b")
    assert made.found("") == ()


def test_nothing_to_judge_compiles_to_nothing() -> None:
    assert _compile(OptOutSettings(cookies=())) is None
    assert _compile(OptOutSettings(mode=Mode.OFF)) is None
    assert _compile(OptOutSettings(), Mode.OFF) is not None, "no top-level mode weakens a privacy rule"
    assert _compile(OptOutSettings(cookies=(), gpc=True)) is not None


@pytest.mark.parametrize("name", ["X", "fs_optout", "a-b.c", "é"])
def test_any_other_name_is_a_cookies(name: str) -> None:
    assert problem(f"{name}=1") is None
    assert problem(name) is None
