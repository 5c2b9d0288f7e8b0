"""What is noticed of the configuration's files, and through which symlinks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fsproxy.reload.watch import Watcher, fingerprint, links
from support.descriptors import no_descriptors

NEVER = 3_600.0


class Noticed:
    """The contents of the files at each moment at which a change was told."""

    def __init__(self, *files: Path, poll: float = NEVER) -> None:
        self.files = files
        self.texts: list[str] = []
        self._told = asyncio.Event()
        self.watcher = Watcher(map(str, files), self.tell, poll)

    def tell(self) -> None:
        self.texts.append("".join(file.read_text() for file in self.files if file.exists()))
        self._told.set()

    async def until(self, text: str) -> None:
        async with asyncio.timeout(120):
            while not self.texts or self.texts[-1] != text:
                self._told.clear()
                await self._told.wait()

    async def __aenter__(self) -> Noticed:  # noqa: PYI034 - it is not subclassed
        self.watcher.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watcher.close()


def replaced(file: Path, text: str) -> None:
    new = file.with_name(file.name + ".new")
    new.write_text(text)
    new.replace(file)


def linked(link: Path, target: str) -> None:
    """Point a symlink elsewhere in one step, as ``ln -sfT`` does and as a ConfigMap is swapped."""
    new = link.with_name(link.name + "_tmp")
    new.symlink_to(target)
    new.replace(link)


def version(folder: Path, number: int) -> str:
    name = f"..2026_{number:02}"
    (folder / name).mkdir()
    (folder / name / "fsproxy.yaml").write_text(f"version {number}")
    return name


async def test_files_that_are_written_or_replaced_are_noticed_many_times(tmp_path: Path) -> None:
    one, other = tmp_path / "fsproxy.yaml", tmp_path / "lists" / "ips.txt"
    other.parent.mkdir()
    one.write_text("a")
    other.write_text("b")
    async with Noticed(one, other) as noticed:
        for number in range(3):
            one.write_text(f"a{number}")
            await noticed.until(f"a{number}b" if not number else f"a{number}c{number - 1}")
            replaced(other, f"c{number}")
            await noticed.until(f"a{number}c{number}")


async def test_a_mounted_config_map_is_noticed_through_every_swap_of_its_symlink(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    linked(tmp_path / "..data", version(tmp_path, 0))
    file.symlink_to("..data/fsproxy.yaml")
    async with Noticed(file) as noticed:
        for number in range(1, 9):
            linked(tmp_path / "..data", version(tmp_path, number))
            await noticed.until(f"version {number}")


async def test_a_symlink_that_stands_above_the_folder_is_followed(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "releases" / str(number)).mkdir(parents=True)
        (tmp_path / "releases" / str(number) / "fsproxy.yaml").write_text(f"release {number}")
    linked(tmp_path / "current", "releases/0")
    async with Noticed(tmp_path / "current" / "fsproxy.yaml") as noticed:
        for number in (1, 2):
            linked(tmp_path / "current", f"releases/{number}")
            await noticed.until(f"release {number}")
        (tmp_path / "releases" / "2" / "fsproxy.yaml").write_text("in place")
        await noticed.until("in place")


async def test_a_file_that_is_not_there_yet_is_noticed_when_it_comes(tmp_path: Path) -> None:
    file = tmp_path / "later.txt"
    async with Noticed(file) as noticed:
        await noticed.until("")
        file.write_text("now")
        await noticed.until("now")


async def test_a_slow_look_finds_what_no_watch_tells(tmp_path: Path) -> None:
    """A folder that is not there cannot be watched."""
    file = tmp_path / "later" / "fsproxy.yaml"
    async with Noticed(file, poll=0.2) as noticed:
        await noticed.until("")
        file.parent.mkdir()
        file.write_text("found")
        await noticed.until("found")


async def test_other_files_of_the_same_folder_tell_nothing(tmp_path: Path) -> None:
    file = tmp_path / "fsproxy.yaml"
    file.write_text("a")
    async with Noticed(file) as noticed:
        await noticed.until("a")
        await noticed.until("a")
        before = len(noticed.texts)
        (tmp_path / "fsproxy.sqlite-wal").write_text("state")
        file.write_text("b")
        await noticed.until("b")
    assert len(noticed.texts) - before <= 2


def test_a_fingerprint_tells_contents_and_absence(tmp_path: Path) -> None:
    here, gone = tmp_path / "here", tmp_path / "gone"
    here.write_text("a")
    before = fingerprint((here, gone), {})
    assert before[str(gone)] == ""
    here.write_text("b")
    assert fingerprint((here, gone), before)[str(here)] != before[str(here)]
    here.write_text("a")
    assert fingerprint((here, gone), {}) == before


def test_without_descriptors_a_file_is_what_was_known_of_it(tmp_path: Path) -> None:
    here, other, gone = tmp_path / "here", tmp_path / "other", tmp_path / "gone"
    here.write_text("a")
    other.write_text("b")
    before = fingerprint((here, other, gone), {})
    with no_descriptors():
        assert fingerprint((here, other, gone), before) == before
        assert fingerprint((here,), {}) == {str(here): ""}
    other.unlink()
    assert fingerprint((here, other, gone), before)[str(other)] == ""


@pytest.mark.parametrize("target", ["itself", "b"])
def test_symlinks_that_lead_in_a_circle_end(tmp_path: Path, target: str) -> None:
    (tmp_path / "itself").symlink_to(target)
    (tmp_path / "b").symlink_to("itself")
    assert tmp_path / "itself" in links(tmp_path / "itself" / "fsproxy.yaml")
