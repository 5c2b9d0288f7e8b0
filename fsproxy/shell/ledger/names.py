"""The names that each org has used: user properties, event names, event properties (seed 2)."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from itertools import islice

from fsproxy.core.limits.operations import Claim, Claimed, NameKind
from fsproxy.core.model import Instant

_NOTHING: frozenset[str] = frozenset()

_LONGEST_KEPT = 64
"""A longer name (an event's may be 250 characters, a path 512 more) is kept as its digest."""

_Known = OrderedDict[str, Instant]
"""Name -> last seen, the one seen longest ago first."""
_NO_KINDS: dict[NameKind, _Known] = {}


def _kept(name: str) -> str:
    if len(name) <= _LONGEST_KEPT:
        return name
    return "\0" + blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Names:
    """At most ``bound`` names over all orgs, and ``orgs`` orgs; refused names are not kept.

    To make room, what the org that claimed longest ago knows goes first, whole.
    """

    def __init__(self, bound: int, orgs: int) -> None:
        self._bound = bound
        self._most_orgs = orgs
        self._orgs: OrderedDict[str, dict[NameKind, _Known]] = OrderedDict()
        self._size = 0
        self.evicted = 0
        """Names that were forgotten to make room, since the start."""
        self.touched: set[tuple[str, NameKind, str]] | None = None
        """Names, as they are kept, that were seen since somebody last emptied this; None: nobody asks."""

    def __len__(self) -> int:
        return self._size

    def usage(self, org: str) -> dict[NameKind, int]:
        """How many names of each kind are known, as of the org's last claim of that kind."""
        kinds = self._orgs.get(org)
        return {kind: len(kinds[kind]) if kinds and kind in kinds else 0 for kind in NameKind}

    def recent(self, most: int) -> list[str]:
        """At most so many orgs, the one that claimed last first."""
        return list(islice(reversed(self._orgs), most))

    def claim(self, op: Claim, now: Instant) -> Claimed:
        """See ``Claim``."""
        known = self._known(op.org, op.kind)
        self._forget(known, Instant(now - op.retention))
        refused: set[str] | None = None
        touched = self.touched
        for name in op.names:
            kept = name if len(name) <= _LONGEST_KEPT else _kept(name)
            if kept in known:
                if known[kept] < now:
                    known[kept] = now
                    known.move_to_end(kept)
            elif len(known) < op.limit and self._room_for_one(op.org):
                known[kept] = now
                self._size += 1
            else:
                refused = refused or set()
                refused.add(name)
                continue
            if touched is not None:
                touched.add((op.org, op.kind, kept))
        return Claimed(frozenset(refused) if refused else _NOTHING, len(known))

    def drain(self) -> list[tuple[str, NameKind, str, Instant]]:
        """What was seen since the last time: org, kind, name as it is kept, last seen."""
        if not self.touched:
            return []
        touched, self.touched = self.touched, set()
        rows = []
        for org, kind, kept in touched:
            known = self._orgs.get(org, _NO_KINDS).get(kind)
            if known is not None and kept in known:
                rows.append((org, kind, kept, known[kept]))
        return rows

    def restore(self, rows: list[tuple[str, NameKind, str, Instant]]) -> None:
        """Take back what ``drain`` gave, into a memory that is still empty."""
        for org, kind, kept, last in sorted(rows, key=lambda row: row[3]):
            known = self._known(org, kind)
            if kept not in known and self._room_for_one(org):
                self._size += 1
                known[kept] = last

    def _known(self, org: str, kind: NameKind) -> _Known:
        kinds = self._orgs.get(org)
        if kinds is None:
            if len(self._orgs) >= self._most_orgs:
                self._evict()
            kinds = self._orgs[org] = {}
        else:
            self._orgs.move_to_end(org)
        known = kinds.get(kind)
        if known is None:
            known = kinds[kind] = OrderedDict()
        return known

    def _forget(self, known: _Known, until: Instant) -> None:
        while known:
            oldest = next(iter(known))
            if known[oldest] > until:
                return
            del known[oldest]
            self._size -= 1

    def _room_for_one(self, org: str) -> bool:
        """Make room, if need be at the cost of other orgs; the one that asks is the last in the order."""
        while self._size >= self._bound:
            if next(iter(self._orgs)) == org:
                return False
            self._evict()
        return True

    def _evict(self) -> None:
        _, kinds = self._orgs.popitem(last=False)
        gone = sum(len(known) for known in kinds.values())
        self._size -= gone
        self.evicted += gone
