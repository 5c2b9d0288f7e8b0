"""Peers that send forwarding headers untrusted: most often a load balancer that is not listed (rules.md 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition, Level

DROPPED_SHARE = 0.01
"""From this share of pages on, untrusted forwarding headers are worth a warning."""
ENOUGH_PAGES = 100
BLOCK_SECONDS = 60.0
"""Pages are counted in blocks of at least ENOUGH_PAGES and this time. A block without such a share ends the warning."""
NAMED_SHARE = 0.1
"""A peer is named that brings at least so many of all pages: that is no visitor (rules.md 6)."""
MOST_PEERS, MOST_NAMED = 100, 4


class UntrustedPeers:
    """Counts pages whose forwarding headers were dropped, by the peer that sent them."""

    def __init__(self, pages: Callable[[], int]) -> None:
        """``pages`` returns the number of pages so far. It is called for a block in which headers were dropped."""
        self._pages = pages
        self._peers: Counter[str] = Counter()
        self._dropped = self._pages_before = 0
        self._begun: Instant | None = None
        self._open: tuple[Instant, tuple[str, ...]] | None = None
        self._count = 0

    def note(self, peer: str) -> None:
        """Count a page."""
        self._dropped += 1
        if peer in self._peers or len(self._peers) < MOST_PEERS:
            self._peers[peer] += 1

    def start_again(self) -> None:
        """Forget everything: who is trusted has changed."""
        self._open, self._count = None, 0
        self._begin(None)

    def conditions(self, now: Instant) -> Iterator[Condition]:
        """Yield that headers are dropped, while they are: a source."""
        if self._begun is None:
            self._begun = now
        is_full = not 0 <= now - self._begun < BLOCK_SECONDS
        if self._dropped or is_full:
            pages = self._pages() - self._pages_before
            many = self._dropped > pages * DROPPED_SHARE
            if many and pages >= ENOUGH_PAGES and self._open is None:
                self._open = now, self._named(pages)
            if is_full and (pages >= ENOUGH_PAGES or not self._dropped):
                self._count += self._dropped
                self._begin(now)
                if pages >= ENOUGH_PAGES and not many:
                    self._open, self._count = None, 0
        if self._open is not None:
            yield _condition(*self._open, self._count + self._dropped)

    def _begin(self, now: Instant | None) -> None:
        self._begun, self._dropped, self._pages_before = now, 0, self._pages()
        self._peers.clear()

    def _named(self, pages: int) -> tuple[str, ...]:
        return tuple(peer for peer, count in self._peers.most_common(MOST_NAMED) if count >= pages * NAMED_SHARE)


def _condition(since: Instant, peers: tuple[str, ...], count: int) -> Condition:
    named = ", ".join(peers)
    text = f"forwarding headers from {named} are dropped" if peers else "forwarding headers of many peers are dropped"
    more = (
        f"If {'it is' if len(peers) == 1 else 'these are'} your own load balancer, add {named} to "
        "client_ip.trusted_proxies: until then every visitor has its address."
        if peers
        else "None of them is in client_ip.trusted_proxies. Visitors send such headers themselves, or there is a load "
        "balancer with many addresses: then add its network."
    )
    return Condition(
        id="forwarding",
        level=Level.WARN,
        since=since,
        text=f"{text}: not in client_ip.trusted_proxies",
        more=more,
        count=count,
        counted="pages that lost them",
        fields={"address": named} if peers else {},
    )
