"""Request bodies of random shapes, for the search for what holds the event loop longest (``loop_hold.py --search``).

A shape is a small tree: pieces that are repeated, nested, given names, or written into a string. Each of its numbers
and pieces can be changed at random, so that a search can climb from a slow shape to a slower one. The same seed
gives the same shapes.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

LEAVES: dict[str, bytes] = {
    "int": b"1",
    "long int": b"9" * 30,
    "huge int": b"9" * 5000,
    "float": b"1.5",
    "out of range": b"1e999",
    "exponent": b"8.197e3",
    "null": b"null",
    "true": b"true",
    "empty": b'""',
    "text": b'"abcdefgh"',
    "long text": b'"%b"' % (b"x" * 8000),
    "control": b'"\\n"',
    "backslash": b'"\\\\"',
    "escape": b'"\\u0041"',
    "half": b'"\\ud83d"',
    "pair": b'"\\ud83d\\ude00"',
    "wide": '"é😀"'.encode(),
    "date": b'"2014-03-11T13:19:23Z"',
    "empty list": b"[]",
    "empty object": b"{}",
    "not JSON": b"NaN",
    "not UTF-8": b'"\xff"',
    "a kind": b"8197",
}
NAMES = (
    "a_str",
    "a_int",
    "a_strs",
    "a_date",
    "a_real",
    "a",
    "a-b_str",
    "Kind",
    "kind",
    "When",
    "Args",
    "Url",
    "uid",
    "x" * 300,
)
WRAPS = ("list", "object", "same names", "nested lists", "nested objects", "string", "in a string")
PAGE_FIELDS = (
    "OrgId",
    "UserId",
    "SessionId",
    "PageId",
    "Url",
    "CompiledTimestamp",
    "AppId",
    "Title",
    "Referrer",
    "url",
)
ROUTES = (
    "page", "bundle", "event", "direct event", "direct vars", "identify", "v2 event", "v2 batch", "v2 user", "v1 event",
    "socket page", "socket bundle", "socket event", "explain", "raw",
)  # fmt: skip
"""Where a shape may go; ``raw`` is a bundle of nothing but the value."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A leaf, or another piece in a wrapping, ``count`` times."""

    kind: str
    count: int = 1
    inner: Piece | None = None
    name: str = "a_str"


@dataclass(frozen=True, slots=True)
class Shape:
    """A request: where it goes, what is in it, and how it is sent."""

    route: str
    value: Piece
    events: int = 1
    """How often the value's event stands in a bundle, or an item in a batch."""
    where: str = "Title"
    """The page's field in which the value stands; of an event, ``props``, ``schema``, ``name``, ``opaque`` or ``member``."""
    beside: str = "int"
    """A leaf that is set beside it."""
    compressed: str = ""
    scale: int = 1
    """How many times as large as what is sent a compressed body may be."""
    tail: bytes = b""
    cut: int = 0
    """Bytes that are missing at its end."""

    def __str__(self) -> str:
        """Return what a person needs to make it again."""
        piece, words = self.value, []
        while True:
            words.append(f"{piece.count}x {piece.kind}" + (f" {piece.name[:12]}" if "object" in piece.kind else ""))
            if piece.inner is None:
                break
            piece = piece.inner
        return f"{self.route} {self.where} {self.events}x [{' of '.join(words)}] +{self.beside} {self.compressed} {self.scale} {self.tail[:4]!r}-{self.cut}"


def rendered(piece: Piece, most: int) -> bytes:
    """Return the JSON of a piece, of at most about ``most`` bytes."""
    if piece.inner is None:
        leaf = LEAVES[piece.kind]
        return leaf if piece.count == 1 else b"[" + b",".join([leaf] * bounded(piece.count, len(leaf) + 1, most)) + b"]"
    text = rendered(piece.inner, most)
    count = bounded(piece.count, len(text) + 1, most)
    name = piece.name.encode()
    if piece.kind == "list":
        return b"[" + b",".join([text] * count) + b"]"
    if piece.kind == "object":
        count = bounded(count, len(text) + len(name) + 10, most)
        stem, _, suffix = name.rpartition(b"_")
        return (
            b"{"
            + b",".join(
                b'"%b%d%b":%b' % (stem or b"n", n, b"_" + suffix if stem else suffix, text) for n in range(count)
            )
            + b"}"
        )
    if piece.kind == "same names":
        count = bounded(count, len(text) + len(name) + 4, most)
        return b"{" + b",".join([b'"%b":%b' % (name, text)] * count) + b"}"
    if piece.kind == "nested lists":
        return b"[" * count + text + b"]" * count
    if piece.kind == "nested objects":
        count = bounded(piece.count, len(name) + 6, most)
        return (b'{"%b":' % name) * count + text + b"}" * count
    if piece.kind == "string":
        inner = text.strip(b'"').replace(b'"', b"")
        return b'"' + inner * bounded(piece.count, len(inner) + 1, most) + b'"'
    return json.dumps(text.decode("utf-8", "replace")).encode()


