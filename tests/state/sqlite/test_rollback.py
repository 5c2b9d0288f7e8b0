"""A rollback to an older program and the way back: what each of the two makes of the other's state file."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fsproxy.core.limits.operations import Claimed, Mark, NameKind, Recall, Recalled
from fsproxy.core.run_time_lists import ListRow
from fsproxy.state.memory.rows import LedgerRows
from fsproxy.state.sqlite import schema, take_up
from fsproxy.state.sqlite.file import read_held, read_names
from fsproxy.state.sqlite.schema import NewerFileError
from fsproxy.state.sqlite.tables import TABLES
from support.kept_state import START, Kept, claim

NEWER = 9
VERSION_3 = (
    "CREATE TABLE fsproxy_schema (version INTEGER NOT NULL)",
    "INSERT INTO fsproxy_schema VALUES (3)",
    "CREATE TABLE sessions (key INTEGER PRIMARY KEY, times INTEGER NOT NULL)",
    "CREATE TABLE admitted (key INTEGER PRIMARY KEY, day INTEGER NOT NULL)",
    "CREATE TABLE counts (org, cycle, used INTEGER, ends REAL, PRIMARY KEY (org, cycle)) WITHOUT ROWID",
    "CREATE TABLE names (org, kind, name, seen REAL, PRIMARY KEY (org, kind, name)) WITHOUT ROWID",
    "CREATE TABLE uids (key INTEGER PRIMARY KEY, uid INTEGER NOT NULL)",
    "CREATE TABLE lists (name, entry, ends REAL, changed REAL, PRIMARY KEY (name, entry)) WITHOUT ROWID",
    "PRAGMA application_id = 1718841464",
)
"""What programs of version 3 wrote, and what they read."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fsproxy.sqlite"


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        for statement in statements:
            file.execute(statement)


def kept(path: Path) -> list[Path]:
    return sorted(each for each in path.parent.iterdir() if each.suffix == f".v{NEWER}")


def of_a_newer_program(path: Path, *, usable_from: int) -> None:
    """Make a newer program's file of one: with a table, names and a list that only that program knows."""
    change(
        path,
        f"UPDATE fsproxy_schema SET version = {usable_from}, newest = {NEWER}",  # noqa: S608
        "CREATE TABLE theirs (precious)",
        "INSERT INTO theirs VALUES (1)",
        "INSERT INTO names VALUES ('o', 'site_property', 'n', 1790000000.0)",
        "INSERT INTO lists VALUES ('blocked_site', 'x', 1790009999.0, 1790000000.0)",
    )


def let_the_newer_program_run(monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[str, ...], ...]:
    steps = (*schema.STEPS, *[()] * (NEWER - len(schema.STEPS)))
    monkeypatch.setattr(schema, "STEPS", steps)
    return steps


