"""The operational log on stderr: about the program, never about a visitor (rules.md 6).

structlog writes it, and records of the standard library's loggers (aiohttp, asyncio) are passed to it. An exception is
logged by its type and place only, as its message may hold a value of a request.
"""

from __future__ import annotations

import logging
import sys
from pathlib import PurePath
from traceback import walk_tb
from types import TracebackType
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from fsproxy.core.audit.privacy import safe

LONGEST_TEXT = 500
MOST_FRAMES = 5
"""The innermost frames of a traceback that are logged: enough to find the line."""


def configure_logs(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Set up the operational log of the process. ``form`` is ``auto``, ``json`` or ``console``.

    ``auto`` is a coloured console on a terminal and JSON elsewhere. Raise KeyError for an unknown level.
    """
    to = stream if stream is not None else sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    console = form == "console" or (form == "auto" and to.isatty())
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp" if console else "@timestamp"),
        without_traceback,
        printable,
        structlog.dev.ConsoleRenderer(colors=to.isatty()) if console else ecs_json,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *args: _Lines(to, *args),
        # A reload may configure the log again, and loggers that were made before must follow.
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(number)
    logging.captureWarnings(capture=True)
    # The audit log already has a line for each request.
    logging.getLogger("aiohttp.access").disabled = True


def without_traceback(_: Any, __: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and where it was raised (file, line and function), without any values."""
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error.type"] = type(error).__qualname__
        event["error.where"] = places(error.__traceback__)
    return event


def places(traceback: TracebackType | None) -> list[str]:
    """Return each frame as ``package/file.py:12 function``, the innermost last."""
    frames = [
        f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-2:])}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(traceback)
    ]
    return frames[-MOST_FRAMES:]


def printable(_: Any, __: str, event: EventDict) -> EventDict:
    """Shorten and escape texts. Replace exceptions among the fields by their types."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = safe(value, LONGEST_TEXT)
        elif isinstance(value, BaseException):
            event[key] = type(value).__qualname__
    return event


def ecs_json(_: Any, __: str, event: EventDict) -> str:
    """Return one line of JSON with names of the Elastic Common Schema."""
    line: dict[str, Any] = {"@timestamp": event.pop("@timestamp", None), "log.level": event.pop("level", None)}
    line["message"] = event.pop("event", "")
    logger = event.pop("logger", None)
    if logger is not None:
        line["log.logger"] = logger
    return msgspec.json.encode({**line, **event}, enc_hook=_named).decode()


def _named(value: object) -> str:
    return type(value).__qualname__


class _Lines:
    """The logger under structlog: writes one line for each call. A closed stderr must not end the program."""

    def __init__(self, stream: TextIO, *_: Any) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = exception = log = msg


class _Bridge(logging.Handler):
    """Passes a standard logger's record to structlog.

    Only the first line of its template is logged: the arguments, and asyncio's further lines, may hold values.
    """

    def emit(self, record: logging.LogRecord) -> None:
        event = str(record.msg).partition("\n")[0]
        structlog.get_logger().log(record.levelno, event, logger=record.name, exc_info=record.exc_info)
