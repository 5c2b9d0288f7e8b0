"""Other YAML files that a configuration names, such as a plan of names: read as it is, with places of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fsproxy.config.excerpt import with_excerpts
from fsproxy.config.files import Files, UnreadableError
from fsproxy.config.problems import Problem
from fsproxy.config.yaml.positions import Node
from fsproxy.config.yaml.tree import parse

LONGEST_PATH = 4096
"""Characters of a key path: a plan has names of 250 and 512 characters."""


def read_document(
    name: str, node: Node, files: Files, read: Callable[[Node], tuple[Any, list[Problem]]]
) -> tuple[Any, list[Problem]]:
    """Return what ``read`` makes of the file that a node names; or anything, and all that is wrong.

    Variables of the environment are not replaced in it.
    """
    path = files.base / name
    try:
        text = files.text(path)
    except UnreadableError as error:
        fault = node.problem(str(error), "a YAML file in UTF-8, its path relative to this file")
        return None, [replace(fault, of_host=Path(name).is_absolute())]
    faults: list[Problem] = []
    tree = parse(text, str(path), {}, faults, longest_path=LONGEST_PATH, needed="a mapping of keys")
    unread = {(each.line, each.column) for each in faults}
    made, wrong = read(tree) if tree is not None else (None, [])
    # What could not be read is no wrong value on top of it.
    faults += (each for each in wrong if (each.line, each.column) not in unread)
    return made, with_excerpts(faults, text, str(path), tree)
