"""Each page's offset is fixed once."""

from __future__ import annotations

from fsproxy.core.model import Instant
from fsproxy.shell.ledger.page_clocks import PageClocks

START = Instant(1_790_000_000.0)
DAY = 86_400.0


def test_the_first_upload_fixes_the_offset() -> None:
    clocks = PageClocks()
    assert clocks.known("o", "p") is None
    assert clocks.fix("o", "p", 1.5, START) == 1.5
    assert clocks.fix("o", "p", 9.0, START) == 1.5
    assert clocks.known("o", "p") == 1.5


def test_pages_of_two_orgs_are_two_pages() -> None:
    clocks = PageClocks()
    clocks.fix("o1", "p", 1.0, START)
    assert clocks.known("o2", "p") is None


def test_a_page_without_id_has_no_clock_to_keep() -> None:
    clocks = PageClocks()
    assert clocks.fix("o", "", 1.0, START) == 1.0
    assert clocks.fix("o", "", 2.0, START) == 2.0
    assert clocks.known("o", "") is None
    assert len(clocks) == 0


def test_an_offset_is_kept_for_24_hours() -> None:
    clocks = PageClocks()
    clocks.fix("o", "p", 1.0, START)
    clocks.fix("o", "q", 2.0, Instant(START + DAY - 600))
    assert clocks.known("o", "p") == 1.0
    for n in range(5):
        clocks.fix("o", f"r{n}", 3.0, Instant(START + DAY + 1_200))
    assert clocks.known("o", "p") is None
    assert clocks.known("o", "q") == 2.0


def test_full_the_page_that_was_fixed_longest_ago_goes_first() -> None:
    clocks = PageClocks(bound=2)
    for n in range(3):
        clocks.fix("o", f"p{n}", float(n), Instant(START + n * 3_600))
    assert [clocks.known("o", f"p{n}") for n in range(3)] == [None, 1.0, 2.0]
    assert clocks.evicted == 1
    assert len(clocks) == 2
