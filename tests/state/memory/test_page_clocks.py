"""Each page's clock is fixed once, and only moves back."""

from __future__ import annotations

from fsproxy.core.limits.page_clock import PageClock, first_clock
from fsproxy.core.model import Instant
from fsproxy.state.memory.page_clocks import PageClocks

START = Instant(1_790_000_000.0)
DAY = 86_400.0


def test_the_first_upload_fixes_the_offset() -> None:
    clocks = PageClocks()
    assert clocks.find("o", "p") is None
    assert clocks.fix("o", "p", 1.5, 1.5, START) == first_clock(1.5)
    assert clocks.fix("o", "p", 9.0, 9.0, START) == first_clock(1.5)
    assert clocks.find("o", "p") == first_clock(1.5)


def test_a_later_upload_moves_the_clock_back() -> None:
    clocks = PageClocks()
    clocks.fix("o", "p", 1.5, 1.5, START)
    moved = PageClock(-98.5, -598.5)
    assert clocks.fix("o", "p", 0.0, -98.5, START) == moved
    assert clocks.find("o", "p") == moved
    assert clocks.fix("o", "p", 0.0, -700.0, START) == PageClock(-598.5, -598.5)


def test_pages_of_two_orgs_are_two_pages() -> None:
    clocks = PageClocks()
    clocks.fix("o1", "p", 1.0, 1.0, START)
    assert clocks.find("o2", "p") is None


def test_a_page_without_id_has_no_clock_to_keep() -> None:
    clocks = PageClocks()
    assert clocks.fix("o", "", 1.0, 1.0, START) == first_clock(1.0)
    assert clocks.fix("o", "", 2.0, 2.0, START) == first_clock(2.0)
    assert clocks.find("o", "") is None
    assert len(clocks) == 0


def test_an_offset_is_kept_for_24_hours() -> None:
    clocks = PageClocks()
    clocks.fix("o", "p", 1.0, 1.0, START)
    clocks.fix("o", "q", 2.0, 2.0, Instant(START + DAY - 600))
    assert clocks.find("o", "p") == first_clock(1.0)
    for n in range(5):
        clocks.fix("o", f"r{n}", 3.0, 3.0, Instant(START + DAY + 1_200))
    assert clocks.find("o", "p") is None
    assert clocks.find("o", "q") == first_clock(2.0)


def test_full_the_page_that_was_fixed_longest_ago_goes_first() -> None:
    clocks = PageClocks(bound=2)
    for n in range(3):
        clocks.fix("o", f"p{n}", float(n), float(n), Instant(START + n * 3_600))
    assert [clocks.find("o", f"p{n}") for n in range(3)] == [
        None,
        first_clock(1.0),
        first_clock(2.0),
    ]
    assert clocks.evicted == 1
    assert len(clocks) == 2
