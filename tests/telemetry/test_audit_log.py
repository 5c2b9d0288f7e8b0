import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.typing import Processor

from fsproxy.config.schema import AuditConfig
from fsproxy.telemetry.audit_log import AuditLog, AuditLogger, LineSink, render
from fsproxy.telemetry.destination import Destination


def line(request_id: str = "r") -> bytes:
    return b'{"http.request.id":"%b"}' % request_id.encode()


def over(sink: LineSink, *processors: Processor) -> AuditLog:
    """A log over a sink of the test's own."""
    log = AuditLog(AuditConfig(to=os.devnull), *processors)
    made = structlog.wrap_logger(sink, processors=[*processors, render], wrapper_class=AuditLogger)
    log.sink.close(0)
    log.sink, log.logger = sink, made
    log.bind()
    return log


def ids(text: bytes) -> list[str]:
    return [json.loads(line)["http.request.id"] for line in text.splitlines()]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        with suppress(OSError):
            os.close(fd)


def test_lines_come_out_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(AuditConfig(to=str(path)))
    log.sink.start()
    for n in range(500):
        log.write(line(f"r-{n}"))
    log.close()
    assert ids(path.read_bytes()) == [f"r-{n}" for n in range(500)]
    assert (log.sink.written, log.sink.dropped) == (500, 0)


def test_a_line_comes_out_without_being_asked_for(pipe: tuple[int, int]) -> None:
    log = over(LineSink(Destination(pipe[1])))
    log.sink.start()
    for name in ("first", "second"):
        log.write(line(name))
        assert ids(os.read(pipe[0], 65536)) == [name]
    log.close()


def test_structlog_binds_fields_and_takes_processors(tmp_path: Path) -> None:
    def stamped(_: Any, __: str, event: Any) -> Any:
        event["labels.stamp"] = "s"
        return event

    path = tmp_path / "audit.jsonl"
    log = AuditLog(AuditConfig(to=str(path)), stamped)
    log.sink.start()
    log.bind(**{"service.node.name": "w-1"})
    log.write(line("r"))
    log.close()
    found = json.loads(path.read_bytes())
    assert (found["service.node.name"], found["labels.stamp"], found["http.request.id"]) == ("w-1", "s", "r")
    assert isinstance(log.logger, structlog.BoundLoggerBase)


def test_fields_are_bound_where_nothing_else_looks_at_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(AuditConfig(to=str(path)))
    log.bind(**{"fsproxy.worker": 1})
    log.bind(a="b")
    log.write(line("r"))
    log.close()
    assert path.read_bytes() == b'{"http.request.id":"r","fsproxy.worker":1,"a":"b"}\n'


def fill(writer: int) -> None:
    """Leave no room in a pipe."""
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)


def test_a_reader_that_stalls_costs_lines_and_never_time(pipe: tuple[int, int]) -> None:
    """Nobody reads: the writer hangs, the buffer fills, and neither ``write`` nor ``close`` waits for it."""
    fill(pipe[1])
    log = over(LineSink(Destination(pipe[1]), buffer_bytes=20_000))
    log.sink.start()
    count = 0
    while log.sink.dropped < 100:
        log.write(line("x" * 100))
        count += 1
    log.close(seconds=0.1)
    assert (log.sink.written, log.sink.dropped) == (0, count)
    os.close(pipe[0])
    log.sink._thread.join()
    assert log.sink.dropped == count


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110 - a device
def test_a_full_disk_is_survived_and_counted() -> None:
    destination = Destination("/dev/full")
    log = over(LineSink(destination))
    log.sink.start()
    log.write(line())
    log.write(line())
    log.close()
    assert (log.sink.written, log.sink.dropped) == (0, 2)
    assert destination.fault == "no space left on device"


