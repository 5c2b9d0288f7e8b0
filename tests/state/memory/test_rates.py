"""Rates: both windows, exact and together, wherever on the timeline a call falls."""

from __future__ import annotations

from fsproxy.core.limits.operations import RateKind, Spend, Spent
from fsproxy.core.model import Instant
from fsproxy.core.settings import RateSettings, Window
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from support.ledgers import at_once

START = 1_790_000_000.0
SEED_EVENT = RateSettings().event


def spend(
    ledger: MemoryLedger,
    at: float = 0.0,
    *,
    late: float = 0.0,
    session: str = "s",
    kind: RateKind = RateKind.EVENT,
    windows: tuple[Window, ...] = SEED_EVENT,
) -> Spent:
    """A call made at ``at`` that comes ``late`` seconds after."""
    operation = Spend("o", session, kind, Instant(START + at), windows)
    (answer,) = at_once(ledger, (operation,), Instant(START + at + late))
    assert isinstance(answer, Spent)
    return answer


def test_without_windows_nothing_is_kept() -> None:
    ledger = MemoryLedger()
    assert spend(ledger, windows=()).passed
    assert ledger.usage().rates == 0


def test_sessions_that_fell_silent_are_forgotten() -> None:
    ledger = MemoryLedger()
    for n in range(500):
        spend(ledger, n / 100, session=f"s{n}")
    for n in range(300):
        spend(ledger, 500.0 + n, session="last")
    assert ledger.usage().rates == 1


def test_too_many_sessions_lose_the_one_that_called_longest_ago() -> None:
    ledger = MemoryLedger(Bounds(rates=2))
    one = (Window(1, 300.0),)
    for n, session in enumerate(("a", "b", "c")):
        spend(ledger, n * 60.0, session=session, windows=one)
    assert not spend(ledger, 180.0, session="b", windows=one).passed
    assert spend(ledger, 180.0, session="a", windows=one).passed
    assert ledger.evicted()["rates"] == 2
