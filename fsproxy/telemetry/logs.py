"""The operational log on stderr: about the program, never about a visitor (rules.md 6).

structlog writes it, and whatever else Python would print there is passed to it: records of the standard library's
loggers (aiohttp, asyncio), warnings, and exceptions that nothing catches. An exception is logged by its type and place
only, as its message may hold a value of a request.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterable
from pathlib import PurePath
from traceback import walk_tb
from types import TracebackType
from typing import Any, TextIO

import msgspec
import structlog
from aiohttp.http_exceptions import HttpProcessingError
from structlog.typing import EventDict, Processor

from fsproxy import __version__
from fsproxy.config.problems import HostError, Problem
from fsproxy.core.audit.privacy import safe
from fsproxy.core.audit.record import ECS_VERSION, SERVICE

DATASET = f"{SERVICE}.log"
LONGEST_TEXT = 1_000
MOST_FRAMES = 5
"""The innermost frames of a traceback that are logged: enough to find the line."""
ECS_NAMES = {
    "logger": "log.logger",
    "errno": "error.code",
    "error": "error.type",
    "fault": "error.message",
    "reason": "error.message",
    "problem": "error.message",
    "path": "file.path",
    "file": "file.path",
    "pid": "process.pid",
}
"""The names of those fields for which the Elastic Common Schema has one. All others are written below ``fsproxy.``, as
a name such as ``host`` or ``url`` is an object there."""
_STATIC = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, RuntimeWarning, SyntaxWarning)
"""Warnings about code, whose texts hold no value of a request."""
log = structlog.get_logger("fsproxy")


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
        structlog.dev.ConsoleRenderer(colors=to.isatty()) if console else EcsLines(),
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
    warnings.showwarning = _show_warning
    # The audit log already has a line for each request.
    logging.getLogger("aiohttp.access").disabled = True


def writes_json() -> bool:
    """Return whether the lines of the log are JSON."""
    return isinstance(structlog.get_config()["processors"][-1], EcsLines)


def log_faults(faults: Iterable[Problem | HostError]) -> None:
    """Log each fault of a configuration with its place. There may be many, so call it in a thread."""
    for fault in faults:
        if isinstance(fault, Problem):
            log.error(str(fault), path=fault.file, line=fault.line, column=fault.column, key=fault.key_path)
        else:
            log.error(str(fault), key=fault.key_path)


def log_what_is_uncaught() -> None:
    """Have exceptions that nothing catches logged, where lines are JSON: in this thread, in others, in finalizers."""
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def without_traceback(_: Any, __: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and where it was raised (file, line and function), without any values."""
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__qualname__
        event["error.stack_trace"] = places(error.__traceback__)
    return event


def places(traceback: TracebackType | None) -> list[str]:
    """Return each frame as ``package/file.py:12 function``, the innermost last."""
    frames = [f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}" for frame, line in walk_tb(traceback)]
    return frames[-MOST_FRAMES:]


def _short(file: str) -> str:
    return "/".join(PurePath(file).parts[-2:])


def printable(_: Any, __: str, event: EventDict) -> EventDict:
    """Shorten and escape texts. Replace exceptions among the fields by their types."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = safe(value, LONGEST_TEXT)
        elif isinstance(value, BaseException):
            event[key] = type(value).__qualname__
    return event


class EcsLines:
    """The renderer of lines of JSON with names of the Elastic Common Schema."""

    def __init__(self) -> None:
        self._of_all = {
            "ecs.version": ECS_VERSION,
            "event.dataset": DATASET,
            "service.name": SERVICE,
            "service.version": __version__,
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
        }

    def __call__(self, _: Any, __: str, event: EventDict) -> str:
        """Return one line. Empty fields are left out."""
        line: dict[str, Any] = {
            "@timestamp": event.pop("@timestamp", None),
            "log.level": event.pop("level", None),
            "message": event.pop("event", ""),
            **self._of_all,
        }
        for key, value in event.items():
            if value is not None and value != "":
                line[ECS_NAMES.get(key) or (key if "." in key else f"fsproxy.{key}")] = value
        if "error.stack_trace" in line:
            line["error.stack_trace"] = "\n".join(line["error.stack_trace"])
        return msgspec.json.encode(line, enc_hook=_named).decode()


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
        # Anyone can send the admin port what is no HTTP. It is answered 400, and is no fault of ours.
        if record.name == "aiohttp.server" and record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            log.debug("a request that is no valid HTTP was refused", logger=record.name)
            return
        event = str(record.msg).partition("\n")[0]
        # structlog knows the standard levels alone: 10, 20, 30, 40, 50.
        level = min(max(record.levelno // 10, 1), 5) * 10
        log.log(level, event, logger=record.name, exc_info=record.exc_info)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
) -> None:
    text = f"{category.__name__}: {message}" if issubclass(category, _STATIC) else category.__name__
    log.warning(text, logger="py.warnings", place=f"{_short(filename)}:{lineno}")


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Log what ends the program. It is before or after all requests, so its message holds no value of theirs."""
    if not writes_json():
        sys.__excepthook__(kind, error, traceback)
        return
    log.critical("the program ends by an exception that nothing caught", fault=str(error), exc_info=error)


def _uncaught_in_thread(found: threading.ExceptHookArgs) -> None:
    if not writes_json():
        threading.__excepthook__(found)
    elif found.exc_type is not SystemExit:
        log.error("a thread ended by an exception that nothing caught", exc_info=found.exc_value)


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    if writes_json():
        log.error("an exception could not be raised where it happened", exc_info=found.exc_value)
    else:
        sys.__unraisablehook__(found)
