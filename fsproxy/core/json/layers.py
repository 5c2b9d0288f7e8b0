"""Cuts deep JSON into layers that a reader with a stack can read, so that any depth costs time by its length alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

LEVELS = 520
"""Objects and lists in each other that one layer has at least.

No name of 512 characters reaches deeper: it has 256 parts at most, each an object in a list (rules.md 2).
"""
SLACK = 100
"""Levels more that a layer may have, as a layer of its own costs much more than a few levels do."""

_PLAIN = r'[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rf"[\[{{](?:{_PLAIN})*+[\]}}]"
_SHALLOW = rf"[\[{{](?:{_PLAIN}|{_FLAT})*+[\]}}]"
# A run of brackets that opens or closes values, after text in which none opens that does not close at once.
_RUN = re.compile(rf"(?:{_PLAIN}|{_SHALLOW})*+(?:([\[{{]++)|([\]}}]++)|\Z)", re.DOTALL)
_EMPTY = {"[": "[]", "{": "{}"}


class _Layer:
    """A value that begins at a boundary between layers."""

    __slots__ = ("begin", "deepest", "parts", "rest")

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.deepest = 0
        self.parts: list[str] = []
        self.rest = begin
        """Where the text begins that is not in ``parts`` yet."""

    def text(self, whole: str, end: int) -> str:
        return "".join((*self.parts, whole[self.rest : end])) if self.parts else whole[self.rest : end]


def layers_of(text: str) -> Iterator[str]:
    """Yield the layers of a JSON text, innermost first, the outermost last; together they hold all that stands in it.

    In the place of a value that has a layer of its own stands an empty one of its kind. No layer has more than
    ``LEVELS + SLACK`` levels and a few. Raises ValueError where brackets do not fit; all else is the reader's to find.
    """
    layers = [_Layer(0)]
    depth = at = 0
    while (found := _RUN.match(text, at)) is not None:
        at, kind = found.end(), found.lastindex
        if kind is None:
            break
        count = at - found.start(kind)
        if kind == 1:
            depth += count
            while depth > LEVELS * len(layers):
                layers.append(_Layer(at - (depth - LEVELS * len(layers))))
            layers[-1].deepest = max(layers[-1].deepest, depth)
            continue
        depth -= count
        while len(layers) > 1 and depth <= (boundary := LEVELS * (len(layers) - 1)):
            layer = layers.pop()
            outer = layers[-1]
            end = at - (boundary - depth)
            if not layer.parts and layer.deepest <= boundary + SLACK:
                outer.deepest = max(outer.deepest, layer.deepest)
                continue
            yield layer.text(text, end)
            outer.parts += (text[outer.rest : layer.begin], _EMPTY[text[layer.begin]])
            outer.rest = end
        if depth < 0:
            break
    if found is None or depth:
        raise ValueError("brackets or quotes that do not fit")
    yield layers[0].text(text, len(text))
