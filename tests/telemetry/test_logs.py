import asyncio
import io
import json
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from fsproxy import __version__
from fsproxy.telemetry.logs import configure_logs, log_what_is_uncaught


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, shown = root.handlers, root.level, warnings.showwarning
    yield
    root.handlers, root.level = handlers, level
    warnings.showwarning = shown
    logging.getLogger("aiohttp.access").disabled = False
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def failing() -> None:
    raise ValueError("a secret value")


def test_off_a_terminal_a_line_is_json_in_ecs_names() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    structlog.get_logger().info("started", port=8080)
    (line,) = lines(stream)
    assert line.pop("@timestamp").endswith("Z")
    assert line == {
        "log.level": "info",
        "message": "started",
        "ecs.version": "8.11.0",
        "event.dataset": "fsproxy.log",
        "service.name": "fsproxy",
        "service.version": __version__,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
        "fsproxy.port": 8080,
    }


def test_fields_have_ecs_names_where_there_are_such_and_else_our_own() -> None:
    """``host`` is an object in ECS: a text in its place would have a whole line refused by Elasticsearch."""
    stream = io.StringIO()
    configure_logs(stream=stream)
    structlog.get_logger().warning("w", errno=28, fault="full", error=OSError("secret"), path="/a", host="h", by="")
    (line,) = lines(stream)
    assert (line["error.code"], line["error.message"], line["error.type"]) == (28, "full", "OSError")
    assert (line["file.path"], line["fsproxy.host"]) == ("/a", "h")
    assert not {"fsproxy.by", "host", "error", "path"} & set(line)


def test_on_a_terminal_a_line_is_coloured() -> None:
    stream = Terminal()
    configure_logs(stream=stream)
    structlog.get_logger().info("started")
    assert "\x1b[" in stream.getvalue()
    assert "started" in stream.getvalue()


@pytest.mark.parametrize(("form", "is_json"), [("json", True), ("console", False)])
def test_a_form_can_be_asked_for(form: str, *, is_json: bool) -> None:
    stream = Terminal() if is_json else io.StringIO()
    configure_logs(form=form, stream=stream)
    structlog.get_logger().info("started")
    assert stream.getvalue().startswith("{") is is_json
    assert "\x1b[" not in stream.getvalue()


@pytest.mark.parametrize("logger", ["structlog", "stdlib"])
def test_what_is_below_the_level_is_not_written(logger: str) -> None:
    stream = io.StringIO()
    configure_logs("warning", stream=stream)
    log = structlog.get_logger() if logger == "structlog" else logging.getLogger("aiohttp.server")
    log.info("quiet")
    log.warning("loud")
    assert [line["message"] for line in lines(stream)] == ["loud"]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("logger", ["structlog", "stdlib"])
def test_an_exception_is_told_by_type_and_place_alone(form: str, logger: str) -> None:
    stream = io.StringIO()
    configure_logs(form=form, stream=stream)
    log = structlog.get_logger() if logger == "structlog" else logging.getLogger("aiohttp.server")
    try:
        failing()
    except ValueError as error:
        log.exception("failed")
        structlog.get_logger().warning("again", cause=error)
    text = stream.getvalue()
    assert "secret" not in text
    assert "ValueError" in text
    assert "test_logs.py:" in text
    assert " failing" in text


def test_arguments_of_standard_loggers_are_not_written() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    logging.getLogger("aiohttp.server").error("Error handling request from %s", "198.51.100.7")
    (line,) = lines(stream)
    assert (line["message"], line["log.logger"]) == ("Error handling request from %s", "aiohttp.server")
    assert "198.51.100.7" not in stream.getvalue()


def test_what_asyncio_says_of_a_lost_exception_holds_no_value() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": "Task failed", "exception": ValueError("a secret value")})
    loop.close()
    (line,) = lines(stream)
    assert (line["message"], line["error.type"], line["log.logger"]) == ("Task failed", "ValueError", "asyncio")
    assert "secret" not in stream.getvalue()


def test_odd_values_never_break_a_line() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    structlog.get_logger().info("a\nb \udcff", thing=object(), text="x" * 1900)
    (line,) = lines(stream)
    assert line["message"] == "a\\u000ab \ufffd"
    assert (line["fsproxy.thing"], len(line["fsproxy.text"])) == ("object", 1000)


@pytest.mark.parametrize(
    ("category", "message"),
    [(DeprecationWarning, "DeprecationWarning: old thing"), (ResourceWarning, "ResourceWarning")],
)
def test_warnings_are_led_in_without_what_may_hold_an_address(category: type[Warning], message: str) -> None:
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logs(stream=stream)
        warnings.warn("old thing", category, stacklevel=1)
    (line,) = lines(stream)
    assert (line["log.logger"], line["message"], line["log.level"]) == ("py.warnings", message, "warning")
    assert line["fsproxy.place"].startswith("telemetry/test_logs.py:")


@pytest.mark.parametrize(("number", "name"), [(5, "debug"), (25, "info"), (49, "error"), (99, "critical")])
def test_levels_between_those_that_structlog_knows_are_rounded(number: int, name: str) -> None:
    stream = io.StringIO()
    configure_logs("debug", stream=stream)
    logging.getLogger().setLevel(1)
    logging.getLogger("aiohttp").log(number, "said")
    assert [line["log.level"] for line in lines(stream)] == [name]


def test_what_nothing_catches_is_a_line() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    log_what_is_uncaught()
    try:
        try:
            failing()
        except ValueError as error:
            sys.excepthook(type(error), error, error.__traceback__)
        thread = threading.Thread(target=failing)
        thread.start()
        thread.join()
        finalized = type("Finalized", (), {"__del__": lambda _: failing()})()
        del finalized
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    main, other, unraisable = lines(stream)
    assert (main["log.level"], main["error.message"]) == ("critical", "a secret value")
    assert {each["error.type"] for each in (main, other, unraisable)} == {"ValueError"}
    assert all("test_logs.py:" in each["error.stack_trace"] for each in (main, other, unraisable))
    assert "error.message" not in other | unraisable, "a thread may work on a request"


def test_access_lines_are_left_to_the_audit_log() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    logging.getLogger("aiohttp.access").info("GET /")
    assert stream.getvalue() == ""


def test_a_stderr_that_is_gone_does_not_end_the_program() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    stream.close()
    structlog.get_logger().error("nobody hears")
    assert stream.closed
