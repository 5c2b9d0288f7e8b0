"""The audit log: lines are made on the event loop and written by a thread of their own.

structlog is the interface (a bound logger, processors, a renderer). The last processor makes bytes, and the logger
under it only appends to a bounded buffer, so that a full pipe or disk never delays a request. A line is written within
250 ms, or counted as dropped. The thread notices within a second that the file was moved away or deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import structlog
from structlog.typing import BindableLogger, EventDict, Processor

from fsproxy.clock import monotonic
from fsproxy.config.problems import HostError
from fsproxy.config.schema import AuditConfig
from fsproxy.telemetry.destination import ALLOWED, LOOK_SECONDS, Destination
from fsproxy.telemetry.short_lines import short_lines

BUFFER_BYTES = 8 * 1024 * 1024
"""Room for about 10,000 lines, as many as come in one second of full load while the destination stalls."""
GATHER_SECONDS = 0.05
"""The writer waits so long for more lines, to write them together."""

_encode = msgspec.json.Encoder().encode


class LineSink:
    """The bounded buffer and the thread that empties it. Only the event loop calls ``write``.

    ``write`` takes no lock, which would cost as much as the rest of it: each number is changed by one of the two alone,
    and the list is always the same. The loop adds to its end, the writer deletes from its beginning, and Python does
    each of these in one step.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        buffer_bytes: int = BUFFER_BYTES,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.written = 0
        self._destination = destination
        self._room = buffer_bytes
        self._clock = clock
        self._lines: list[bytes] = []
        self._added = self._taken = 0
        """Bytes that went in and out, with line ends."""
        self._refused = self._lost = 0
        """Lines that found no room, and lines that could not be written."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._reopen = False
        self._in_flight = 0
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Start the writer, in the process that will write (after a fork)."""
        self._thread.start()

    @property
    def dropped(self) -> int:
        """The number of lines that were lost."""
        return self._refused + self._lost

    def write(self, line: bytes) -> None:
        """Add a line, given without a line end. Never block; a full buffer drops the line."""
        added, lines = self._added + len(line) + 1, self._lines
        if added - self._taken > self._room:
            self._refused += 1
            return
        self._added = added
        lines.append(line)
        # The writer waits only while the list is empty, and then this line is the first.
        if len(lines) == 1:
            self._wake.set()

    def reopen(self) -> None:
        """Have the file opened again before the next lines."""
        self._reopen = True
        self._wake.set()

    def close(self, seconds: float) -> None:
        """Write what is left for at most ``seconds``; drop and count the rest."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is None:
            self._empty()
            self._destination.close()
        else:
            self._thread.join(seconds)
            if self._thread.is_alive():
                with self._lock:
                    self._given_up = True
                    self._lost += len(self._take()) + self._in_flight

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._lines:
                self._wake.wait(LOOK_SECONDS if self._destination.may_move else None)
                self._wake.clear()
            if not self._stop.is_set():
                self._stop.wait(GATHER_SECONDS)
            self._empty()
        self._empty()
        self._destination.close()

    def _empty(self) -> None:
        if self._reopen:
            self._reopen = False
            self._destination.reopen()
        self._destination.follow(self._clock())
        with self._lock:
            lines = self._take()
            self._in_flight = len(lines)
        if not lines:
            return
        text = b"\n".join(lines) + b"\n"
        self._taken += len(text)
        lost = self._destination.write(text)
        with self._lock:
            self._in_flight = 0
            if not self._given_up:
                self._lost += lost
                self.written += len(lines) - lost

    def _take(self) -> list[bytes]:
        lines = self._lines[:]
        del self._lines[: len(lines)]
        return lines


class AuditLogger(structlog.BoundLoggerBase):
    """structlog's bound logger for lines: ``bind`` adds fields to every line, ``line`` writes one."""

    def line(self, line: bytes) -> None:
        """Write one line, given as JSON."""
        self._proxy_to_logger("write", line=line)


def render(_: Any, __: str, event: EventDict) -> bytes:
    """Return the line with the fields that are bound to the logger: the last processor."""
    line: bytes = event.pop("line")
    event.pop("event", None)
    return b"%b,%b" % (line[:-1], _encode(event)[1:]) if event else line


class AuditLog:
    """Writes audit lines. ``logger`` is structlog's; the given processors run before ``render``."""

    def __init__(self, config: AuditConfig, *processors: Processor) -> None:
        """Open the Destination. Raise HostError."""
        try:
            self.destination = Destination(config.to)
        except OSError as error:
            raise HostError("audit.to", f"cannot be opened: {error.strerror}", ALLOWED, value=config.to) from None
        self.sink = LineSink(self.destination)
        self.logger: BindableLogger = structlog.wrap_logger(
            self.sink, processors=[*processors, render], wrapper_class=AuditLogger, cache_logger_on_first_use=True
        )
        self._processed = bool(processors)
        self.write: Callable[[bytes], None]
        """Write a line."""
        self.bind()

    @property
    def dropped(self) -> int:
        """The number of lines lost so far."""
        return self.sink.dropped

    def start(self) -> None:
        """Start the writer, in the process that will write (after a fork)."""
        self.sink.start()

    def bind(self, **fields: str | int) -> None:
        """Add fields to every line from now on (such as a worker's number)."""
        self.logger = self.logger.bind(**fields)
        bound = structlog.get_context(self.logger)
        # With no other processor, the chain would only do the same: it is skipped for speed.
        if self._processed:
            self.write = self.logger.line  # type: ignore[attr-defined]
        elif bound:
            self.write = partial(self._write_with, b",%b" % _encode(bound)[1:])
        else:
            self.write = self.sink.write

    def _write_with(self, fields: bytes, line: bytes) -> None:
        self.sink.write(line[:-1] + fields)

    def share(self) -> None:
        """Keep lines whole although other processes write to the same destination."""
        self.destination.shared = True

    def shorten(self) -> None:
        """Write short coloured lines for people in place of JSON."""
        self.destination.render = short_lines

    def reopen(self) -> None:
        """Have a file opened again before the next lines (log rotation, SIGHUP)."""
        self.sink.reopen()

    def close(self, seconds: float = 2.0) -> None:
        """Write what is left, for at most ``seconds``."""
        self.sink.close(seconds)
