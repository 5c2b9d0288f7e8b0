"""The documents describe the tree as it is: the paths that they name exist, and every room is described."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "docs/design/architecture.md").read_text("utf-8")
DOCUMENTS = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "config").rglob("*.md")]
TREE_PATH = re.compile(r"`((?:fsproxy|tests|config|docs)/[\w./*-]*)`")
MADE = {
    (ROOT / "docs" / name).resolve()
    for name in re.findall(r'generated\(config, "([^"]+)"', (ROOT / ".mkdocs_schema.py").read_text("utf-8"))
}
"""Files that are there in the site alone."""
NAME_IN_FILE = re.compile(r"`([\w.]+)` in `(fsproxy/[\w/]+\.py)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
CODE = re.compile(r"`[^`\n]+`")
"""Which may look like a link and is none. A link's own text may be code."""
ANCHOR = re.compile(r"\]\((?!https?:)([^)#]*)#([^)]+)\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_and_link_in_a_document_exists(document: Path) -> None:
    text = document.read_text("utf-8")
    paths = [match[1] for match in TREE_PATH.finditer(text.replace("NAME.py", "*.py"))]
    assert [path for path in paths if not any(ROOT.glob(path.rstrip("/")))] == []
    links = [document.parent / link for link in LINK.findall(CODE.sub("", text))]
    assert [link for link in links if not link.exists() and link.resolve() not in MADE] == []


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in titles)
    return {re.sub(r"[-\s]+", "-", each) for each in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_heading_that_a_link_names_exists(document: Path) -> None:
    found = ANCHOR.findall(document.read_text("utf-8"))
    pages = [((document.parent / page) if page else document, name) for page, name in found]
    assert [(page.name, name) for page, name in pages if name not in anchors(page)] == []


def test_every_page_that_an_alert_or_a_dashboard_names_exists() -> None:
    """Other files are looked at with the citations."""
    named = {
        page
        for file in (ROOT / "config").rglob("*")
        if file.suffix in {".json", ".yaml", ".conf"}
        for page in re.findall(r"docs/[\w/-]+\.md", file.read_text("utf-8"))
    }
    assert named
    assert [page for page in named if not (ROOT / page).is_file()] == []


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / ".mkdocs.yml").read_text("utf-8")))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}


def test_a_name_is_in_the_module_that_a_document_gives_for_it() -> None:
    named = NAME_IN_FILE.findall(" ".join(ARCHITECTURE.split()))
    assert len(named) > 5
    missing = [
        (name, file)
        for name, file in named
        if not re.search(
            rf"(class|def) {name.rpartition('.')[2]}\b|^{name}\b", (ROOT / file).read_text("utf-8"), re.MULTILINE
        )
    ]
    assert missing == []


def test_every_room_is_described() -> None:
    rooms = {f"fsproxy/{path.parent.name}" for path in (ROOT / "fsproxy").glob("*/__init__.py")}
    rooms |= {f"fsproxy/core/{path.parent.name}" for path in (ROOT / "fsproxy/core").glob("*/__init__.py")}
    assert {room for room in rooms if f"| `{room}` |" not in ARCHITECTURE} == set()


def test_the_order_of_imports_is_that_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    shown = " > ".join(f"({layer})" if "|" in layer else layer for layer in layers).replace("fsproxy.", "")
    assert f"`{shown}`" in ARCHITECTURE


def test_a_decision_is_short_and_says_why() -> None:
    for page in (ROOT / "docs/design/decisions").glob("*.md"):
        text = page.read_text("utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequence"], page
        assert text.count("\n") <= 40, page
