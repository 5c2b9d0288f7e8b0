"""Pages that were blocked: their own bundles get the same answer (rules.md 1).

It is only remembered: what is lost costs a bundle that is forwarded.
"""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec

from fsproxy.core.model import Hit, Rule
from fsproxy.state.memory.bounded_table import BoundedTable, Ready
from fsproxy.state.memory.keys import KeyKind, key_of

BLOCKED_PAGES = 200_000
"""How many blocked pages a process remembers: about 70 MB at the most."""
BLOCKED_PAGE_SECONDS = 24 * 60 * 60
"""How long a blocked page is remembered (rules.md 1)."""
LONGEST_ID = 64
"""Characters of an id that is kept as it is. Of a longer one a digest is kept, as clients choose them."""

PageKey = str | int
NOT_BLOCKED: Ready[Hit | None] = Ready(None)


class BlockedPages:
    """Why pages were blocked, by org and page id, for 24 hours; at most ``bound`` of them."""

    def __init__(self, bound: int = BLOCKED_PAGES) -> None:
        self._hits: BoundedTable[PageKey, Hit] = BoundedTable(bound)

    def __len__(self) -> int:
        return len(self._hits)

    @property
    def evicted(self) -> int:
        """Pages that were forgotten to make room, since the start."""
        return self._hits.evicted

    def remember(self, org: str, page: str, hit: Hit) -> None:
        """Keep why the page was blocked. Of a page without an id nothing is kept."""
        if page:
            self._hits.put(page_key(org, page), hit, BLOCKED_PAGE_SECONDS)

    def find(self, org: str, page: str) -> Awaitable[Hit | None]:
        """Return why the page was blocked; None if it was not, or is not remembered.

        A shared form may have to ask. The question is on its way when this returns, so that it is one round trip with
        what the caller asks next.
        """
        hit = self._hits.find(page_key(org, page)) if page else None
        return NOT_BLOCKED if hit is None else Ready(as_found(hit))


def page_key(org: str, page: str) -> PageKey:
    """Return what a page is known by in memory: one text, as it takes less room than a pair."""
    if len(page) <= LONGEST_ID and len(org) <= LONGEST_ID:
        return f"{len(org)}:{org}{page}"
    return key_of(KeyKind.PAGE, org, page)


def as_found(hit: Hit) -> Hit:
    """Return the hit without the rule's place, which may have changed since."""
    return msgspec.structs.replace(hit, rule=Rule(hit.rule.id))
