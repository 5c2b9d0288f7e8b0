"""Audit lines on their way out: rendered on the event loop, written by a thread of their own.

structlog is the interface (a bound logger, processors, a renderer); the last processor makes bytes and
the logger under it only appends to a bounded buffer, so that a full pipe or disk never holds a request.
A line is out within 250 ms, or counted as dropped.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from structlog.typing import BindableLogger, EventDict, Processor

from fsproxy.core.audit import AuditRecord, is_due
from fsproxy.core.model import Route

BUFFER_BYTES = 8 * 1024 * 1024
"""About 10,000 lines: what a sink that stalls for a second may cost at full load."""
GATHER_SECONDS = 0.05
"""How long the writer lets lines gather before it writes them at once."""
REPORT_SECONDS = 10.0
"""Dropped lines are reported at most this often."""
STALL_SECONDS = 1.0
"""How long a write to a non-blocking descriptor waits before its lines are given up."""

Report = Callable[[int], None]
"""Told how many lines were dropped since it was last told; called in the writer's thread."""

_encode = msgspec.json.Encoder().encode


class Destination:
    """Where lines go: a descriptor of the process, or a file that can be opened again (log rotation)."""

    def __init__(self, to: str | int, *, stall_seconds: float = STALL_SECONDS) -> None:
        """``stdout``, ``stderr``, a path, or an open descriptor. Raises OSError when a file cannot be opened."""
        self._path = to if isinstance(to, str) and to not in _STANDARD else None
        self._fd = _opened(self._path) if self._path is not None else _STANDARD[to] if isinstance(to, str) else to
        self._torn = False
        self._stall = stall_seconds

    def reopen(self) -> None:
        """Open the path again; the old file stays in use when that fails."""
        if self._path is None:
            return
        old, self._fd = self._fd, _opened(self._path)
        self._torn = False
        os.close(old)

    def write(self, lines: bytes) -> int:
        """Write whole lines; returns how many of them were lost. Never raises."""
        data = memoryview(b"\n" + lines if self._torn else lines)
        done = 0
        try:
            while done < len(data):
                try:
                    done += os.write(self._fd, data[done:])
                except BlockingIOError:
                    if not select.select([], [self._fd], [], self._stall)[1]:
                        break
        except (OSError, ValueError):
            pass  # disk full, reader gone, descriptor closed: counted, and tried again with the next lines
        if done:
            # A line that was cut is ended before the next one is written.
            self._torn = data[done - 1] != _NEWLINE
        return bytes(data[done:]).count(b"\n") if done or not self._torn else lines.count(b"\n")

    def close(self) -> None:
        """Close what was opened here."""
        if self._path is not None:
            with suppress(OSError):
                os.close(self._fd)


_NEWLINE = ord("\n")
_STANDARD = {"stdout": 1, "stderr": 2}


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


