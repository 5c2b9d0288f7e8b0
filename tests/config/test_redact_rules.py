"""The faults of redaction rules: each is told with its place and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError
from fsproxy.config.summary import summary
from fsproxy.core.model import Mode
from fsproxy.core.settings import OnUnredactable, RedactIn, RedactSettings

BASE = "upstream: {url: http://127.0.0.1:9000}\naudit: {key: k}\nredact:\n  rules:\n"


def redact(*rules: str, base: str = BASE) -> RedactSettings:
    return load_text(base + "".join(f"    - {each}\n" for each in rules), "f.yaml", {}, Path()).core.redact


def faults(*rules: str, base: str = BASE) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        redact(*rules, base=base)
    return [f"{each.line}:{each.column} {each.key_path}: {each.fault}" for each in raised.value.problems]


def test_rules_as_they_are_written() -> None:
    first, second, third = redact(
        "{mask: email}", '{exclude: "regex:a+", in: [properties], id: a}', "{hash: 'query:id', in: uid, mode: shadow}"
    ).rules
    assert (first.action, first.pattern, first.mode) == ("mask", "email", Mode.ENFORCE)
    assert first.places_in == {RedactIn.PROPERTIES, RedactIn.URLS}
    assert (second.action, second.pattern, second.id) == ("exclude", "regex:a+", "a")
    assert (third.action, third.places_in, third.mode) == ("hash", {RedactIn.UID}, Mode.SHADOW)
    assert second.places["exclude"] == "f.yaml:6:17"


def test_it_fails_closed_unless_the_configuration_says_otherwise() -> None:
    assert redact("{mask: email}").on_error is OnUnredactable.DROP
    assert redact("{mask: email}", base=BASE.replace("rules", "on_error: forward\n  rules")).on_error == "forward"


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("{mask: emial}", "5:14 redact.rules[0].mask: is not a pattern (did you mean email?)"),
        ('{mask: "regex:("}', '5:14 redact.rules[0].mask: is not a pattern: RE2 says "missing ): ("'),
        ('{mask: "regex:"}', "5:14 redact.rules[0].mask: is not a pattern"),
        ('{mask: "query:"}', "5:14 redact.rules[0].mask: is not a pattern"),
        ("{mask: null}", "5:14 redact.rules[0].mask: is not a pattern"),
        ("{mask: email, hash: ip}", "5:7 redact.rules[0]: has not exactly one of mask, exclude and hash"),
        ("{in: [urls]}", "5:7 redact.rules[0]: has not exactly one of mask, exclude and hash"),
        ("{mask: email, in: [where]}", "5:26 redact.rules[0].in[0]: is not known here"),
        ("{mask: email, in: []}", "5:25 redact.rules[0].in: is not known here"),
        ("{mask: email, in: [uid]}", "which would make one person of many"),
        ("{mask: email, in: uid}", "which would make one person of many"),
        ("{exclude: email, in: [strings]}", "places in a recording would shift"),
        ("{hash: email, in: [urls, strings]}", "places in a recording would shift"),
        ("{mask: email, mode: on}", "5:27 redact.rules[0].mode: is not known here"),
        ("{mask: email, to: x}", "is not a known key"),
        ("email", "is not a section"),
    ],
)
def test_faults(rule: str, fault: str) -> None:
    (found,) = faults(rule)
    assert fault in found


def test_an_id_is_of_one_rule() -> None:
    assert faults("{mask: email, id: a}", "{mask: ip, id: a}") == [
        "6:22 redact.rules[1].id: is not unique: line 5 has it too"
    ]


def test_to_hash_needs_a_key() -> None:
    base = BASE.replace("audit: {key: k}\n", "")
    assert faults("{hash: email}", base=base) == ["4:8 redact.rules[0].hash: needs audit.key"]
    assert redact("{mask: email}", base=base).rules


def test_the_line_at_the_start_says_how_many_rules_there_are() -> None:
    text = BASE + "    - {mask: email}\n    - {mask: ip}\n    - {mask: card, mode: shadow}\nmode: shadow\n"
    assert "; redacts by 2 rules; counts alone by 1 rule; " in summary(load_text(text, "f.yaml", {}, Path()))
