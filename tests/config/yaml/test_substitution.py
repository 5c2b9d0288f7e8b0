"""References to the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config
from fsproxy.config.yaml.substitution import LONGEST, Origin, SubstitutionError, substitute

ENVIRON = {"A": "1", "EMPTY": "", "HOST": "capture.example.net", "PORT": "9000"}


def loaded(text: str, environ: dict[str, str] | None = None) -> Config:
    return load_text(text, "f.yaml", ENVIRON if environ is None else environ, Path())


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${A}", ("1", Origin.ENVIRONMENT)),
        ("${A}${A}-x", ("11-x", Origin.ENVIRONMENT)),
        ("${NONE:-d}", ("d", Origin.DEFAULT)),
        ("${EMPTY:-d}", ("d", Origin.DEFAULT)),
        ("${EMPTY}", ("", Origin.ENVIRONMENT)),
        ("${A:-d}", ("1", Origin.ENVIRONMENT)),
        ("${NONE:-}", ("", Origin.DEFAULT)),
        ("${NONE:-d}${A}", ("d1", Origin.ENVIRONMENT)),
        ("${A}${NONE:-d}", ("1d", Origin.ENVIRONMENT)),
        ("${NONE:-a:-b}", ("a:-b", Origin.DEFAULT)),
        ("$${A}", ("${A}", Origin.FILE)),
        ("$A $ $$", ("$A $ $$", Origin.FILE)),
        ("regex:x$", ("regex:x$", Origin.FILE)),
    ],
)
def test_references_are_replaced(text: str, result: tuple[str, Origin]) -> None:
    assert substitute(text, ENVIRON) == result


def test_what_a_variable_holds_is_not_substituted_again() -> None:
    assert substitute("${X}", {"X": "${A}", "A": "1"}) == ("${A}", Origin.ENVIRONMENT)


@pytest.mark.parametrize("text", ["${NONE}", "${A", "${}", "${1A}", "${A-d}", "${A:?d}", "${a b}"])
def test_a_missing_variable_or_a_malformed_reference_is_an_error(text: str) -> None:
    with pytest.raises(SubstitutionError):
        substitute(text, ENVIRON)


def test_a_value_gets_its_type_after_the_substitution_quoted_or_not() -> None:
    config = loaded(
        'upstream: {url: "http://${HOST}:${PORT}"}\nlisten: {port: "${PORT}"}\nadmin:\n  port: ${NONE:-8082}\n'
        "filters:\n  opt_out:\n    gpc: ${GPC:-true}\n"
    )

    assert config.upstream.url == "http://capture.example.net:9000"
    assert (config.listen.port, config.admin.port) == (9000, 8082)
    assert config.core.default.filters.opt_out.gpc is True


def test_a_text_stays_the_text_that_the_variable_holds() -> None:
    assert loaded("upstream: {url: http://a}\nadmin:\n  token: ${T}", {"T": "0123"}).admin.token == "0123"


def test_an_empty_variable_is_null() -> None:
    assert loaded("upstream: {url: http://a}\nlisten:\n  unix: ${EMPTY}").listen.unix is None


def test_where_null_is_not_allowed_a_variable_that_holds_null_holds_a_text() -> None:
    config = loaded(
        "upstream: {url: http://a}\nfilters: {ramping: {salt: '${T}'}}\nstate: {redis: {prefix: '${EMPTY}'}}",
        {"T": "null", "EMPTY": ""},
    )

    assert config.core.default.filters.ramping.salt == "null"
    assert config.state.redis.prefix == ""


def test_references_that_make_a_text_grow_without_end_are_refused() -> None:
    assert len(substitute("${A}" * LONGEST, {"A": "x"})[0]) == LONGEST
    with pytest.raises(SubstitutionError, match="too long"):
        substitute("${A}" * 20_000, {"A": "x" * 100_000})


def test_a_variable_cannot_bring_structure() -> None:
    with pytest.raises(ConfigError, match=r"filters\.ip\.block: \*\*\* is not a list"):
        loaded("upstream: {url: http://a}\nfilters: {ip: {block: '${LIST}'}}", {"LIST": "[1.2.3.4]"})


def test_entries_are_substituted_too() -> None:
    config = loaded(
        "upstream: {url: http://a}\nfilters: {ip: {block: ['${IP}', '${NONE:-10.0.0.0/8}']}}", {"IP": "::1"}
    )

    assert [entry.text for entry in config.core.default.filters.ip.block] == ["::1", "10.0.0.0/8"]


def test_every_missing_variable_is_reported() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded("upstream: {url: '${X}'}\nadmin: {port: '${Y}', token: '${Z}'}")

    assert [problem.fault for problem in caught.value.problems] == [
        f"refers to {name}, which is not set in the environment" for name in "XYZ"
    ]