def test_a_reader_that_went_is_survived_and_counted(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    log = over(LineSink(Destination(pipe[1])))
    log.sink.start()
    log.write(line())
    log.close()
    assert (log.sink.written, log.sink.dropped) == (0, 1)


def drained(reader: int) -> bytes:
    """What is in a pipe."""
    os.set_blocking(reader, False)
    taken = b""
    with suppress(BlockingIOError):
        while chunk := os.read(reader, 65536):
            taken += chunk
    return taken


def test_a_torn_line_is_ended_before_the_next(pipe: tuple[int, int]) -> None:
    """A pipe that takes no more in the middle of a line: later lines must stand alone."""
    os.set_blocking(pipe[1], False)
    destination = Destination(pipe[1], stall_seconds=0.01)
    lost = destination.write(b"".join(b"%05d" % n + b"x" * 94 + b"\n" for n in range(2000)))
    first = drained(pipe[0])
    assert lost == 2000 - first.count(b"\n")
    assert lost > 0
    assert not first.endswith(b"\n")
    assert destination.fault == "its reader does not read"
    assert destination.write(b"next\n") == 0
    assert drained(pipe[0]) == b"\nnext\n"
    assert destination.fault == ""


def test_a_moved_file_is_left_when_asked(tmp_path: Path) -> None:
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.1"
    log = AuditLog(AuditConfig(to=str(path)))
    log.write(line("before"))
    log.sink._empty()
    path.rename(moved)
    log.sink.reopen()
    log.write(line("after"))
    log.close()
    assert (ids(moved.read_bytes()), ids(path.read_bytes())) == (["before"], ["after"])


class Followed:
    """A log into a real file, at a time of the test's own."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.destination = Destination(str(path))
        self.log = over(LineSink(self.destination, clock=lambda: self.now))

    def write(self, text: str) -> None:
        self.log.write(line(text))
        self.log.sink._empty()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_went_is_made_again_within_a_second(tmp_path: Path, *, replaced: bool) -> None:
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.1"
    at = Followed(path)
    at.write("before")
    path.rename(moved)
    if replaced:
        path.touch()
    at.now = 0.9
    at.write("meanwhile")
    assert ids(moved.read_bytes()) == ["before", "meanwhile"]
    at.now = 1.0
    at.write("after")
    assert ids(path.read_bytes()) == ["after"]
    assert ids(moved.read_bytes()) == ["before", "meanwhile"]
    at.log.close()


def test_a_file_that_went_is_made_again_also_when_no_line_comes(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    at = Followed(path)
    path.unlink()
    at.log.sink._empty()
    assert path.read_bytes() == b""
    at.log.close()


def test_a_file_that_is_in_its_place_stays_open(tmp_path: Path) -> None:
    at = Followed(tmp_path / "audit.jsonl")
    opened = at.destination._fd
    for _ in range(3):
        at.now += 1
        at.write("r")
    assert at.destination._fd == opened
    at.log.close()


def test_while_a_file_cannot_be_made_again_the_old_one_is_used_and_it_is_told(tmp_path: Path) -> None:
    folder, moved = tmp_path / "logs", tmp_path / "moved"
    folder.mkdir()
    at = Followed(folder / "a")
    folder.rename(moved)
    at.write("first")
    assert at.destination.reopen_fault == "is in a folder that is not there"
    folder.mkdir()
    at.now = 1.0
    at.write("second")
    assert at.destination.reopen_fault == ""
    assert (ids((moved / "a").read_bytes()), ids((folder / "a").read_bytes())) == (["first"], ["second"])
    at.log.close()


def test_a_file_that_is_back_is_told_of_no_more(tmp_path: Path) -> None:
    folder, moved = tmp_path / "logs", tmp_path / "moved"
    folder.mkdir()
    at = Followed(folder / "a")
    folder.rename(moved)
    at.write("first")
    moved.rename(folder)
    at.now = 1.0
    at.write("second")
    assert at.destination.reopen_fault == ""
    assert ids((folder / "a").read_bytes()) == ["first", "second"]
    at.log.close()


def test_a_descriptor_and_a_device_are_not_looked_at(pipe: tuple[int, int]) -> None:
    device = Destination(os.devnull)
    assert (Destination(pipe[1]).may_move, Destination("stdout").may_move, device.may_move) == (False, False, False)
    device.close()


def test_a_file_that_cannot_be_opened_again_stays_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    moved = tmp_path / "moved"
    log = AuditLog(AuditConfig(to=str(folder / "a")))
    folder.rename(moved)
    log.sink.reopen()
    log.write(line("kept"))
    log.sink._empty()
    assert ids((moved / "a").read_bytes()) == ["kept"]
    assert log.destination.reopen_fault == "is in a folder that is not there"
    moved.rename(folder)
    log.sink.reopen()
    log.close()
    assert log.destination.reopen_fault == ""


def test_a_file_that_cannot_be_opened_at_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is in a folder that is not there"):
        Destination(str(tmp_path / "missing" / "a"))


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Files are made with all the rights that are asked for."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_new_file_is_the_owners_to_write_and_the_groups_to_read_also_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    destination = Destination(str(path))
    assert path.stat().st_mode & 0o777 == 0o640
    path.rename(tmp_path / "a.1")
    destination.reopen()
    assert path.stat().st_mode & 0o777 == 0o640
    destination.close()


def test_a_file_that_is_there_keeps_the_mode_that_somebody_chose(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    path.chmod(0o644)
    Destination(str(path)).close()
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("target", ["there", "missing", "a"])
def test_a_link_is_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "there").write_text("somebody's")
    path = tmp_path / "a"
    path.symlink_to(target)
    with pytest.raises(OSError, match="is a symbolic link, which is not followed") as caught:
        Destination(str(path))
    assert caught.value.filename == str(path)
    assert (tmp_path / "there").read_text() == "somebody's"
    assert not (tmp_path / "missing").exists()


def test_a_link_that_takes_the_files_place_is_not_followed_when_it_is_opened_again(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "other"
    log = AuditLog(AuditConfig(to=str(path)))
    path.rename(tmp_path / "a.1")
    path.symlink_to(other)
    log.sink.reopen()
    log.write(line("kept"))
    log.close()
    assert ids((tmp_path / "a.1").read_bytes()) == ["kept"]
    assert not other.exists()
    assert "is a symbolic link" in log.destination.reopen_fault


def test_folders_above_may_be_links_and_a_device_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "logs").symlink_to("private")
    Destination(str(tmp_path / "logs" / "a")).close()
    assert (tmp_path / "private" / "a").exists()
    Destination(os.devnull).close()


def test_the_writer_ends_with_the_log(tmp_path: Path) -> None:
    log = AuditLog(AuditConfig(to=str(tmp_path / "a")))
    log.sink.start()
    log.close()
    assert not [thread for thread in threading.enumerate() if thread is log.sink._thread]