async def test_a_program_of_version_3_can_use_what_this_one_writes(path: Path) -> None:
    async with Kept(path) as first:
        first.visit("s1")
        first.do(claim("a"))
    with closing(sqlite3.connect(path)) as file, closing(sqlite3.connect(":memory:")) as before:
        for statement in VERSION_3:
            before.execute(statement)
        assert file.execute("SELECT version FROM fsproxy_schema").fetchone() == (3,)
        of_3 = {name for (name,) in before.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for table in of_3 - {"fsproxy_schema"}:
            columns = f"SELECT name, type, pk FROM pragma_table_info('{table}')"  # noqa: S608
            assert file.execute(columns).fetchall() == before.execute(columns).fetchall(), table
        kinds = {kind for (kind,) in file.execute("SELECT DISTINCT kind FROM names")}
        assert kinds <= {"user_property", "event_name", "event_property", "page_property", "page_name"} == {*NameKind}


async def test_the_file_of_version_3_is_used_and_brought_up(path: Path) -> None:
    change(path, *VERSION_3, f"INSERT INTO counts VALUES ('o', '2026-09-01', 7, {START + 9e5})")  # noqa: S608
    async with Kept(path) as again:
        assert again.used == 7
        again.visit("s1")
    async with Kept(path) as third:
        assert (third.used, third.goes_on("s1")) == (8, True)


async def test_a_newer_programs_file_that_this_one_can_use_is_used_and_the_rest_of_it_is_left_alone(path: Path) -> None:
    async with Kept(path) as first:
        first.visit("s1")
        first.do(claim("a"))
    of_a_newer_program(path, usable_from=len(schema.STEPS))
    assert [name for rows in read_names(path) for _, _, name, _ in [rows]] == ["a"]
    async with Kept(path) as older:
        assert (older.used, older.names, older.goes_on("s1")) == (1, 1, True)
        older.visit("s2")
        assert older.persister.incident is None
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT newest FROM fsproxy_schema").fetchone() == (NEWER,)
        assert file.execute("SELECT precious FROM theirs").fetchall() == [(1,)]
        assert file.execute("SELECT name FROM names WHERE kind = 'site_property'").fetchall() == [("n",)]
        assert file.execute("SELECT entry FROM lists").fetchall() == [("x",)]
    async with Kept(path) as again:
        assert (again.used, again.goes_on("s2")) == (2, True)


async def test_a_newer_programs_file_is_kept_for_it_and_taken_up_with_what_was_counted_since(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, ben = (ListRow("blocked_user", uid, START + 9e5, START) for uid in (1, 2))
    async with Kept(path) as newest:
        newest.visit("s1")
        newest.visit("both")
        newest.do(claim("a", "b"), Mark("o", "s1", "", 7))
        newest.ledger.merge(LedgerRows(lists=[ann], admitted=[(5, 20_600)]), {}, START)
        newest.ledger.lists.note([ann])
    of_a_newer_program(path, usable_from=NEWER)
    before = path.read_bytes()
    with pytest.raises(NewerFileError, match=f"version {NEWER}, and this one reads up to {len(schema.STEPS)}"):
        list(read_held(path, START))
    async with Kept(path) as older:
        assert (older.used, older.names, older.goes_on("s1")) == (0, 0, False)
        older.visit("s2")
        older.visit("both")
        older.do(claim("b", "c"))
        older.ledger.lists.merge([ben], START)
        older.ledger.lists.note([ben])
        assert older.persister.incident is not None
        told = older.persister.incident[1]
    (aside,) = kept(path)
    assert aside.read_bytes() == before
    assert "damaged" not in told
    assert f"is kept as {aside.name}: quotas and names start from nothing, until that program takes it up" in told
    with capture_logs() as lines:
        change(aside, "UPDATE fsproxy_schema SET version = 1")  # usable, but not known in whole
        async with Kept(path) as older:
            assert older.used == 2
        change(aside, f"UPDATE fsproxy_schema SET version = {NEWER}")  # noqa: S608
    assert [line["event"] for line in lines if line.get("path") == str(aside)] == [
        "state that was kept aside waits for a newer program"
    ]
    monkeypatch.setattr(take_up, "STEPS", let_the_newer_program_run(monkeypatch))
    for _ in range(2):
        async with Kept(path) as newest:
            assert (newest.used, newest.names) == (4, 3)
            assert all(map(newest.goes_on, ("s1", "s2", "both")))
            assert newest.do(claim("a", "b", "c")) == [Claimed(frozenset(), 3)]
            assert newest.do(Recall("o", "s1", "")) == [Recalled((7,))]
            assert {row.entry for row in newest.ledger.lists.rows()} == {1, 2}
            assert newest.ledger.usage().admitted == 1
        assert sorted(each.name for each in path.parent.iterdir()) == [path.name, f"{path.name}.lock"]


async def test_a_rollback_by_a_take_over_waits_for_the_newer_program_to_end_and_keeps_its_file(path: Path) -> None:
    newest = Kept(path)
    await newest.persister.start()
    newest.visit("s1")
    await newest.persister.write()
    of_a_newer_program(path, usable_from=NEWER)
    async with Kept(path) as older:
        assert (older.used, older.says) == (0, "held by another process")
        older.visit("s2")
        newest.visit("s3")
        await newest.persister.close()
        await older.persister.write()
        assert (older.used, older.says) == (1, "kept")
    (aside,) = kept(path)
    with closing(sqlite3.connect(aside)) as file:
        assert file.execute("SELECT used FROM counts").fetchall() == [(2,)]
    async with Kept(path) as again:
        assert again.goes_on("s2")


async def test_what_was_taken_up_before_a_crash_is_not_counted_twice_and_another_file_of_that_name_is(
    path: Path,
) -> None:
    aside = path.with_name(f"{path.name}.1790000000.v{len(schema.STEPS)}")
    async with Kept(path) as first:
        first.visit("s1")
    path.rename(aside)
    (copy := path.with_name("copy")).hardlink_to(aside)
    shutil.copy(aside, other := path.with_name("other"))
    async with Kept(path) as again:
        assert again.used == 1
    copy.rename(aside)
    async with Kept(path) as third:
        assert third.used == 1
    assert not aside.exists()
    other.rename(aside)
    async with Kept(path) as last:
        assert last.used == 2


async def test_what_cannot_be_taken_up_stays_and_costs_nothing(path: Path) -> None:
    """A damaged file, and one with values that are no program's: its other rows are taken."""
    async with Kept(path) as first:
        first.visit("s1")
    damaged, odd = (path.with_name(f"{path.name}.{number}.v3") for number in (1, 2))
    path.rename(odd)
    change(
        odd,
        f"INSERT INTO sessions VALUES ({1 << 62}, {1 << 58}), (-7, -1), (8, 'text')",  # noqa: S608
        "INSERT INTO names VALUES ('o', 'no kind of ours', 'n', 1)",
        "INSERT INTO counts VALUES ('o', 'odd', 'many', 'soon')",
    )
    damaged.write_bytes(b"no database at all " * 500)
    async with Kept(path) as first:
        first.visit("s2")
    with capture_logs() as lines:
        async with Kept(path) as again:
            assert (again.used, again.says) == (2, "starting")
            assert again.goes_on("s1")
            assert again.persister.incident is None
    assert damaged.exists()
    assert not odd.exists()
    said = [(line["event"], line["reason"]) for line in lines if line.get("path") == str(damaged)]
    assert said == [("state that was kept aside cannot be taken up", "it is damaged, or no database")]


def test_every_table_can_be_taken_up() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as file:
        file.execute("ATTACH ':memory:' AS kept")
        for statement in VERSION_3:
            if "TABLE" in statement:
                file.execute(statement)
                file.execute(statement.replace("CREATE TABLE ", "CREATE TABLE kept."))
        for table in TABLES:
            assert file.execute(table.take_up).rowcount == 0