def bounded(count: int, each: int, most: int) -> int:
    """Return so many repetitions of ``each`` bytes as fit."""
    return max(1, min(count, most // max(each, 1)))


def body_of(shape: Shape, most: int) -> bytes:
    """Return the request's body, of at most ``most`` bytes as it is sent; empty where the shape has no such body."""
    plain = most * (shape.scale if shape.compressed else 1)
    text = wrapped(shape, plain, rendered(shape.value, plain), LEAVES[shape.beside])
    text = text[: len(text) - shape.cut] + shape.tail
    sent = squeezed(text, shape.compressed) if len(text) <= plain * 1.2 else b""
    return sent if len(sent) <= most * 1.2 else b""


def wrapped(shape: Shape, most: int, value: bytes, beside: bytes) -> bytes:
    """Return the body that has the value where the route has a place for it."""
    return {
        "page": lambda: page(shape.where, value, beside),
        "raw": lambda: value,
        "explain": lambda: b'{"OrgId":"o","%b":%b,"record":%b}' % (shape.where.encode(), value, beside),
        "direct event": lambda: b'{"name":"E","properties":%b}' % value,
        "direct vars": lambda: value,
        "identify": lambda: b'{"uid":"u","properties":%b}' % value,
        "v2 event": lambda: b'{"name":"E","properties":%b,"schema":{"properties":%b}}' % (value, beside),
        "v2 user": lambda: b'{"uid":"u","properties":%b}' % value,
        "v2 batch": lambda: (
            b'{"requests":[%b]}'
            % b",".join([b'{"name":"E","properties":%b}' % value] * bounded(shape.events, len(value) + 30, most))
        ),
        "v1 event": lambda: b'{"event":{"event_name":"E","event_data":%b}}' % value,
        "socket page": lambda: b'{"Cmd":1,"Page":%b,"Seq":1}' % page(shape.where, value, beside),
        "socket bundle": lambda: (
            b'{"Cmd":2,"Bundle":{"Bundle":%b,"OrgId":"o","PageId":"p","SessionId":"s"},"Seq":2}'
            % events(shape, value, beside, most)
        ),
        "socket event": lambda: (
            b'{"Cmd":6,"Bundle":{"Bundle":%b,"OrgId":"o","PageId":"p","SessionId":"s"},"Seq":3}'
            % events(shape, value, beside, most)
        ),
    }.get(shape.route, lambda: events(shape, value, beside, most))()


def squeezed(text: bytes, how: str) -> bytes:
    """Return the text compressed in one of the ways that gzip has."""
    if how == "gzip":
        return gzip.compress(text, 6)
    if how == "members":
        size = len(text) // 50 + 1
        return b"".join(gzip.compress(text[at : at + size], 6) for at in range(0, len(text), size))
    if how == "stored":
        packer = zlib.compressobj(0, wbits=31)
        return packer.compress(text) + packer.flush()
    return text


def page(where: str, value: bytes, beside: bytes) -> bytes:
    """Return a page's body with a value in one of its fields."""
    fields = {b"OrgId": b'"o-BENCH-na1"', b"Url": b'"https://a.example/"', b"X": beside, where.encode(): value}
    return b"{" + b",".join(b'"%b":%b' % each for each in fields.items()) + b"}"


def events(shape: Shape, value: bytes, beside: bytes, most: int) -> bytes:
    """Return a bundle in which an event stands ``events`` times."""
    quoted = (
        json.dumps(value.decode("utf-8", "surrogateescape")).encode() if shape.where in {"props", "schema"} else value
    )
    one = {
        "props": b'{"Kind":8197,"When":%%d,"Args":["E",%b]}' % quoted,
        "schema": b'{"Kind":8197,"When":%%d,"Args":["E","{\\"a\\":1}",null,2,%b]}' % quoted,
        "name": b'{"Kind":8197,"When":%%d,"Args":[%b,"{}"]}' % value,
        "opaque": b'{"Kind":2,"When":%%d,"Args":[%b]}' % value,
        "kind": b'{"Kind":%b,"When":%%d,"Args":["E","{}"]}' % value,
        "vars": b'{"Kind":8193,"When":%%d,"Args":["user",%b]}' % quoted,
    }.get(shape.where, b'{"Kind":8197,"When":%%d,"Args":["E","{}"],"Z":%b}' % value)
    before, _, after = one.partition(b"%d")
    count = bounded(shape.events, len(one) + 8, most)
    pair = b'{"Kind":98,"Args":["api","event"],"When":1},' if count % 2 else b""
    return b'{"Seq":1,"When":0,"X":%b,"Evts":[%b]}' % (
        beside,
        b",".join(b"%b%b%d%b" % (pair, before, n, after) for n in range(count)),
    )


# -- at random


def random_piece(rng: Random, depth: int = 0) -> Piece:
    """Return a piece of up to four layers."""
    if depth == 3 or rng.random() < 0.3:
        return Piece(rng.choice(list(LEAVES)), count(rng))
    return Piece(rng.choice(WRAPS), count(rng), random_piece(rng, depth + 1), rng.choice(NAMES))


def count(rng: Random) -> int:
    """Return 1 to 1,000,000, each order of magnitude as likely as another."""
    return int(10 ** rng.uniform(0, 6))


def where(rng: Random, route: str) -> str:
    """Return where the value stands, as the route has places for it."""
    if "page" in route or route == "explain":
        return rng.choice(PAGE_FIELDS)
    return rng.choice(("props", "schema", "name", "opaque", "kind", "vars", "member"))


def random_shape(rng: Random) -> Shape:
    """Return any shape."""
    route = rng.choice(ROUTES)
    return Shape(
        route,
        random_piece(rng),
        count(rng),
        where(rng, route),
        rng.choice(list(LEAVES)) if rng.random() < 0.5 else "int",
        rng.choice(("", "", "gzip", "gzip", "members", "stored")),
        rng.choice((1, 1, 8, 60)),
        rng.choice((b"", b"", b"", b"}", b"\0" * 1000, b"\xff", b'"')),
        rng.choice((0, 0, 0, 1, 2, 500)),
    )


def changed(shape: Shape, rng: Random) -> Shape:
    """Return the shape with one thing changed."""
    what: dict[str, Any] = {
        "route": lambda: (new := rng.choice(ROUTES), where(rng, new))[0],
        "value": lambda: changed_piece(shape.value, rng),
        "events": lambda: rng.choice((1, shape.events * 3, max(1, shape.events // 3), count(rng))),
        "where": lambda: where(rng, shape.route),
        "beside": lambda: rng.choice(list(LEAVES)),
        "compressed": lambda: rng.choice(("", "gzip", "members", "stored")),
        "scale": lambda: rng.choice((1, 8, 60)),
        "tail": lambda: rng.choice((b"", b"}", b"\0" * 1000)),
        "cut": lambda: rng.choice((0, 1, 500)),
    }
    name = rng.choice([*what, "value", "value", "value"])
    return replace(shape, **{name: what[name]()})


def changed_piece(piece: Piece, rng: Random) -> Piece:
    """Return the piece with a layer changed, added or taken away."""
    if piece.inner is not None and rng.random() < 0.5:
        return replace(piece, inner=changed_piece(piece.inner, rng))
    chance = rng.random()
    if chance < 0.25:
        return Piece(rng.choice(WRAPS), count(rng), piece, rng.choice(NAMES))
    if chance < 0.35 and piece.inner is not None:
        return piece.inner
    if chance < 0.7:
        return replace(piece, count=rng.choice((1, piece.count * 4, max(1, piece.count // 4), count(rng))))
    if chance < 0.85:
        return replace(piece, name=rng.choice(NAMES))
    return replace(piece, kind=rng.choice(list(LEAVES) if piece.inner is None else WRAPS))


@dataclass(slots=True)
class Climb:
    """Keeps the slowest shapes that were found, and proposes what to try next."""

    rng: Random
    keep: int = 12
    best: list[tuple[float, Shape]] = field(default_factory=list)

    def propose(self) -> Shape:
        """Return a new shape: in one of three cases any, else one near a slow one."""
        if len(self.best) < self.keep or self.rng.random() < 0.34:
            return random_shape(self.rng)
        shape = self.rng.choice(self.best)[1]
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            shape = changed(shape, self.rng)
        return shape

    def note(self, shape: Shape, score: float) -> None:
        """Keep the shape if it is among the slowest of its route and place, of which two are kept."""
        alike = [each for each in self.best if (each[1].route, each[1].where) == (shape.route, shape.where)]
        if len(alike) >= 2:
            least = min(alike, key=lambda each: each[0])
            if score <= least[0]:
                return
            self.best.remove(least)
        self.best = sorted([*self.best, (score, shape)], key=lambda each: -each[0])[: self.keep]
