"""The file behind the memory form: what survives a restart, and what a bad file or disk costs."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import fsproxy
from fsproxy.core.limits.operations import (
    Claim,
    Claimed,
    Confirm,
    Mark,
    Recall,
    Recalled,
)
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.sqlite import file as ledger_file
from fsproxy.state.sqlite import schema as file_schema
from fsproxy.state.sqlite.file import LedgerFile
from fsproxy.state.sqlite.persist import SLICE
from fsproxy.state.sqlite.private_files import HeldError
from support.kept_state import DAY, EVENT, START, Kept, claim
from support.ledgers import at_once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "deep" / "fsproxy.sqlite"


def aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.*.aside"))


async def test_a_restart_keeps_quota_names_and_sessions_and_makes_the_folder(path: Path) -> None:
    async with Kept(path) as first:
        first.visit("s1")
        first.do(claim("a", "b" * 200))
    async with Kept(path) as again:
        again.now = Instant(START + 60)
        assert (again.used, again.names) == (1, 2)
        assert again.goes_on("s1")
        assert not again.goes_on("s2")
        assert again.do(claim("a", "b" * 200)) == [Claimed(frozenset(), 2)]


def modes(path: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}


async def test_the_file_and_all_beside_it_are_the_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        async with Kept(path) as kept:
            kept.do(claim("a"))
            await kept.persister.write()
            beside = modes(path)
        after = modes(path)
    finally:
        os.umask(before)
    assert beside == dict.fromkeys((path.name, *(f"{path.name}{end}" for end in ("-wal", "-shm", ".lock"))), 0o600)
    assert set(after.values()) == {0o600}


async def test_files_that_others_could_read_are_closed_to_them_and_so_is_one_set_aside(path: Path) -> None:
    async with Kept(path) as kept:
        kept.do(claim("a"))
        await kept.persister.write()
        copies = {suffix: path.with_name(path.name + suffix).read_bytes() for suffix in ("", "-wal", "-shm", ".lock")}
    for suffix, content in copies.items():  # as after a crash of a version that left them open
        path.with_name(path.name + suffix).write_bytes(content)
        path.with_name(path.name + suffix).chmod(0o644)
    async with Kept(path):
        assert set(modes(path).values()) == {0o600}
    path.chmod(0o664)
    damage_head(path)
    async with Kept(path):
        assert len(aside(path)) == 1
        assert set(modes(path).values()) == {0o600}


async def test_names_and_orgs_of_any_characters_come_back(path: Path) -> None:
    """A NUL and a lone surrogate are no text to SQLite's functions; a name may hold them all the same."""
    odd = ("a\0b", "a", "\ud800", "é", "")
    async with Kept(path) as first:
        first.do(claim(*odd), claim("x", org="o\ud800"))
    async with Kept(path) as again:
        assert again.names == len(odd)
        assert again.do(Claim("o", EVENT, odd, 0, 30 * DAY)) == [Claimed(frozenset(), len(odd))]
        assert again.ledger.names_usage("o\ud800")[EVENT] == 1


async def test_more_rows_than_a_slice_are_all_written(path: Path) -> None:
    count = 2 * SLICE + 7
    async with Kept(path) as first:
        for number in range(count):
            first.visit(f"s{number}")
        first.do(claim(*(f"n{number}" for number in range(600))))
        await first.persister.write()
        assert len(first.ledger.drain()) == 0
    async with Kept(path) as again:
        assert (again.used, again.names, again.ledger.usage().ids) == (count, 600, count)


async def test_what_has_ended_is_deleted_from_the_file_and_the_rest_is_not(path: Path) -> None:
    async with Kept(path) as kept:
        kept.do(claim("old"))
        kept.visit("ended")
        kept.do(Confirm("o", "none", ("chief", "alias"), (), new=True))
        await kept.persister.write()
        kept.now = Instant(START + 29 * DAY)
        kept.visit("under way")
        kept.do(Confirm("o", "none", ("chief 2", "alias 2"), (), new=True))
        await kept.persister.write()
        # An alias goes with the next look after its session went.
        await kept.persister.write()
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("SELECT count(*) FROM sessions").fetchone() == (3,)
            assert file.execute("SELECT count(*) FROM names").fetchone() == (1,)
            assert file.execute("SELECT count(*) FROM counts").fetchone() == (0,)
        kept.now = Instant(START + 31 * DAY)
        await kept.persister.write()
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("SELECT count(*) FROM names").fetchone() == (0,)


def test_pruning_walks_a_large_table_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsproxy.state.sqlite.file.WALKED", 10)
    ledger = MemoryLedger(journal=True)
    for number in range(35):
        at_once(ledger, (claim(f"n{number}"),), START)
    file = LedgerFile.open(path)
    file.write(ledger.drain())
    left = []
    with closing(sqlite3.connect(path)) as other:
        for _ in range(4):
            file.prune(Instant(START + 31 * DAY), 30 * DAY)
            left.append(other.execute("SELECT count(*) FROM names").fetchone()[0])
    file.close()
    assert left == [24, 13, 2, 0]


# -- files that cannot be used


