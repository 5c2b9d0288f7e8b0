"""The names that each page has set, as far as their number is limited (rules.md 2)."""

from __future__ import annotations

from array import array

import msgspec

from fsproxy.core.limits.operations import SESSION_LIFE_SECONDS, Claim
from fsproxy.core.model import Instant
from fsproxy.state.memory.expiring_table import ExpiringTable
from fsproxy.state.memory.keys import PAGE, key_of, page_mark

_SLICE = 600.0


class NamesOfPage(msgspec.Struct):
    """One page's names, each as its mark, and when the page last claimed any."""

    last: Instant
    marks: array[int]

    def has_room(self, name: str, limit: int) -> bool:
        """Return whether the page may use a name: it has done so before, or has fewer than ``limit``."""
        return len(self.marks) < limit or page_mark(name) in self.marks

    def add(self, name: str) -> None:
        """Count a name, once."""
        mark = page_mark(name)
        if mark not in self.marks:
            self.marks.append(mark)


class PageNames:
    """Names by org and page, kept for 24 hours after a page last claimed any, of at most ``bound`` pages.

    A page takes about 200 bytes, and 4 for each name. When they are full, the page that claimed longest ago (to 10
    minutes) goes first.
    """

    def __init__(self, bound: int) -> None:
        self.pages: ExpiringTable[NamesOfPage] = ExpiringTable(
            bound, SESSION_LIFE_SECONDS, _SLICE, lambda _, names: names.last
        )

    def of(self, op: Claim, now: Instant) -> NamesOfPage:
        """Return the names of the claim's page, kept from now on."""
        self.pages.sweep(now)
        names = self._known(op, now)
        if names is None:
            names = NamesOfPage(now, array("i"))
            self.pages.put(key_of(PAGE, op.org, op.page), names)
        names.last = max(names.last, now)
        return names

    def copy_of(self, op: Claim, now: Instant) -> NamesOfPage:
        """Return a copy of them, which is not kept."""
        names = self._known(op, now)
        return NamesOfPage(now, array("i", names.marks if names is not None else ()))

    def _known(self, op: Claim, now: Instant) -> NamesOfPage | None:
        names = self.pages.get(key_of(PAGE, op.org, op.page))
        return names if names is not None and names.last > now - SESSION_LIFE_SECONDS else None
