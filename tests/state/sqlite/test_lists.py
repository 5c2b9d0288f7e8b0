"""The lists that change at run time, in the state file: what outlives restarts, crashes and a take-over (rules.md 10)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsproxy.config.schema import PersistConfig, StateConfig
from fsproxy.core.model import FilterName, Instant
from fsproxy.core.run_time_lists import ListChange, entry_of
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.sqlite.file import LedgerFile
from fsproxy.state.sqlite.persist import Persister
from fsproxy.state.stores import NOT_KEPT, Stores, make_stores

START = Instant(1_790_000_000.0)
USERS, IP = FilterName.DELETING_USER, FilterName.IP
NAMES = ("ann", "ben", "carl")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sets(st.sampled_from(NAMES), min_size=1), st.sampled_from([30.0, 300.0])),
        st.tuples(st.just("remove"), st.sets(st.sampled_from(NAMES), min_size=1), st.just(0.0)),
        st.tuples(st.sampled_from(["restart", "wait"]), st.just(set[str]()), st.sampled_from([1.0, 40.0])),
    ),
    max_size=12,
)


def change(
    ledger: MemoryLedger, at: float, add: set[str], remove: set[str], life: float, name: FilterName = USERS
) -> None:
    entries = (tuple(entry_of(name, each) for each in sorted(texts)) for texts in (add, remove))
    ledger.lists.change(ListChange(name, *entries, at + life, at))


@settings(max_examples=25, deadline=None)
@given(steps)
def test_a_restart_at_any_moment_changes_no_entry(every: list[tuple[str, set[str], float]]) -> None:
    now, wanted = float(START), dict[str, float]()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        ledger, file = MemoryLedger(journal=True), LedgerFile.open(path)
        for what, names, seconds in every:
            now += 0.01
            if what == "add":
                change(ledger, now, names, set(), seconds)
                wanted |= dict.fromkeys(names, now + seconds)
            elif what == "remove":
                change(ledger, now, set(), names, 0.0)
                wanted = {name: end for name, end in wanted.items() if name not in names}
            else:
                now += seconds
                ledger.lists.sweep(now)
                file.write(ledger.drain())
                file.prune(Instant(now), 1.0)
            if what == "restart":
                file.close()
                ledger, file = MemoryLedger(journal=True), LedgerFile.open(path)
                for rows in file.read(Instant(now)):
                    ledger.restore(rows, Instant(now))
                assert not ledger.drain().lists, "what was read need not be written again"
            found = {name for name in NAMES if ledger.lists.by_name[USERS].has_user(name, now)}
            assert found == {name for name, end in wanted.items() if end > now}
        file.close()


class Program:
    """A process with the state file, or one that waits for it."""

    def __init__(self, path: Path) -> None:
        self.ledger = MemoryLedger(journal=True)
        config = PersistConfig(path=str(path), every=3600.0)
        self.persister = Persister(config, self.ledger, Counter(), lambda: 1.0, lambda: Instant(START + 1))

    def has(self, *names: str) -> list[bool]:
        return [self.ledger.lists.by_name[USERS].has_user(name, START + 1) for name in names]


async def test_the_program_that_takes_over_learns_what_the_old_one_is_told_until_it_has_gone(tmp_path: Path) -> None:
    old, new = Program(tmp_path / "state.sqlite"), Program(tmp_path / "state.sqlite")
    await old.persister.start()
    change(old.ledger, START, {"ann", "ben"}, set(), 600)
    await old.persister.flush()
    await new.persister.start()
    assert new.has(*NAMES) == [True, True, False]
    change(old.ledger, START + 0.5, {"carl"}, {"ann"}, 600)
    await old.persister.flush()
    await new.persister.flush()
    assert new.has(*NAMES) == [False, True, True]
    change(new.ledger, START + 0.7, set(), {"ben"}, 0)
    await old.persister.close()
    await new.persister.close()
    last = Program(tmp_path / "state.sqlite")
    await last.persister.start()
    assert last.has(*NAMES) == [False, False, True]
    await last.persister.close()


async def test_values_that_are_none_of_ours_damage_no_start(tmp_path: Path) -> None:
    first = Program(tmp_path / "state.sqlite")
    await first.persister.start()
    change(first.ledger, START, {"192.0.2.7"}, set(), 600, IP)
    await first.persister.close()
    file = LedgerFile.open(tmp_path / "state.sqlite")
    file._connection.execute("UPDATE lists SET entry = 'nonsense'")
    file.close()
    again = Program(tmp_path / "state.sqlite")
    await again.persister.start()
    assert len(again.ledger.lists) == 0
    assert again.persister.incident is not None
    await again.persister.close()


@pytest.mark.parametrize(("kept", "why"), [(True, ""), (False, NOT_KEPT)])
async def test_the_answer_says_whether_a_restart_would_forget(tmp_path: Path, *, kept: bool, why: str) -> None:
    file = PersistConfig(path=str(tmp_path / "state.sqlite"), every=3600.0) if kept else None
    stores: Stores = make_stores(StateConfig(persist=file)).kept_in(file, Counter(), lambda: 1.0)
    await stores.start()
    change(stores.ledger, START, {"ann"}, set(), 1e9)  # type: ignore[arg-type]
    assert await stores.write_lists() == why
    await stores.close()


async def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").mkdir()
    file = PersistConfig(path=str(tmp_path / "state.sqlite"), every=3600.0)
    stores = make_stores(StateConfig(persist=file)).kept_in(file, Counter(), lambda: 1.0)
    await stores.start()
    assert (await stores.write_lists()).startswith("the state file cannot be written now: ")
    await stores.close()
