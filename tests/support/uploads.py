"""What a recorder uploads, made by chance from a seed: opaque events, calls that are valid, calls that are not."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from random import Random

from support.call_samples import API, OPAQUE, SET_VARS, bundle, event, first, second, user

INTERVAL_MS = 5_000
"""Between two bundles, by the page's own time (wire.md 2)."""
LARGE = 100
"""Opaque events of 2 KB each: more than is inspected on the event loop."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A body, and what of it is to reach the upstream."""

    body: bytes
    """As it is sent: compressed when ``zipped``."""
    cleaned: bytes | None
    """What is left of it, decompressed, once everything invalid was cut; None: it goes on as it was sent."""
    zipped: bool
    calls: tuple[str, ...] = ()
    """Its valid calls, which also go up by /rec/event."""

    @property
    def text(self) -> str:
        """As it is sent, decompressed."""
        return (gzip.decompress(self.body) if self.zipped else self.body).decode()


@dataclass(frozen=True, slots=True)
class Piece:
    """One event, or a call with the event that announces it."""

    sent: tuple[str, ...]
    left: tuple[str, ...]
    """What is not cut of it."""
    is_call: bool = False


def compose(random: Random, seq: int, calls: int | None = None) -> Upload:
    """The bundle of a page with this number. ``calls``: how many valid ones; None: none, or a few."""
    start = seq * INTERVAL_MS
    pieces = [_opaque(random, start) for _ in range(LARGE if random.random() < 0.03 else random.randrange(1, 12))]
    wanted = random.choice((0, 0, 1, 3)) if calls is None else calls
    pieces += [_valid(random, start + number) for number in range(wanted)]
    if random.random() < 0.2:
        pieces.append(_invalid(random, start))
    random.shuffle(pieces)
    valid = tuple(piece.sent[-1] for piece in pieces if piece.is_call and piece.sent == piece.left)
    return _upload(random, seq, pieces, valid)


def events_upload(random: Random, seq: int, calls: tuple[str, ...]) -> Upload:
    """The same calls as /rec/event takes them, with the marker that ends them (wire.md 4)."""
    pieces = [Piece((call,), (call,)) for call in (*calls, event(99, [], seq * INTERVAL_MS))]
    return _upload(random, seq, pieces, ())


def _upload(random: Random, seq: int, pieces: list[Piece], calls: tuple[str, ...]) -> Upload:
    sent = bundle(*(part for piece in pieces for part in piece.sent), seq=seq)
    left = bundle(*(part for piece in pieces for part in piece.left), seq=seq)
    zipped = random.random() < 0.4
    body = gzip.compress(sent, 6, mtime=0) if zipped else sent
    return Upload(body, left if left != sent else None, zipped, calls)


def _opaque(random: Random, start: int) -> Piece:
    when = start + random.randrange(INTERVAL_MS)
    made = event(
        random.choice((2, 19, 57, 78)), [random.randrange(10_000), "<div class=c>" * random.randrange(160)], when
    )
    chosen = (random.choice(OPAQUE),) if random.random() < 0.3 else (made,)
    return Piece(chosen, chosen)


def _valid(random: Random, when: int) -> Piece:
    number = random.randrange(1_000)
    call = random.choice(
        (
            first("Bought", {"price_real": number / 4, "items_strs": ["a", "b"]}, when=when),
            second("Looked", {"price": number, "name": "é 🙂"}, {"price": "real", "name": "str"}, when=when),
            user({"displayName": "A visitor", "age_int": number}, when=when),
        )
    )
    parts = (API, call) if '"Kind":8197' in call else (SET_VARS, call)
    return Piece(parts, parts, is_call=True)


def _invalid(random: Random, start: int) -> Piece:
    """A call that is cut with its companion, or one that loses a property."""
    when = start + random.randrange(INTERVAL_MS)
    if random.random() < 0.5:
        return Piece((API, first(random.choice(("", "n" * 251)), {"a_int": 1}, when=when)), ())
    before = first("Bought", {"price_real": 1.5, "wrong_int": "text"}, when=when)
    return Piece((API, before), (API, first("Bought", {"price_real": 1.5}, when=when)))
