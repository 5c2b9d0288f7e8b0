"""A ledger that is kept in a state file, for tests that write when they say so."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Self

from fsproxy.config.schema import PersistConfig
from fsproxy.core.limits.operations import Admit, Admitted, Claim, Confirm, NameKind, Operation, QuotaTerms
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.sqlite.persist import Persister
from support.ledgers import at_once

START = Instant(1_790_000_000.0)
DAY = 86_400.0
QUOTA = QuotaTerms("2026-09-01", 1_000_000, Instant(START + 20 * DAY), enforced=True)
EVENT = NameKind.EVENT_NAME


class Kept:
    """A ledger and its persister, with a clock of their own; written when the test says so."""

    def __init__(self, path: Path, *, every: float = 3600.0) -> None:
        self.now = START
        self.ledger = MemoryLedger(journal=True)
        self.failures: Counter[tuple[str, ...]] = Counter()
        config = PersistConfig(path=str(path), every=every)
        self.persister = Persister(config, self.ledger, self.failures, lambda: 30 * DAY, lambda: self.now)

    async def __aenter__(self) -> Self:
        await self.persister.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.persister.close()

    def do(self, *operations: Operation) -> list[object]:
        return list(at_once(self.ledger, operations, self.now))

    def visit(self, session: str, org: str = "o") -> None:
        self.do(Admit(org, session, session, "", False, QUOTA), Confirm(org, session, (session,), (), new=True))

    def goes_on(self, session: str) -> bool:
        (answer,) = self.do(Admit("o", f"again-{session}", session, "", False, None))
        assert isinstance(answer, Admitted)
        return answer.under_way

    @property
    def used(self) -> int:
        return self.ledger.quota_usage("o").get("2026-09-01", 0)

    @property
    def names(self) -> int:
        return self.ledger.names_usage("o")[EVENT]

    @property
    def says(self) -> object:
        return self.persister.state()["state"]


def claim(*names: str, org: str = "o") -> Claim:
    return Claim(org, EVENT, names, 5_000, 30 * DAY)
