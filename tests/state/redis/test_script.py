"""The script takes its constants from Python, where each of them stands once."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from fsproxy.state.redis.script import CONSTANTS, script

LUA = sorted(each.name for each in files("fsproxy.state.redis").joinpath("lua").iterdir() if each.name.endswith(".lua"))
OWN = {
    "0", "1", "2", "3",  # places and steps
    "4",  # GROWTH of the time that a new org's names are kept
    "8",  # OTHER_IDS of a session
    "13", "16",  # hexadecimal digits that a double holds exactly
    "64",  # MOST_BARRED spans
    "1000", "4e9",  # milliseconds in a second; units given back at a time; an expiry that is not endless
}  # fmt: skip
"""Numbers that the Lua files may hold: those that Python has no use for."""


def code_of(text: str) -> str:
    """Lua without comments and strings."""
    return re.sub(r"--.*|'[^'\n]*'", "", text)


@pytest.mark.parametrize("name", LUA)
def test_no_number_that_python_has_stands_in_lua(name: str) -> None:
    code = code_of(files("fsproxy.state.redis").joinpath("lua", name).read_text("utf-8"))
    assert set(re.findall(r"\b\d[\d.]*(?:e\d+)?\b", code)) <= OWN


def test_the_script_takes_the_constants_in_the_order_in_which_they_are_sent() -> None:
    found = re.search(r"local ([A-Z_,\s]+) = unpack\(cmsgpack\.unpack\(ARGV\[2\]\)\)", code_of(script()))
    assert found is not None
    assert [name.strip() for name in found[1].split(",")] == list(CONSTANTS)
    used = code_of(script())
    assert [name for name in CONSTANTS if len(re.findall(rf"\b{name}\b", used)) < 2] == [], "none is sent for nothing"