def spoiled(path: Path, spoil: Callable[[Path], None]) -> bytes:
    spoil(path)
    return path.read_bytes()


def damage_head(path: Path) -> None:
    path.write_bytes(b"no database at all " * 500)


def damage_page(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    for start in range(4096, len(raw), 4096):
        raw[start : start + 200] = b"\xff" * 200
    path.write_bytes(raw)


def lose_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("DROP TABLE names")


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE theirs (precious)")


def odd_values(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("INSERT INTO names VALUES ('o', 'no kind of ours', 'n', 1)")
        file.commit()


def odd_keys(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("INSERT INTO sessions VALUES (?, ?), (-7, -1), (8, 'text')", (1 << 62, 1 << 58))
        file.commit()


@pytest.mark.parametrize("spoil", [damage_head, damage_page, lose_table, foreign, odd_values, odd_keys])
async def test_a_file_that_cannot_be_used_is_set_aside_whole_and_loudly(
    path: Path, spoil: Callable[[Path], None]
) -> None:
    async with Kept(path) as first:
        first.visit("s1")
    before = spoiled(path, spoil)
    async with Kept(path) as again:
        assert not again.goes_on("s1")
        again.visit("s2")
        await again.persister.write()
        assert again.says == "kept"
        incident = again.persister.incident
    (kept_as,) = aside(path)
    assert kept_as.read_bytes() == before
    assert incident is not None
    assert f"is kept as {kept_as.name}: quotas and names start from nothing" in incident[1]
    async with Kept(path) as third:
        assert third.goes_on("s2")


async def test_damage_that_shows_while_running_costs_no_state(path: Path) -> None:
    async with Kept(path) as kept:
        for number in range(200):
            kept.visit(f"s{number}")
        kept.do(claim(*(f"n{number}" for number in range(2_000))))
        await kept.persister.write()
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage_page(path)
        kept.do(claim(*(f"m{number}" for number in range(2_000))))
        for _ in range(3):
            await kept.persister.write()
        assert kept.says == "kept"
        assert len(aside(path)) == 1
    async with Kept(path) as again:
        assert (again.used, again.names) == (200, 4_000)


async def test_a_file_that_was_taken_away_is_written_anew_whole(path: Path) -> None:
    async with Kept(path) as kept:
        kept.visit("s1")
        await kept.persister.write()
        shutil.rmtree(path.parent)
        kept.visit("s2")
        await kept.persister.write()
    async with Kept(path) as again:
        assert again.used == 2
        assert again.goes_on("s1")


async def test_the_previous_version_is_read_and_brought_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Kept(path) as first:
        first.visit("s1")
    step = ("ALTER TABLE counts ADD COLUMN more INTEGER",)
    monkeypatch.setattr(file_schema, "STEPS", (*file_schema.STEPS, step))
    async with Kept(path) as again:
        assert again.used == 1
    with closing(sqlite3.connect(path)) as file:
        versions = (file_schema.COMPATIBLE_FROM, len(file_schema.STEPS))
        assert file.execute("SELECT version, newest FROM fsproxy_schema").fetchone() == versions
        assert file.execute("SELECT more FROM counts").fetchone() == (None,)
    assert not aside(path)


async def test_a_file_from_before_uids_were_kept_is_read_and_takes_them_from_then_on(path: Path) -> None:
    async with Kept(path) as first:
        first.visit("s1")
    with closing(sqlite3.connect(path)) as file:
        for table in ("uids", "lists", "taken_up"):
            file.execute(f"DROP TABLE {table}")
        file.execute("ALTER TABLE fsproxy_schema DROP COLUMN newest")
        file.execute("UPDATE fsproxy_schema SET version = 1")
        file.commit()
    assert [len(rows.sessions) for rows in ledger_file.read_held(path, START) if rows.sessions] == [1]
    async with Kept(path) as second:
        assert (second.used, second.goes_on("s1")) == (1, True)
        second.do(Mark("o", "s1", "", 7))
    async with Kept(path) as third:
        assert third.do(Recall("o", "s1", "")) == [Recalled((7,))]
    assert not aside(path)


async def test_uids_are_kept_over_a_restart_and_deleted_with_their_sessions(path: Path) -> None:
    async with Kept(path) as kept:
        kept.do(Mark("o", "s1", "u1", 7), Mark("o", "s2", "", 8))
    async with Kept(path) as again:
        assert again.do(Recall("o", "s1", ""), Recall("o", "", "u1")) == [Recalled((7,)), Recalled((7,))]
        again.now = Instant(START + 1_799)
        again.do(Mark("o", "s2", ""))
        await again.persister.write()
        again.now = Instant(START + 1_801)
        await again.persister.write()
        assert again.do(Recall("o", "s1", ""), Recall("o", "s2", "")) == [Recalled(()), Recalled((8,))]
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("SELECT uid FROM uids").fetchall() == [(8,)]


async def test_uids_that_another_process_learned_meanwhile_are_taken_in(path: Path) -> None:
    first = Kept(path)
    await first.persister.start()
    async with Kept(path) as second:
        first.do(Mark("o", "s1", "", 7))
        second.do(Mark("o", "s2", "", 8))
        await first.persister.close()
        await second.persister.write()
        assert second.do(Recall("o", "s1", ""), Recall("o", "s2", "")) == [Recalled((7,)), Recalled((8,))]


# -- places that cannot be written


async def test_a_place_that_cannot_be_written_is_said_once_survived_and_tried_again(tmp_path: Path) -> None:
    blocker = tmp_path / "var"
    blocker.write_text("a file, where a folder should be")
    path = blocker / "fsproxy.sqlite"
    async with Kept(path) as kept:
        kept.visit("s1")
        since = kept.persister.since
        for _ in range(3):
            await kept.persister.write()
        assert kept.says == "failing"
        assert kept.persister.state()["reason"]
        assert kept.persister.since == since, "it is told since when it fails, not since the last attempt"
        blocker.unlink()
        await kept.persister.write()
        assert kept.says == "kept"
        assert "reason" not in kept.persister.state()
        failures = kept.failures[()]
    assert failures == 4
    async with Kept(path) as again:
        assert again.used == 1


async def test_a_file_that_could_be_had_only_later_adds_to_what_was_counted_meanwhile(path: Path) -> None:
    async with Kept(path) as first:
        first.visit("s1")
        first.do(claim("a", "b"))
    hidden = path.parent.rename(path.parent.with_name("hidden"))
    path.parent.write_text("in the way")
    async with Kept(path) as kept:
        kept.visit("s2")
        kept.do(claim("b", "c"))
        path.parent.unlink()
        hidden.rename(path.parent)
        await kept.persister.write()
        assert (kept.used, kept.names) == (2, 3)
        assert kept.goes_on("s1")
        await kept.persister.write()
        assert kept.used == 2


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow over ``size`` bytes: to SQLite that looks as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_loses_nothing_that_is_still_known_when_there_is_room_again(path: Path) -> None:
    async with Kept(path) as kept:
        kept.visit("s0")
        await kept.persister.write()
        with full_disk(150_000):
            for number in range(1, 3 * SLICE):
                kept.visit(f"s{number}")
            await kept.persister.write()
            assert kept.says == "failing"
            await kept.persister.write()
        assert kept.failures[()] == 2
        await kept.persister.write()
        assert kept.says == "kept"
    async with Kept(path) as again:
        assert again.used == again.ledger.usage().ids == 3 * SLICE


# -- two processes


async def test_a_second_process_says_so_reads_once_and_takes_over_when_the_first_ends(path: Path) -> None:
    first = Kept(path)
    await first.persister.start()
    first.visit("s1")
    first.do(claim("a"))
    await first.persister.write()
    async with Kept(path) as second:
        assert second.used == 1
        await second.persister.write()
        assert second.says == "held by another process"
        assert second.persister.reason == f"process {os.getpid()}"
        second.visit("s2")
        first.visit("s3")
        first.do(claim("b"))
        await first.persister.close()
        await second.persister.write()
        assert second.says == "kept"
        assert (second.used, second.names) == (3, 2)
        assert second.goes_on("s3")
    async with Kept(path) as third:
        assert third.used == 3


def test_a_held_file_is_not_touched(path: Path) -> None:
    file = LedgerFile.open(path)
    with pytest.raises(HeldError, match=str(os.getpid())):
        LedgerFile.open(path)
    file.close()
    LedgerFile.open(path).close()


# -- a crash

WRITER = """
import asyncio, sys
from collections import Counter
from fsproxy.config.schema import PersistConfig
from fsproxy.core.limits.operations import Admit, Claim, Confirm, NameKind, QuotaTerms
from fsproxy.core.model import Instant
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.sqlite.persist import Persister

START = Instant(1_790_000_000.0)
QUOTA = QuotaTerms("2026-09-01", 1_000_000, Instant(START + 20 * 86_400), enforced=True)

async def main():
    ledger = MemoryLedger(journal=True)
    config = PersistConfig(path=sys.argv[1], every=0.3)
    persister = Persister(config, ledger, Counter(), lambda: 30 * 86_400.0, lambda: START)
    await persister.start()
    number = 0
    while True:
        for _ in range(20):
            number += 1
            await ledger.ask((
                Admit("o", f"t{number}", f"s{number}", "", False, QUOTA),
                Confirm("o", f"t{number}", (f"s{number}",), (), new=True),
                Claim("o", NameKind.EVENT_NAME, (f"n{number}",), 1_000_000, 30 * 86_400.0),
            ), START)
        # What was counted two intervals ago must be in the file.
        print(number, flush=True)
        await asyncio.sleep(0.6)

asyncio.run(main())
"""


async def test_kill_9_loses_one_interval_at_most(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(fsproxy.__file__).parents[1])}
    command = (sys.executable, "-c", WRITER, str(path))
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    counted = [int(await process.stdout.readline()) for _ in range(4)]
    process.send_signal(signal.SIGKILL)
    await process.wait()
    rest = (await process.stdout.read()).split()
    counted += map(int, rest)
    async with Kept(path) as again:
        # Each step of 20 lasts two intervals; the last one may have been under way.
        assert counted[-2] - 20 <= again.used <= counted[-1] + 20
        assert again.names == again.used
