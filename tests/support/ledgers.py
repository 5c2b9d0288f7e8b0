"""Both forms of the ledger behind one synchronous face, and visits to one, in few words."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Answer,
    Confirm,
    Ledger,
    Mark,
    NameKind,
    Operation,
    QuotaTerms,
    Release,
)
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import Bounds, MemoryLedger
from fsproxy.state.memory.recent_names import RecentNames
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.local_answers import UNKNOWN
from fsproxy.state.sqlite.file import LedgerFile
from support.valkey import store_by

START = 1_790_000_000.0
ORG = "o-1ABC-na1"
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
_numbers = itertools.count()


def without_waiting(ledger: Ledger, operations: tuple[Operation, ...], now: float) -> tuple[Answer, ...] | None:
    """The answers, if they come without waiting; else None, though the question was asked."""
    asking = ledger.ask(operations, Instant(now))
    try:
        asking.send(None)
    except StopIteration as done:
        return cast("tuple[Answer, ...]", done.value)
    asking.close()
    return None


def at_once(ledger: Ledger, operations: tuple[Operation, ...], now: float) -> tuple[Answer, ...]:
    """The memory form's answers. It lets others go first where there is much to do, but waits for nothing."""
    asking = ledger.ask(operations, Instant(now))
    try:
        while asking.send(None) is None:
            pass
    except StopIteration as done:
        return cast("tuple[Answer, ...]", done.value)
    raise AssertionError("the ledger waited")


def fresh_org() -> str:
    """An org that no store knows yet: examples of one test share a store."""
    return f"org-{next(_numbers)}"


class Store(Protocol):
    """A ledger that is empty at first, at the times that the test says."""

    def ask(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...]: ...

    def look(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...]: ...

    def quota_usage(self, org: str) -> dict[str, int]: ...

    def names_usage(self, org: str) -> dict[NameKind, int]: ...

    @property
    def recent_names(self) -> RecentNames: ...

    def close(self) -> None: ...


class MemoryStore:
    """The memory form."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.ledger = MemoryLedger(bounds)

    def ask(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...]:
        return at_once(self.ledger, operations, now)

    def look(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...]:
        return asyncio.run(self.ledger.look(operations, now))

    def quota_usage(self, org: str) -> dict[str, int]:
        return dict(self.ledger.quota_usage(org))

    def names_usage(self, org: str) -> dict[NameKind, int]:
        return self.ledger.names_usage(org)

    @property
    def recent_names(self) -> RecentNames:
        return self.ledger.recent_names

    def close(self) -> None:
        pass


class FileStore(MemoryStore):
    """The memory form with its SQLite file, written and read when the test says so."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "fsproxy.sqlite"
        self.ledger = MemoryLedger(journal=True)
        self._file = LedgerFile.open(self._path)

    def write(self) -> None:
        """One interval's work."""
        self._file.write(self.ledger.drain())

    def begin_again(self, now: Instant) -> None:
        """Another process starts with what the file holds."""
        self._file.close()
        self.ledger = MemoryLedger(journal=True)
        self._file = LedgerFile.open(self._path)
        for rows in self._file.read(now):
            self.ledger.restore(rows, now)

    def close(self) -> None:
        self._file.close()
        self._folder.cleanup()


class ValkeyStore:
    """The Redis form: everything is asked, nothing is answered from this process's memory."""

    def __init__(self, redis: Mapping[str, Any]) -> None:
        """``redis``: as the test servers give it."""
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self.ledger = self._runner.run(self._made(redis))

    @staticmethod
    async def _made(redis: Mapping[str, Any]) -> RedisLedger:
        ledger = RedisLedger(store_by(redis), f"test{next(_numbers)}:", 30.0, callers_clock=True)
        ledger._local.answer = lambda *_: UNKNOWN  # type: ignore[method-assign]
        await ledger.start()
        return ledger

    def ask(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...]:
        return self._loop.run_until_complete(self.ledger.ask(operations, now, 30.0))

    def look(self, operations: tuple[Operation, ...], now: Instant) -> tuple[Answer, ...]:
        return self._loop.run_until_complete(self.ledger.look(operations, now, 30.0))

    def quota_usage(self, org: str) -> dict[str, int]:
        return self._loop.run_until_complete(self.ledger.org_usage(org))[0]

    def names_usage(self, org: str) -> dict[NameKind, int]:
        return self._loop.run_until_complete(self.ledger.org_usage(org))[1]

    @property
    def recent_names(self) -> RecentNames:
        return self.ledger.recent_names

    def close(self) -> None:
        self._loop.run_until_complete(self.ledger.close())
        self._runner.close()


class Visits:
    """One ledger at a time that moves, in few words."""

    def __init__(self, store: Store, *, limit: int | None = 2, enforced: bool = True) -> None:
        self.store = store
        self.now = START
        self.limit = limit
        self.enforced = enforced
        self.cycle = "2026-09-01"
        self.ends = START + 20 * DAY

    def page(
        self,
        token: str,
        session: str = "",
        user: str = "",
        *,
        ramped_out: bool = False,
        share_user: str = "",
        org: str = ORG,
    ) -> Admitted:
        quota = None
        if self.limit is not None:
            quota = QuotaTerms(self.cycle, self.limit, Instant(self.ends), self.enforced)
        out = user if ramped_out else ""
        asked = Admit(org, token, session, user, ramped_out, quota, share_user, share_user != "", out)
        answers = self.store.ask((asked,), Instant(self.now))
        assert isinstance(answers[0], Admitted)
        # Whether anything is held may be told or not; all else must be the same.
        return msgspec.structs.replace(answers[0], held=True)

    def answered(
        self,
        token: str,
        sessions: tuple[str, ...] = (),
        users: tuple[str, ...] = (),
        *,
        new: bool = True,
        remember_user: bool = False,
        visitors: tuple[str, ...] = (),
    ) -> None:
        operation = Confirm(ORG, token, sessions, users, new, users if remember_user else visitors)
        assert self.store.ask((operation,), Instant(self.now)) == (None,)

    def failed(self, token: str) -> None:
        assert self.store.ask((Release(ORG, token),), Instant(self.now)) == (None,)

    def bundle(self, session: str = "", user: str = "") -> None:
        assert self.store.ask((Mark(ORG, session, user),), Instant(self.now)) == (None,)

    def visit(self, token: str, session: str = "", user: str = "") -> Admitted:
        """A page and, a moment later, its answer under the same ids."""
        admitted = self.page(token, session, user)
        self.now += 0.125
        sessions, users = ((each,) if each else () for each in (session, user))
        self.answered(token, sessions, users, new=not admitted.under_way)
        return admitted

    @property
    def used(self) -> int:
        return self.store.quota_usage(ORG).get(self.cycle, 0)


NEW = Admitted(under_way=False, user_admitted=False, over_quota=False, used=1)
