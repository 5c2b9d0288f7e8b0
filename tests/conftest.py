"""Fixtures for all tests; what they give is in tests/support (on the path by pyproject's ``pythonpath``)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from fsproxy.telemetry import logs
from support import audit_lines
from support.upstream import RecordingUpstream

# Each program that a test starts would compile all its modules anew, which takes more time than all else at its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# By default Hypothesis fails an example that takes more than 200 ms, which any example does now and then on a busy
# machine. In CI, and in mutation testing, it has a profile already.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if settings.get_current_profile_name() == "default":
    settings.load_profile("patient")


SLOW = ("tests/trust/test_walks.py", "tests/browser/", "tests/integration/")
"""What has few tests for the time that it takes. Begun last, one such file would be run while all other cores rest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long: files are given to the processes in this order (``--no-loadscope-reorder``)."""
    items.sort(key=lambda item: next((at for at, start in enumerate(SLOW) if item.nodeid.startswith(start)), len(SLOW)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    audit_lines.test_begins(item.nodeid)


def pytest_runtest_teardown() -> None:
    """Take back what a command that ran in this process did to the logs.

    structlog's own renderer would draw each exception with the values of all its variables, a body of a megabyte
    included, and take minutes for that.
    """
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, logs._Bridge)]
    if not structlog.is_configured():
        structlog.configure(
            processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        )


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    """A capture backend that records; it fails the test on an unknown route."""
    async with RecordingUpstream() as running:
        yield running
