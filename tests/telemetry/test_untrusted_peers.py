"""Forwarding headers of peers that are not trusted: when they are warned of, and which peer is named."""

from __future__ import annotations

from fsproxy.core.model import Instant
from fsproxy.telemetry.conditions import Condition
from fsproxy.telemetry.untrusted_peers import BLOCK_SECONDS, ENOUGH_PAGES, MOST_PEERS, UntrustedPeers


class Bench:
    """Pages, some of them with headers that were dropped."""

    def __init__(self) -> None:
        self.pages = 0
        self.now = 1000.0
        self.peers = UntrustedPeers(lambda: self.pages)
        assert self.look(0) == []

    def serve(self, *peers: str, plain: int = 0) -> None:
        self.pages += plain + len(peers)
        for peer in peers:
            self.peers.note(peer)

    def look(self, after: float = 1.0) -> list[Condition]:
        self.now += after
        return list(self.peers.conditions(Instant(self.now)))


def test_they_are_warned_of_from_one_in_a_hundred_pages_on() -> None:
    bench = Bench()
    bench.serve("10.0.3.7", plain=ENOUGH_PAGES - 2)
    assert bench.look() == [], "too few pages"
    bench.serve(plain=1)
    assert bench.look() == [], "exactly one in a hundred"
    bench.serve("10.0.3.7")
    (condition,) = bench.look()
    assert (condition.since, condition.count) == (bench.now, 2)


def test_a_peer_that_brings_many_pages_is_named_with_what_to_write() -> None:
    bench = Bench()
    bench.serve(*["10.0.3.7"] * 60, *["10.0.3.8"] * 30, "198.51.100.1", "198.51.100.2", plain=20)
    (condition,) = bench.look()
    assert condition.text == "forwarding headers from 10.0.3.7, 10.0.3.8 are dropped: not in client_ip.trusted_proxies"
    assert "add 10.0.3.7, 10.0.3.8 to client_ip.trusted_proxies" in condition.more
    assert "198.51.100" not in repr(condition), "a visitor is not named"


def test_many_visitors_are_not_named() -> None:
    bench = Bench()
    bench.serve(*(f"198.51.{number}.7" for number in range(2 * MOST_PEERS)))
    (condition,) = bench.look()
    assert condition.text.startswith("forwarding headers of many peers are dropped")
    assert "198.51" not in repr(condition)
    assert len(bench.peers._peers) <= MOST_PEERS


def test_it_is_over_after_a_block_of_pages_without_them_and_not_before() -> None:
    bench = Bench()
    bench.serve(*["10.0.3.7"] * ENOUGH_PAGES)
    (begun,) = bench.look()
    (going_on,) = bench.look(BLOCK_SECONDS)
    assert (going_on.since, going_on.count) == (begun.since, ENOUGH_PAGES)
    bench.serve(plain=ENOUGH_PAGES - 1)
    assert len(bench.look(BLOCK_SECONDS)) == 1, "too few pages to tell"
    bench.serve(plain=ENOUGH_PAGES)
    assert bench.look(BLOCK_SECONDS) == []


def test_pages_of_long_ago_do_not_hide_them() -> None:
    bench = Bench()
    bench.serve(plain=1_000_000)
    bench.look(BLOCK_SECONDS)
    bench.serve(*["10.0.3.7"] * ENOUGH_PAGES)
    assert len(bench.look()) == 1


def test_a_new_configuration_begins_anew() -> None:
    bench = Bench()
    bench.serve(*["10.0.3.7"] * ENOUGH_PAGES)
    assert bench.look()
    bench.peers.start_again()
    assert bench.look() == []
