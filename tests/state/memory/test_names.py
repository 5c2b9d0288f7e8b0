"""Names: counted once, refused beyond the limit, forgotten when unseen."""

from __future__ import annotations

from fsproxy.core.limits.operations import Claim, Claimed, NameKind
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from support.ledgers import at_once

START = 1_790_000_000.0
KIND = NameKind.EVENT_NAME


def claim(
    ledger: MemoryLedger, *names: str, org: str = "o", kind: NameKind = KIND, limit: int = 3, after: float = 0.0
) -> Claimed:
    (answer,) = at_once(ledger, (Claim(org, kind, names, limit, retention=100.0),), Instant(START + after))
    assert isinstance(answer, Claimed)
    return answer


def test_refused_names_are_not_kept() -> None:
    ledger = MemoryLedger()
    claim(ledger, *(f"n{n}" for n in range(1_000)))
    assert ledger.usage().names == 3


def test_too_many_orgs_lose_the_names_of_the_one_that_claimed_longest_ago() -> None:
    ledger = MemoryLedger(Bounds(orgs=2))
    for org in ("o1", "o2", "o1", "o3"):
        claim(ledger, "a", "b", org=org)
    assert ledger.names_usage("o1")[KIND] == 2
    assert ledger.names_usage("o2")[KIND] == 0
    assert ledger.evicted()["names"] == 2


def test_too_many_names_cost_other_orgs_theirs_but_never_the_one_that_asks() -> None:
    ledger = MemoryLedger(Bounds(names=5))
    claim(ledger, "a", "b", "c", org="o1")
    assert claim(ledger, *"abcdefg", org="o2", limit=9) == Claimed(frozenset("fg"), 5)
    assert ledger.names_usage("o1")[KIND] == 0
    assert ledger.usage().names == 5
