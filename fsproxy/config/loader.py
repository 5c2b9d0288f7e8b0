"""From a file to the configuration, or to every fault of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fsproxy.config.conflicts import root_conflicts
from fsproxy.config.excerpt import with_excerpts
from fsproxy.config.files import Files, UnreadableError, list_name
from fsproxy.config.key_tree import ROOT
from fsproxy.config.orgs import with_overrides
from fsproxy.config.problems import ConfigError, HostError, Place, Problem, in_order
from fsproxy.config.reading import MERGED, Reading
from fsproxy.config.renamed import with_new_names
from fsproxy.config.schema import AuditConfig, Config, LogConfig, StateConfig, TopMode
from fsproxy.config.yaml.positions import Kind, Scalar, Sequence, Table
from fsproxy.config.yaml.tree import parse
from fsproxy.core.keys import METADATA
from fsproxy.core.plan import Plan
from fsproxy.core.settings import PLAN_FILE, CoreSettings, OrgSettings

_PLAN = "plan.file"
_OF_THE_CORE = {field.name for field in fields(CoreSettings) if METADATA in field.metadata}


def load(path: Path, environ: Mapping[str, str], leftovers: list[object] | None = None) -> Config:
    """Return the configuration in a file. Reads it and its ``file:`` lists; blocking, so not for the event loop.

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


def load_text(text: str, name: str, environ: Mapping[str, str], base: Path | Files) -> Config:
    """Return the configuration in a text: ``name`` replaces the path in places, lists are relative to ``base``.

    Or ``base`` is what finds the lists.
    """
    return _load(text, name, environ, base if isinstance(base, Files) else Files(base), [])


def _load(text: str, name: str, environ: Mapping[str, str], files: Files, leftovers: list[object]) -> Config:
    reading = Reading(files)
    problems = reading.problems
    tree = parse(text, name, environ, problems)
    leftovers += (reading, tree)
    unread = {(problem.line, problem.column, problem.key_path) for problem in problems}
    read = len(problems)
    values: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
    if isinstance(tree, Table):
        tree, warnings = with_new_names(tree, problems)
        problems.extend(root_conflicts(tree))
        values = reading.keys(ROOT, with_overrides(tree))
    elif tree is not None:
        problems.append(tree.problem("is not a configuration", "a mapping of keys, at least upstream"))
    if problems or not isinstance(tree, Table):
        # What could not be read is no wrong value on top of it.
        wrong = (p for p in problems[read:] if (p.line, p.column, p.key_path) not in unread)
        ordered = in_order([*problems[:read], *wrong], name)
        found = with_excerpts(ordered, text, name, tree, reading.unknown)
        form = getattr(values.get("log"), "format", None) or LogConfig().format
        raise ConfigError(found, files.asked, passing=files.passing, log_format=form)
    return replace(_assembled(values, tree, files), warnings=warnings)


def load_plan(path: Path) -> Plan:
    """Return the plan of names in a file. Blocking. Raises ConfigError with all that is wrong."""
    files = Files(path.parent)
    reading, place = Reading(files), Place(str(path))
    plan: Plan | None = reading.value(PLAN_FILE, Scalar("plan", place, place, path.name, Kind.TEXT))
    if plan is None:
        raise ConfigError(in_order(reading.problems, str(path)), files.asked, passing=files.passing)
    return plan


def lists_in(text: str, environ: Mapping[str, str]) -> list[str]:
    """Return the names of the lists that a configuration refers to with ``file:``, and of plans; each once."""
    found: dict[str, None] = {}
    waiting = [parse(text, "", environ, [])]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Scalar) and (name := node.text if _is_document(node) else list_name(node.text)) is not None:
            found[name] = None
        elif isinstance(node, Table):
            waiting.extend(node.members.values())
        elif isinstance(node, Sequence):
            waiting.extend(node.items)
    return list(found)


def _is_document(node: Scalar) -> bool:
    return node.kind is not Kind.NULL and (node.path == _PLAN or node.path.endswith(f".{_PLAN}"))


def located(error: HostError, text: str, name: str, environ: Mapping[str, str]) -> Problem:
    """Return the fault with its place in a configuration's text: of the key, or of the section that lacks it."""
    tree = node = parse(text, name, environ, [])
    while isinstance(node, Table):
        below = (m for m in node.members.values() if f"{error.key_path}.".startswith(f"{m.path}."))
        found = next(below, None)
        if found is None:
            break
        node = found
    if node is not None and node.path == error.key_path:
        (problem,) = with_excerpts([node.problem(error.fault, error.allowed)], text, name, tree)
        return problem
    line, column = (node.key_place.line, node.key_place.column) if node is not None else (1, 1)
    value = None if error.value is None else f"{error.value} (the default)"
    return Problem(name, line, column, error.key_path, value, error.allowed, error.fault)


def _assembled(values: dict[str, Any], tree: Table, files: Files) -> Config:
    values.pop("version", None)
    core = {name: values.pop(name) for name in _OF_THE_CORE & values.keys()}
    base = {name: values.pop(name) for name in MERGED}
    places = _places(tree, "orgs")
    if "on_error" in (state := _places(tree, "state")):
        places["state_on_error"] = state["on_error"]
    audit = values.get("audit", AuditConfig())
    values["core"] = CoreSettings(
        mode=values.get("mode", TopMode.ENFORCE).cap,
        default=OrgSettings(**base),
        state_on_error=values.get("state", StateConfig()).on_error,
        client_ip=audit.client_ip.value,
        client_ip_key=audit.client_ip_key,
        places=MappingProxyType(places),
        **core,
    )
    return Config(files=tuple(files.hashes), hashes=MappingProxyType(dict(files.hashes)), **values)


def _places(tree: Table, name: str) -> dict[str, str]:
    section = tree.members.get(name)
    members = section.members if isinstance(section, Table) else {}
    return {key: str(node.place) for key, node in members.items()}
