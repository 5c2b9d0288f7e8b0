"""Status lines are read strictly, and however they are cut."""

from __future__ import annotations

import pytest

from fsproxy.core.wire.status_line import StatusLines

ALLOWED = {
    b"HTTP/1.1 200 OK\r\n": 200,
    b"HTTP/1.0 100 \r\n": 100,
    b"HTTP/1.1 599\r\n": 599,
    b"HTTP/1.1 404 \xe9\xff\tx\r\n": 404,
}
REFUSED = [
    b"HTTP/1.1 099 Odd\r\n",
    b"HTTP/1.1 600 Odd\r\n",
    b"HTTP/1.1 200 OK\n",
    b"HTTP/1.1 200 O\rK\r\n",
    b"HTTP/1.1 200 O\x00K\r\n",
    b"HTTP/1.1 200 O\x7fK\r\n",
    b"HTTP/1.1 2000 OK\r\n",
    b"HTTP/1.1 20\xb2 OK\r\n",
    b"HTTP/1.2 200 OK\r\n",
    b"HTTP/2.0 200 OK\r\n",
    b"HTTP/0.9 200 OK\r\n",
    b"http/1.1 200 OK\r\n",
    b"RTSP/1.0 200 OK\r\n",
    b"ICY 200 OK\r\n",
    b" HTTP/1.1 200 OK\r\n",
    b"\r \r\n",
]


def read(line: bytes, size: int) -> tuple[bool, int]:
    """Whether every piece of the line was taken, and the status that it had."""
    lines = StatusLines()
    taken = [lines.take(line[at : at + size]) for at in range(0, len(line), size)]
    return all(taken), lines.status


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("line", ALLOWED)
def test_what_is_allowed_has_its_status(line: bytes, size: int) -> None:
    assert read(line, size) == (True, ALLOWED[line])


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("line", REFUSED)
def test_everything_else_is_refused(line: bytes, size: int) -> None:
    assert read(line, size) == (False, 0)


def test_the_next_line_is_read_after_an_informational_answer() -> None:
    lines = StatusLines()
    assert lines.take(b"\r\n")
    assert lines.take(b"HTTP/1.1 103 Early Hints\r\n")
    assert (lines.status, lines.is_final) == (103, False)
    lines.again()
    assert (lines.status, lines.is_final) == (0, False)
    assert lines.take(b"HTTP/1.1 200 OK\r\n")
    assert lines.is_final


def test_what_came_of_another_line_is_forgotten() -> None:
    lines = StatusLines()
    assert lines.take(b"HTTP/1.1 ")
    lines.again()
    assert lines.take(b"HTTP/1.1 200 OK\r\n")
    assert lines.status == 200


def test_101_is_the_last_head_of_a_connection() -> None:
    lines = StatusLines()
    assert lines.take(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert lines.is_final
