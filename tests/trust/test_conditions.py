"""The page of conditions lists those that there are, with their levels."""

from __future__ import annotations

import re

from support.documents import ROOT, text_of

_ID = re.compile(r"""(?:\bid=|Condition\(\s*)f?"([a-z_]+(?::[a-z_-]+)*)""")


def test_every_condition_is_on_its_page_and_no_other() -> None:
    sources = (path.read_text() for path in (ROOT / "fsproxy").rglob("*.py"))
    made = {each for text in sources if "Condition(" in text for each in _ID.findall(text)}
    page = text_of("reference/conditions.md")
    cells = re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
    listed = {each.rstrip(":") for cell in cells for each in re.findall(r"`([a-z_:-]+)", cell)}
    assert made
    assert {each.partition(":shadow")[0].partition(":bypass")[0] for each in listed} == made | {"workers"} & listed
