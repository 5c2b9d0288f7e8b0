"""Cuts deep JSON into layers that a recursive reader can read, so that any depth takes only linear time.

A boundary lies after every 520 levels. A value that reaches more than a little below a boundary gets a layer of its
own, and an empty value of its kind takes its place in the layer above. So no layer is deeper than a reader's stack
allows, and together the layers hold every name and value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fsproxy.core.json.scanner import PLAIN
from fsproxy.core.possessive import BACK

LEVELS = 520
"""Levels of objects and lists between two boundaries.

No name of 512 characters reaches deeper: it has at most 256 parts, each of them an object in a list (rules.md 2).
"""
SLACK = 100
"""Levels that a value may reach below a boundary without a layer of its own, which would cost more."""

_PLAIN = PLAIN.decode()
_FLAT = rf"[\[{{](?:{_PLAIN}{BACK})*+[\]}}]"
_SHALLOW = rf"[\[{{](?:{_PLAIN}|{_FLAT}{BACK})*+[\]}}]"
# One match reads up to the next run of brackets that matters. Values of one or two levels are skipped on the way: they
# open and close at once, and change nothing. Group 1 is a run of opening brackets, group 2 one of closing brackets,
# and neither matches at the end of the text.
_RUN = re.compile(rf"(?:{_PLAIN}|{_SHALLOW}{BACK})*+(?:([\[{{]++)|([\]}}]++)|\Z)", re.DOTALL)
_EMPTY = {"[": "[]", "{": "{}"}


class _Layer:
    """A value that begins at a boundary, while the text is read."""

    __slots__ = ("begin", "deepest", "parts", "rest")

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.deepest = 0
        """The deepest level that was reached in it, counted from the root of the text."""
        self.parts: list[str] = []
        """Its text without the values that have layers of their own."""
        self.rest = begin
        """Where the text begins that is not in ``parts`` yet."""

    def text(self, whole: str, end: int) -> str:
        return "".join((*self.parts, whole[self.rest : end])) if self.parts else whole[self.rest : end]


def layers_of(text: str) -> Iterator[str]:
    """Yield the layers of a JSON text, inner ones before outer ones.

    No layer is much deeper than ``LEVELS + SLACK``. Raise ValueError for brackets or quotes that do not fit; any other
    fault is left for the reader to find.
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
            # The run may cross several boundaries. A layer begins with the bracket that crosses one.
            while depth > LEVELS * len(layers):
                layers.append(_Layer(at - (depth - LEVELS * len(layers))))
            layers[-1].deepest = max(layers[-1].deepest, depth)
            continue
        depth -= count
        # The run may come back over several boundaries. The value of a layer ends with the bracket that does so.
        while len(layers) > 1 and depth <= (boundary := LEVELS * (len(layers) - 1)):
            layer = layers.pop()
            outer = layers[-1]
            end = at - (boundary - depth)
            if not layer.parts and layer.deepest <= boundary + SLACK:  # shallow after all: it stays in the outer layer
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
