import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from fsproxy.telemetry.logs import configure_logs


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
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
    assert (line["message"], line["log.level"], line["port"]) == ("started", "info", 8080)
    assert line["@timestamp"].endswith("Z")


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
    structlog.get_logger().info("a\nb \udcff", thing=object(), text="x" * 900)
    (line,) = lines(stream)
    assert line["message"] == "a\\u000ab \ufffd"
    assert (line["thing"], len(line["text"])) == ("object", 500)


def test_warnings_are_led_in() -> None:
    stream = io.StringIO()
    configure_logs(stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    assert [line["log.logger"] for line in lines(stream)] == ["py.warnings"]


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
