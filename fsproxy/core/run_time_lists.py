"""Lists that change while the program runs: users being deleted, blocked users, blocked addresses (rules.md 10).

What stands for an entry is the digest of a uid, or the text of a network. An entry ends by itself. One that was removed
is remembered as removed until it would have ended, so that no other process or file brings it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from ipaddress import IPv4Address, ip_network
from typing import NamedTuple

import msgspec

from fsproxy.core.matching.addresses import Address, parse_pattern
from fsproxy.core.model import LONGEST_ID, FilterName
from fsproxy.core.uid_digest import uid_digest

MOST_ENTRIES: Mapping[FilterName, int] = {
    FilterName.IP: 10_000,
    FilterName.DELETING_USER: 100_000,
    FilterName.BLOCKED_USER: 100_000,
}
"""The lists that can be changed at run time, and how many entries each may have."""
MOST_SECONDS = 366 * 86_400
"""The longest life of an entry."""
_LATER = 0.001
Entry = int | str
"""What stands for an entry: a uid's digest, or a network."""


class ListRow(NamedTuple):
    """An entry as it was last changed. The times are Unix seconds."""

    name: FilterName
    entry: Entry
    ends: float
    """Negative: it was removed; that is remembered until ``-ends``."""
    changed: float
    """Of two rows of an entry the later one counts."""


class ListChange(msgspec.Struct, frozen=True, gc=False):
    """A change of one list that an operator asks for."""

    name: FilterName
    add: tuple[Entry, ...]
    remove: tuple[Entry, ...]
    ends: float
    """Of what is added."""
    at: float


class ListFullError(Exception):
    """The list has no room for so many entries; nothing was changed."""


