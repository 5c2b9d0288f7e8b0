"""What may be changed in a module: each mutant is one small change that a test should notice."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: where it stands, in which function, and what becomes of what."""

    number: int
    """Its place among the mutants of its module."""
    line: int
    scope: str
    """The function or class around it, with dots; "" at the module's level."""
    change: str
    """``before → after``, as code."""


class _Site:
    """A node, and the function that puts another in its place."""

    __slots__ = ("make", "node", "scope")

    def __init__(self, node: ast.AST, scope: str, make: Callable[[], ast.AST]) -> None:
        self.node, self.scope, self.make = node, scope, make


def mutants_of(source: str) -> list[Mutant]:
    """List every mutant of a module, in the order of its text."""
    listed = []
    for number, site in enumerate(_sites(ast.parse(source))):
        before = _shown(site.node)
        listed.append(Mutant(number, site.node.lineno, site.scope, f"{before} → {_shown(site.make())}"))  # type: ignore[attr-defined]
    return listed


def mutated(source: str, number: int) -> ast.Module:
    """Give the tree of a module with one of its mutants in it."""
    tree = ast.parse(source)
    site = list(_sites(tree))[number]
    made = ast.copy_location(site.make(), site.node)
    _replace(tree, site.node, made)
    return ast.fix_missing_locations(tree)


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else f"{text[:87]}..."


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
                return
            if isinstance(value, list):
                for index, each in enumerate(value):
                    if each is old:
                        value[index] = new
                        return
    raise LookupError


def _sites(tree: ast.Module) -> Iterator[_Site]:
    yield from _walk(tree, "")


def _walk(node: ast.AST, scope: str) -> Iterator[_Site]:
    """Go through what runs: no annotations, decorators, class keywords, imports, docstrings or types."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = f"{scope}.{node.name}" if scope else node.name
        children: list[ast.AST] = [] if isinstance(node, ast.ClassDef) else _defaults(node)
        for child in [*children, *node.body]:
            yield from _walk(child, scope)
    elif not (isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node) or _is_type(node)):
        yield from _own(node, scope)
        for child in _parts(node):
            yield from _walk(child, scope)


def _defaults(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.AST]:
    return [each for each in (*node.args.defaults, *node.args.kw_defaults) if each is not None]


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name not in {"annotation", "format_spec"}:
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, ast.AST))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_type(node: ast.AST) -> bool:
    """Whether it names a type, which nothing reads while the program runs: ``Span = tuple[int, int]``."""
    if not isinstance(node, ast.Assign):
        return False
    value = node.value
    while isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr):
        value = value.left
        if isinstance(value, ast.Name) and value.id[:1].isupper():
            return True
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in _MAKES_TYPES
    return isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id in _GENERIC


_GENERIC = {"tuple", "dict", "list", "Callable", "Mapping", "Collection", "Sequence", "Iterable", "frozenset"}
_MAKES_TYPES = {"TypeVar", "NewType"}


def _own(node: ast.AST, scope: str) -> Iterator[_Site]:
    """Give the mutants of one node itself."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            yield _Site(node, scope, partial(_compared, node, place, operator))
    elif isinstance(node, ast.Constant):
        yield from _constant(node, scope)
    else:
        made = _changed(node)
        if made is not None:
            yield _Site(node, scope, lambda: made)
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, _TURNED_ELSEWHERE):
        test = node.test
        yield _Site(test, scope, lambda: ast.UnaryOp(ast.Not(), test))


_TURNED_ELSEWHERE = (ast.Compare, ast.BoolOp, ast.UnaryOp)


def _changed(node: ast.AST) -> ast.AST | None:
    """Give the one other form of a node, or None."""
    match node:
        case ast.BoolOp():
            return ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            return node.operand
        case ast.BinOp() if type(node.op) in _COMPUTED:
            return ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right)
        case ast.AugAssign() if type(node.op) in _COMPUTED:
            return ast.AugAssign(node.target, _COMPUTED[type(node.op)](), node.value)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            return ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break():
            return ast.Pass()
    return None


def _compared(node: ast.Compare, place: int, operator: ast.cmpop) -> ast.Compare:
    operators = list(node.ops)
    operators[place] = _COMPARED[type(operator)]()
    return ast.Compare(node.left, operators, node.comparators)


def _constant(node: ast.Constant, scope: str) -> Iterator[_Site]:
    value = node.value
    other: object
    if isinstance(value, bool):
        other = not value
    elif isinstance(value, int | float):
        other = value + 1
    elif isinstance(value, str):
        other = f"{value}XX"
    elif isinstance(value, bytes):
        other = value + b"XX"
    else:
        return
    yield _Site(node, scope, lambda: ast.Constant(other))