class LineSink:
    """The bounded buffer, and the thread that empties it. ``write`` is called by the event loop alone."""

    def __init__(
        self,
        destination: Destination,
        report: Report,
        *,
        buffer_bytes: int = BUFFER_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.written = 0
        self.dropped = 0
        self._destination = destination
        self._report = report
        self._room = buffer_bytes
        self._clock = clock
        self._lines: list[bytes] = []
        self._size = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._reopen = False
        self._in_flight = 0
        self._given_up = False
        self._reported = 0
        self._reported_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Start the writer, in the process that will write (after a fork)."""
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Take one line, without its end. Never blocks; a full buffer drops the line."""
        with self._lock:
            if self._size + len(line) >= self._room:
                self.dropped += 1
                return
            first = not self._lines
            self._lines.append(line)
            self._size += len(line) + 1
        if first:
            self._wake.set()

    def reopen(self) -> None:
        """Ask for the file to be opened again before the next lines."""
        self._reopen = True
        self._wake.set()

    def close(self, seconds: float) -> None:
        """Write what is left, for at most ``seconds``; what is still there then is dropped and counted."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is None:
            self._empty()
        else:
            self._thread.join(seconds)
            if self._thread.is_alive():
                with self._lock:
                    self._given_up = True
                    self.dropped += len(self._lines) + self._in_flight
                    self._lines = []
        self._tell(now=True)

    def _run(self) -> None:
        while not self._stop.is_set():
            unreported = self.dropped != self._reported
            self._wake.wait(REPORT_SECONDS if unreported else None)
            self._wake.clear()
            if not self._stop.is_set():
                self._stop.wait(GATHER_SECONDS)
            self._empty()
            self._tell()
        self._empty()
        self._destination.close()

    def _empty(self) -> None:
        if self._reopen:
            self._reopen = False
            try:
                self._destination.reopen()
            except OSError as error:
                structlog.get_logger("fsproxy.audit").warning("audit_reopen_failed", errno=error.errno)
        with self._lock:
            lines, self._lines, self._size = self._lines, [], 0
            self._in_flight = len(lines)
        if not lines:
            return
        lost = self._destination.write(b"\n".join(lines) + b"\n")
        with self._lock:
            self._in_flight = 0
            if not self._given_up:
                self.dropped += lost
                self.written += len(lines) - lost

    def _tell(self, *, now: bool = False) -> None:
        count = self.dropped - self._reported
        if count <= 0 or not (now or self._clock() - self._reported_at >= REPORT_SECONDS):
            return
        self._reported += count
        self._reported_at = self._clock()
        self._report(count)


def report_dropped(count: int) -> None:
    """The usual Report: a warning in the operational log."""
    structlog.get_logger("fsproxy.audit").warning("audit_lines_dropped", count=count)


class AuditLogger(structlog.BoundLoggerBase):
    """structlog's bound logger for records: ``bind`` adds fields to every line, ``record`` writes one."""

    def record(self, record: AuditRecord) -> None:
        """Write one line."""
        self._proxy_to_logger("write", record=record)


def render(_: Any, __: str, event: EventDict) -> bytes:
    """The last processor: the record as JSON, then what is bound to the logger."""
    line = _encode(event.pop("record"))
    event.pop("event", None)
    if event:
        line = b"%b,%b" % (line[:-1], _encode(event)[1:])
    return line


class AuditLog:
    """Writes the lines that are due. ``logger`` is structlog's: bind to it, or add processors before ``render``."""

    def __init__(self, sink: LineSink, shares: Mapping[str, float], *processors: Processor) -> None:
        """``shares``: see ``shares_of``."""
        self.sink = sink
        self._shares = shares
        self.logger: BindableLogger = structlog.wrap_logger(
            sink, processors=[*processors, render], wrapper_class=AuditLogger, cache_logger_on_first_use=True
        )
        self._record = self.logger.bind().record

    def bind(self, **fields: str | int) -> None:
        """Add fields to every line from now on (a worker's number)."""
        self.logger = self.logger.bind(**fields)
        self._record = self.logger.record  # type: ignore[attr-defined]

    def write(self, record: AuditRecord) -> None:
        """Write a record's line, if it is due."""
        if is_due(self._shares.get(record.action, 0.0), record):
            self._record(record)

    def close(self, seconds: float = 2.0) -> None:
        """Write what is left, for at most ``seconds``."""
        self.sink.close(seconds)


def shares_of(*, page: float, bundle: float, direct: float, other: float) -> Mapping[str, float]:
    """``audit.share`` by action: uploads by any road are ``bundle``, the server API is ``direct``."""
    direct_routes = {route: direct for route in Route if route.is_direct or route is Route.SERVER_API}
    uploads = dict.fromkeys((Route.BUNDLE, Route.EVENT, Route.SOCKET), bundle)
    shares = {Route.PAGE: page, Route.OTHER: other} | uploads | direct_routes
    return {route.value: share for route, share in shares.items()}
