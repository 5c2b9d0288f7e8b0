"""Fixtures for all tests; what they give is in tests/support (on the path by pyproject's ``pythonpath``)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from support import audit_lines
from support.upstream import RecordingUpstream

# By default Hypothesis fails an example that takes more than 200 ms, which any example does now and then on a busy
# machine. In CI, and in mutation testing, it has a profile already.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if settings.get_current_profile_name() == "default":
    settings.load_profile("patient")


def pytest_runtest_setup(item: pytest.Item) -> None:
    audit_lines.test_begins(item.nodeid)


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    """A capture backend that records; it fails the test on an unknown route."""
    async with RecordingUpstream() as running:
        yield running
