"""The names that each org has used: user properties, event names, event properties (rules.md 2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice

from fsproxy.core.limits.operations import Claim, Claimed, NameKind
from fsproxy.core.model import Instant
from fsproxy.state.memory.recent_names import RecentNames

_NOTHING: frozenset[str] = frozenset()

_LONGEST_KEPT = 64
"""A longer name (an event's may be 250 characters, a path 512 more) is kept as its digest."""

_SHARDS = 64
_Key = tuple[str, NameKind, str]
"""Org, kind, name as it is kept."""
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
        self.lately = RecentNames()
        """What was new and what was refused."""
        self._bound = bound
        self._most_orgs = orgs
        self._orgs: OrderedDict[str, dict[NameKind, _Known]] = OrderedDict()
        self._size = 0
        self.evicted = 0
        """Names that were forgotten to make room, since the start."""
        self.touched: tuple[set[_Key], ...] | None = None
        """Known names, as they are kept, that were seen since they were last drained. None: nobody asks.

        In many sets, as a large one stops the loop when it grows.
        """

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
        self._forget(op, known, Instant(now - op.retention))
        all_kept = op.names if max(map(len, op.names), default=0) <= _LONGEST_KEPT else [*map(_kept, op.names)]
        if len(known) >= op.limit and known.keys().isdisjoint(all_kept):
            # An org at its limit may send nothing but names that are refused, with every event.
            self.lately.claimed(op, (), op.names, now)
            return Claimed(frozenset(op.names), len(known))
        refused: set[str] = set()
        admitted: list[str] = []
        touched = self.touched
        for name, kept in zip(op.names, all_kept, strict=True):
            if kept in known:
                if known[kept] < now:
                    known[kept] = now
                    known.move_to_end(kept)
            elif len(known) < op.limit and self._room_for_one(op.org):
                known[kept] = now
                self._size += 1
                admitted.append(name)
            else:
                refused.add(name)
                continue
            if touched is not None:
                touched[hash(kept) % _SHARDS].add((op.org, op.kind, kept))
        if admitted or refused:
            self.lately.claimed(op, admitted, refused, now)
        return Claimed(frozenset(refused) if refused else _NOTHING, len(known))

    def journal(self) -> None:
        """From now on note what is seen, for ``drain``."""
        self.touched = tuple(set() for _ in range(_SHARDS))

    def drain(self, most: int) -> list[tuple[str, NameKind, str, Instant]]:
        """At most so many of those seen since they were last drained: org, kind, name as it is kept, last seen."""
        rows: list[tuple[str, NameKind, str, Instant]] = []
        for keys in self.touched or ():
            if not keys:
                continue
            while keys and len(rows) < most:
                org, kind, kept = keys.pop()
                rows.append((org, kind, kept, self._orgs[org][kind][kept]))
            if keys:
                break
            keys.clear()
        return rows

    def note(self, keys: Iterable[_Key]) -> None:
        """Drain these once more, those that are still known."""
        if self.touched is None:
            return
        for key in keys:
            if key[2] in self._orgs.get(key[0], _NO_KINDS).get(key[1], _NOTHING):
                self.touched[hash(key[2]) % _SHARDS].add(key)

    def note_all(self) -> Iterator[None]:
        """Drain everything once more; a step of the iterator is short."""
        for org in list(self._orgs):
            for kind in NameKind:
                self.note((org, kind, kept) for kept in self._orgs.get(org, _NO_KINDS).get(kind, _NOTHING))
                yield

    def restore(self, rows: list[tuple[str, NameKind, str, Instant]]) -> None:
        """Add what ``drain`` gave, in itself or in another process; what is known already stays as it is."""
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

    def _forget(self, op: Claim, known: _Known, until: Instant) -> None:
        while known:
            oldest = next(iter(known))
            if known[oldest] > until:
                return
            del known[oldest]
            self._size -= 1
            self._unnote(op.org, op.kind, (oldest,))

    def _room_for_one(self, org: str) -> bool:
        """Make room, if need be at the cost of other orgs; the one that asks is the last in the order."""
        while self._size >= self._bound:
            if next(iter(self._orgs)) == org:
                return False
            self._evict()
        return True

    def _evict(self) -> None:
        org, kinds = self._orgs.popitem(last=False)
        for kind, known in kinds.items():
            self._unnote(org, kind, known)
        gone = sum(len(known) for known in kinds.values())
        self._size -= gone
        self.evicted += gone

    def _unnote(self, org: str, kind: NameKind, names: Iterable[str]) -> None:
        if self.touched is not None:
            for kept in names:
                self.touched[hash(kept) % _SHARDS].discard((org, kind, kept))
