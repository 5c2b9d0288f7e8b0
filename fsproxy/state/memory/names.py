"""The names that each org has used: user properties, event names, event properties (rules.md 2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice, takewhile

import msgspec

from fsproxy.core.limits.operations import UNCOUNTED, Claim, Claimed, NameKind
from fsproxy.core.model import Instant
from fsproxy.core.name_digest import LONGEST_NAME, name_digest
from fsproxy.core.plan_writing import NameRow
from fsproxy.state.memory.journal import SHARDS, Journal
from fsproxy.state.memory.page_names import PageNames
from fsproxy.state.memory.recent_names import RecentNames

_Key = tuple[str, NameKind, str]
"""Org, kind, name as it is kept."""
_Known = OrderedDict[str, Instant]
"""Name -> last seen, the one seen longest ago first."""
_NO_NAMES: frozenset[str] = frozenset()
_NO_KINDS: dict[NameKind, _Known] = {}
_NO_TIMES: _Known = OrderedDict()


class Names:
    """At most ``bound`` names over all orgs, ``orgs`` orgs, and those of ``pages`` pages. Refused names are not kept.

    To make room, all names of the org that claimed longest ago go.
    """

    def __init__(self, bound: int, orgs: int, pages: int) -> None:
        self.page_names = PageNames(pages)
        self.recent_names = RecentNames()
        """What was new and what was refused."""
        self._bound = bound
        self._most_orgs = orgs
        self._orgs: OrderedDict[str, dict[NameKind, _Known]] = OrderedDict()
        self._size = 0
        self.evicted = 0
        """Names that were forgotten to make room, since the start."""
        self._journal: Journal[_Key] | None = None

    def __len__(self) -> int:
        return self._size

    def usage(self, org: str) -> dict[NameKind, int]:
        """Return how many names of each kind are known, as of the org's last claim of that kind."""
        kinds = self._orgs.get(org, _NO_KINDS)
        return {kind: len(kinds.get(kind, _NO_NAMES)) for kind in NameKind}

    def recent(self, most: int) -> list[str]:
        """Return at most so many orgs, the one that claimed last first."""
        return list(islice(reversed(self._orgs), most))

    def claim(self, op: Claim, now: Instant) -> Claimed:
        """See ``Claim``."""
        if op.page:
            return self._claim_on_page(op, now)
        known = self._known(op.org, op.kind)
        if known and known[next(iter(known))] <= now - op.retention:
            self._forget(op, known, Instant(now - op.retention))
        all_kept = op.names if max(map(len, op.names), default=0) <= LONGEST_NAME else [*map(_kept, op.names)]
        if len(known) >= op.limit and known.keys().isdisjoint(all_kept):
            # An org at its limit may send nothing but names that are refused, with every event.
            self.recent_names.record(op, (), op.names, now)
            return Claimed(frozenset(op.names), len(known))
        refused: set[str] = set()
        admitted: list[str] = []
        journal = self._journal
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
            if journal is not None:
                journal.shards[hash(kept) % SHARDS].add((op.org, op.kind, kept))
        if admitted or refused:
            self.recent_names.record(op, admitted, refused, now)
        return Claimed(frozenset(refused) if refused else _NO_NAMES, len(known))

    def look(self, op: Claim, now: Instant) -> Claimed:
        """Return what ``claim`` would answer, and claim nothing."""
        of_page = self.page_names.copy_of(op, now) if op.page else None
        known = self._orgs.get(op.org, _NO_KINDS).get(op.kind, _NO_TIMES)
        since, refused = now - op.retention, set[str]()
        # The one that was seen longest ago is the first.
        size = len(known) - sum(1 for _ in takewhile(lambda last: last <= since, known.values()))
        new: set[str] = set()
        for name in op.names:
            kept = _kept(name)
            if of_page is not None and not of_page.has_room(kept, op.page_limit):
                refused.add(name)
                continue
            if not known.get(kept, since) > since and kept not in new:
                if op.limit != UNCOUNTED and size >= op.limit:
                    refused.add(name)
                    continue
                size += 1
                new.add(kept)
            if of_page is not None:
                of_page.add(kept)
        return Claimed(frozenset(refused), size if op.limit != UNCOUNTED else 0)

    def rows(self, org: str | None) -> Iterator[list[NameRow]]:
        """Yield all names that are known, of all orgs unless one is given. A step of the iterator is short."""
        for each in list(self._orgs) if org is None else [org]:
            for kind, known in list(self._orgs.get(each, _NO_KINDS).items()):
                yield [(each, kind, kept, last) for kept, last in known.items()]

    # -- for the writer that copies the names to disk

    def start_journal(self) -> None:
        """Note from now on which names are seen, for ``drain``."""
        self._journal = Journal(lambda key: hash(key[2]) % SHARDS)

    def drain(self, most: int) -> list[tuple[str, NameKind, str, Instant]]:
        """Return at most so many of those seen since they were last drained: org, kind, name as kept, last seen."""
        keys = self._journal.take(most) if self._journal is not None else ()
        return [(org, kind, kept, self._orgs[org][kind][kept]) for org, kind, kept in keys]

    def note_all(self) -> Iterator[None]:
        """Let everything be drained once more. A step of the iterator is short."""
        if self._journal is not None:
            for org in list(self._orgs):
                for kind in NameKind:
                    for kept in self._orgs.get(org, _NO_KINDS).get(kind, _NO_NAMES):
                        self._journal.add((org, kind, kept))
                    yield

    def merge(self, rows: list[tuple[str, NameKind, str, Instant]]) -> None:
        """Add what was drained, here or in another process. What is known already stays as it is."""
        for org, kind, kept, last in sorted(rows, key=lambda row: row[3]):
            known = self._known(org, kind)
            if kept not in known and self._room_for_one(org):
                self._size += 1
                known[kept] = last

    # -- within

    def _claim_on_page(self, op: Claim, now: Instant) -> Claimed:
        """Claim one name after another of the page and of the org: what one refuses is counted by neither."""
        of_page = self.page_names.of(op, now)
        refused: dict[str, None] = {}
        counted = op.limit != UNCOUNTED
        # A claim of no name at all tells how many are known, also where the page refuses all.
        known = self.claim(msgspec.structs.replace(op, names=(), page=""), now).known if counted else 0
        for name in op.names:
            kept = _kept(name)
            if not of_page.has_room(kept, op.page_limit):
                refused[name] = None
                continue
            if counted:
                claimed = self.claim(msgspec.structs.replace(op, names=(name,), page=""), now)
                known = claimed.known
                if claimed.refused:
                    refused[name] = None
                    continue
            of_page.add(kept)
        if refused:
            self.recent_names.record(op, (), refused, now)
        return Claimed(frozenset(refused), known)

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
            if self._journal is not None:
                self._journal.discard((op.org, op.kind, oldest))

    def _room_for_one(self, org: str) -> bool:
        """Make room, if need be at the cost of other orgs. The one that asks is the last in the order."""
        while self._size >= self._bound:
            if next(iter(self._orgs)) == org:
                return False
            self._evict()
        return True

    def _evict(self) -> None:
        org, kinds = self._orgs.popitem(last=False)
        for kind, known in kinds.items():
            self._size -= len(known)
            self.evicted += len(known)
            if self._journal is not None:
                for kept in known:
                    self._journal.discard((org, kind, kept))


def _kept(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name_digest(name)
