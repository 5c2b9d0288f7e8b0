"""Every page and heading that code, tests and documents cite exists: the law book is in docs/design."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAW_BOOK = ROOT / "docs/design"
TEXTS = {".py", ".lua", ".yaml", ".toml", ".md"}

PAGE = re.compile(r"(?:[\w.-]+/)*[\w-]+\.md\b")
HEADING = re.compile(r"^(#{2,3}) (?:(\d+)\. )?(.+)$", re.MULTILINE)
# A page's name, then numbers (``2``, ``1 and 10``, ``2 to 4``), then perhaps the title of a part of the last of them.
CITATION = re.compile(
    r"\b(\w+\.md)(?:``)? (\d+(?:(?:, | and | to )\d+\b)*)"
    r"(?:, (?:orders? (\d+)(?: and (\d+))?|\"([A-Z][^\"]+)\"|([A-Z]\w+)(?: and ([A-Z]\w+))?))?"
)
OLD_NAMES = re.compile(r"(?<![-\w])[Ss]eeds? [12]\b")
"""What the law was called before it had pages."""


def headings(page: Path) -> dict[str, list[str]]:
    """The titles of the parts of each numbered heading of a page."""
    found: dict[str, list[str]] = {}
    number = ""
    for match in HEADING.finditer(page.read_text("utf-8")):
        if match[1] == "##":
            number = match[2] or match[3]
            found[number] = []
        else:
            found[number].append(match[3])
    return found


LAW = {page.name: headings(page) for page in LAW_BOOK.glob("*.md")}
ORDERS = {str(order) for order in range(1, 14)}
"""The rows of the table of filters in the first part of the rules."""


def texts() -> Iterator[Path]:
    """All files that may cite."""
    for room in ("fsproxy", "tests", "config", "docs"):
        yield from (file for file in (ROOT / room).rglob("*") if file.suffix in TEXTS)
    yield from (file for file in ROOT.iterdir() if file.suffix in TEXTS)


def wrong_citations(text: str, folder: Path) -> list[str]:
    """What a text in a file of a folder cites that does not exist."""
    # A citation may go on in the next line of a comment or docstring.
    text = re.sub(r"[ \t]*\n[ \t]*(?:#(?!#)|--)?[ \t]*", " ", text)
    wrong = [match[0] for match in OLD_NAMES.finditer(text)]
    for match in PAGE.finditer(text):
        places = (folder, ROOT, ROOT / "docs", LAW_BOOK)
        if not any((place / match[0]).is_file() for place in places):
            wrong.append(match[0])
    for match in CITATION.finditer(text):
        page, numbers, first_order, second_order, *titles = match.groups()
        law = LAW.get(page)
        if law is None:
            continue
        cited = re.findall(r"\d+", numbers)
        orders = {order for order in (first_order, second_order) if order}
        parts = law.get(cited[-1], [])
        if not set(cited) <= set(law) or not orders <= ORDERS or any(each and each not in parts for each in titles):
            wrong.append(match[0])
    return wrong


def test_everything_that_is_cited_exists() -> None:
    wrong = {str(file.relative_to(ROOT)): wrong_citations(file.read_text("utf-8"), file.parent) for file in texts()}
    assert len(wrong) > 500, "the files are somewhere else"
    assert {file: cited for file, cited in wrong.items() if cited} == {}


def test_the_law_book_has_the_pages_that_the_code_cites() -> None:
    assert {"rules.md", "wire.md", "architecture.md"} <= set(LAW)


def test_the_table_of_filters_has_as_many_rows_as_a_citation_may_name() -> None:
    rows = re.findall(r"^\| (\d+) \|", (LAW_BOOK / "rules.md").read_text("utf-8"), re.MULTILINE)
    assert set(rows) == ORDERS


@pytest.mark.parametrize(
    "citation",
    [
        "rules{} 2",
        "rules{} 1 and 10, wire{} 2 to 4",
        "``rules{}`` 2.",
        "(rules{} 1, orders 4 and 5)",
        "(rules{} 2, Rate and Repeats)",
        'rules{} 2, "Calls of one body"',
        "docs/design/rules{} 4",
        "rules{}\n    # 3",
        "[rules](../docs/design/rules{})",
        "--seed 1",
    ],
)
def test_a_right_citation_is_none_that_is_wrong(citation: str) -> None:
    assert wrong_citations(citation.replace("{}", ".md"), ROOT / "tests") == []


@pytest.mark.parametrize(
    "citation",
    [
        "rules{} 99",
        "rules{} 2 and 99",
        "rules{} 1, order 14",
        "rules{} 2, Rate and Nonsense",
        'rules{} 2, "Calls of no body"',
        "rules{}\n    # 99",
        "rulez{}",
        "docs/rulez{} 1",
        "(seed {two})",
    ],
)
def test_a_wrong_citation_is_found(citation: str) -> None:
    made_up = citation.replace("{two}", "2").replace("{}", ".md")
    assert wrong_citations(made_up, ROOT / "tests") != []
