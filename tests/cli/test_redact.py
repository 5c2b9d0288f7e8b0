"""``fsproxy redact``: the places of what rules find in a file, and never the text."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fsproxy.cli import main
from support.call_samples import bundle, event, first

ANN = "ann@example.com"
CARD = "4111 1111 1111 1111"
RULES = """
upstream: {url: "http://127.0.0.1:9000"}
redact:
  rules:
    - {mask: email, in: [properties, urls, strings], id: mails}
    - {mask: card, in: [strings], mode: shadow}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("redact") / "fsproxy.yaml"
    file.write_text(RULES)
    return file


def redact(config: Path, body: bytes, *options: str) -> Result:
    return CliRunner().invoke(main, ["redact", "-", "--config", str(config), *options], input=body)


BUNDLE = bundle(event(2, [1, {"x": [f"to {CARD}"]}]), first("A", {"a_str": f"😀 {ANN}", "b": {"c_strs": ["x", ANN]}}))


def test_it_prints_places_rules_and_counts_in_the_order_of_the_file(config: Path) -> None:
    result = redact(config, BUNDLE)
    assert result.exit_code == 3
    rows = [line.split(maxsplit=6) for line in result.output.splitlines()]
    assert [row[:1] for row in rows[:-1]] == [["Evts[0].Args[1].x[0]"], ["Evts[1].Args[1]"], ["Evts[1].Args[1]"]]
    assert "> a_str" in result.output
    assert "> b.c_strs[1]" in result.output
    assert "15 from 3 " in result.output, "the smile has two units"
    assert "19 from 3 " in result.output
    assert "shadow: counted alone" in result.output
    assert result.output.splitlines()[-1] == "3 matches: redact:mask:card 1, mails 2"


@pytest.mark.parametrize("body", [BUNDLE, gzip.compress(BUNDLE, mtime=0), b"\xef\xbb\xbf" + BUNDLE])
def test_the_text_is_never_printed(config: Path, body: bytes) -> None:
    for options in ((), ("--json",)):
        result = redact(config, body, *options)
        assert result.exit_code == 3
        assert "ann" not in result.output
        assert "4111" not in result.output


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"OrgId": "o", "Url": f"https://x.example/{ANN}"}, "Url"),
        ({"name": "A", "properties": {"a": {"b_str": ANN}}}, "properties.a.b_str"),
        ({"uid": "u", "email": ANN}, "email"),
        ({"an odd": [ANN]}, "['an odd'][0]"),
    ],
)
def test_what_a_file_holds_is_found_out(config: Path, body: dict[str, Any], place: str) -> None:
    result = redact(config, json.dumps(body).encode(), "--json")
    (found,) = json.loads(result.output)["matches"]
    assert (found["place"], found["units"], found["rule"], found["mode"]) == (place, 15, "mails", "enforce")


def test_nothing_found_is_status_0(config: Path) -> None:
    result = redact(config, bundle(event(2, ["logo@2x.png"])))
    assert (result.exit_code, result.output) == (0, "nothing is found\n")


@pytest.mark.parametrize(
    ("body", "options", "said"),
    [
        (b"no JSON", (), "not a bundle"),
        (b"[]", ("--as", "page"), "not a page"),
        (b"\x1f\x8b\x08", (), "cannot be decompressed"),
        (bundle(event(8197, ["A", "{"])), (), "1 call cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(config: Path, body: bytes, options: tuple[str, ...], said: str) -> None:
    result = redact(config, body, *options)
    assert result.exit_code == 1
    assert said in result.output


def test_a_configuration_without_rules_is_said(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text('upstream: {url: "http://127.0.0.1:9000"}\n')
    result = redact(file, BUNDLE)
    assert result.exit_code == 1
    assert "no rules of redaction" in result.output
