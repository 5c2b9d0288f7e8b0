"""From a file to the configuration, or to every fault of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from fsproxy.config.assemble import assemble
from fsproxy.config.files import Files, UnreadableError
from fsproxy.config.models.root import Root
from fsproxy.config.not_built import not_built
from fsproxy.config.orgs import with_overrides
from fsproxy.config.problems import ConfigError, Problem, in_order
from fsproxy.config.reading import Reading
from fsproxy.config.schema import Config
from fsproxy.config.yaml.positions import Node, Table
from fsproxy.config.yaml.tree import parse


def load(path: Path, environ: Mapping[str, str], leftovers: list[object] | None = None) -> Config:
    """The configuration in a file. Reads it and its ``file:`` lists; blocking, so not for the event loop.

    ``environ`` is what ``${NAME}`` refers to. Places name the file as ``path`` does. ``leftovers`` is given what
    is of no use any more, and large: to free it at once may take long.
    Raises ConfigError with all that is wrong.
    """
    files = Files(path.parent)
    try:
        text = files.text(path)
    except UnreadableError as error:
        raise ConfigError(
            [Problem(str(path), error.line, 1, "", None, "", str(error))], files.asked, passing=files.passing
        ) from None
    return _load(text, str(path), environ, files, leftovers if leftovers is not None else [])


def load_text(text: str, name: str, environ: Mapping[str, str], base: Path) -> Config:
    """As ``load``, of a text that is at hand: ``name`` stands for it in places, lists are relative to ``base``."""
    return _load(text, name, environ, Files(base), [])


def _load(text: str, name: str, environ: Mapping[str, str], files: Files, leftovers: list[object]) -> Config:
    reading = Reading(files)
    problems = reading.problems
    tree = parse(text, name, environ, problems)
    leftovers += (reading, tree)
    unread = {(problem.line, problem.column, problem.key_path) for problem in problems}
    read = len(problems)
    root = _validated(tree, reading) if tree is not None else None
    leftovers.append(root)
    if root is None or problems:
        # What could not be read is no wrong value on top of it.
        wrong = (p for p in problems[read:] if (p.line, p.column, p.key_path) not in unread)
        raise ConfigError(in_order([*problems[:read], *wrong], name), files.asked, passing=files.passing)
    return assemble(root, files)


def _validated(tree: Node, reading: Reading) -> Root | None:
    if not isinstance(tree, Table):
        reading.problems.append(tree.problem("is not a configuration", "a mapping of keys, at least upstream"))
        return None
    reading.problems.extend(not_built(tree))
    try:
        return Root.model_validate(with_overrides(tree), context=reading)
    except ValidationError as error:
        reading.take(error.errors(include_url=False))
        return None