def entry_of(name: FilterName, text: str) -> Entry:
    """Return what stands for an entry. Raise ValueError: its text says what is allowed and holds no value."""
    if name is not FilterName.IP:
        if not 0 < len(text) <= LONGEST_ID:
            raise ValueError(f"a uid, of 1 to {LONGEST_ID} characters")
        return uid_digest(text)
    pattern = parse_pattern(text)
    bits = 32 if pattern is not None and pattern.version == 4 else 128
    if pattern is None or pattern.mask != (1 << bits) - (1 << bits - pattern.mask.bit_count()):
        raise ValueError("an IP address, or a network (10.0.0.0/8, 2001:db8::/32)")
    network = ip_network((pattern.value.to_bytes(bits // 8, "big"), pattern.mask.bit_count()))
    return str(network.network_address if network.prefixlen == bits else network)


def text_of(entry: Entry) -> str:
    """Return the text of what stands for an entry, which ``entry_from`` reads."""
    return f"{entry:015x}" if isinstance(entry, int) else entry


def entry_from(name: FilterName, text: str) -> Entry:
    """Return what stands for an entry from its text. Raise ValueError."""
    return entry_of(name, text) if name is FilterName.IP else int(text, 16)


class RunTimeList:
    """The entries of one list. It changes between requests; requests only look things up."""

    __slots__ = ("live", "rows")

    def __init__(self) -> None:
        self.rows: dict[Entry, tuple[float, float]] = {}
        """``ends`` and ``changed`` of each row."""
        self.live = 0
        """Entries that were not removed."""

    def has(self, entry: Entry, now: float) -> bool:
        """Return whether the entry is in force."""
        row = self.rows.get(entry)
        return row is not None and row[0] > now

    def has_user(self, uid: str, now: float) -> bool:
        """Return whether a user is listed. The empty uid, which all unidentified visitors have, never is."""
        return uid != "" and self.has(uid_digest(uid), now)

    def covers(self, address: Address, now: float) -> bool:  # noqa: ARG002 - a list of users has no address
        """Return whether a network in force has the address."""
        return False

    def put(self, entry: Entry, ends: float, changed: float) -> None:
        """Keep a row in place of an older one."""
        known = self.rows.get(entry)
        self.live += (ends > 0) - (known is not None and known[0] > 0)
        self.rows[entry] = ends, changed

    def drop(self, entry: Entry) -> None:
        """Forget a row."""
        self.live -= self.rows.pop(entry)[0] > 0


class RunTimeNetworks(RunTimeList):
    """A list of networks, looked up by masks as in ``AddressTable``."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        super().__init__()
        self._tables: dict[int, tuple[tuple[int, dict[int, float]], ...]] = {4: (), 6: ()}
        """By version: each mask with the ends of its networks. A thread that reads keeps the tuple it began with."""

    def covers(self, address: Address, now: float) -> bool:
        """See ``RunTimeList``. The cost grows with the number of different prefix lengths alone."""
        number = int(address)
        for mask, ends in self._tables[4 if isinstance(address, IPv4Address) else 6]:
            if ends.get(number & mask, 0.0) > now:
                return True
        return False

    def put(self, entry: Entry, ends: float, changed: float) -> None:
        """See ``RunTimeList``. Raise ValueError for what is no network."""
        version, mask, value = _masked(entry)
        super().put(entry, ends, changed)
        found = next((values for known, values in self._tables[version] if known == mask), None)
        if found is None:
            found = {}
            self._tables[version] = (*self._tables[version], (mask, found))
        found[value] = ends

    def drop(self, entry: Entry) -> None:
        """See ``RunTimeList``."""
        version, mask, value = _masked(entry)
        super().drop(entry)
        for known, values in self._tables[version]:
            if known == mask:
                del values[value]
        self._tables[version] = tuple(each for each in self._tables[version] if each[1])


def _masked(entry: Entry) -> tuple[int, int, int]:
    network = ip_network(str(entry))
    return network.version, int(network.netmask), int(network.network_address)


class RunTimeLists:
    """All lists of a process, and what of them is still to be written."""

    def __init__(self) -> None:
        self.by_name: dict[FilterName, RunTimeList] = {
            name: RunTimeNetworks() if name is FilterName.IP else RunTimeList() for name in MOST_ENTRIES
        }
        self._ends: list[tuple[float, FilterName, Entry]] = []
        """A heap of when rows end; one that was changed since is in it twice."""

    def __len__(self) -> int:
        return sum(len(each.rows) for each in self.by_name.values())

    def in_force(self) -> frozenset[FilterName]:
        """Return the lists with entries. Call ``sweep`` before."""
        return frozenset([name for name, each in self.by_name.items() if each.live])

    def change(self, change: ListChange) -> tuple[list[ListRow], int, int]:
        """Carry out a change; return its rows, and how many entries were added and removed. Raise ListFullError.

        An entry that is in the list already ends as the change says.
        """
        found = self.by_name[change.name]
        new = sum(not found.has(each, change.at) for each in set(change.add))
        gone = [each for each in dict.fromkeys(change.remove) if found.has(each, change.at)]
        if found.live + new - len(gone) > MOST_ENTRIES[change.name]:
            raise ListFullError
        ends = [(each, -found.rows[each][0]) for each in gone]
        ends += [(each, change.ends) for each in dict.fromkeys(change.add)]
        # Another machine's clock may be ahead: an operator's change must count nevertheless.
        rows = [
            ListRow(change.name, each, end, max(change.at, found.rows.get(each, (0.0, 0.0))[1] + _LATER))
            for each, end in ends
        ]
        return self.take(rows, change.at), new, len(gone)

    def take(self, rows: Iterable[ListRow], now: float) -> list[ListRow]:
        """Take in the rows that are newer than what is known, and return these."""
        news = []
        for row in rows:
            found = self.by_name[row.name]
            known = found.rows.get(row.entry)
            if abs(row.ends) > now and (known is None or (row.changed, row.ends) > (known[1], known[0])):
                found.put(row.entry, row.ends, row.changed)
                heappush(self._ends, (abs(row.ends), row.name, row.entry))
                news.append(row)
        return news

    def sweep(self, now: float) -> None:
        """Forget what has ended."""
        ends = self._ends
        while ends and ends[0][0] <= now:
            end, name, entry = heappop(ends)
            found = self.by_name[name]
            row = found.rows.get(entry)
            if row is not None and abs(row[0]) == end:
                found.drop(entry)

    def rows(self, name: FilterName | None = None) -> Iterator[ListRow]:
        """Yield all rows, or those of one list, removed ones included."""
        for each in self.by_name if name is None else (name,):
            for entry, (ends, changed) in list(self.by_name[each].rows.items()):
                yield ListRow(each, entry, ends, changed)
