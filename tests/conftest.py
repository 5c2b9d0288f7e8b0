"""Fixtures for all tests; what they give is in tests/support (on the path by pyproject's ``pythonpath``)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.upstream import RecordingUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[RecordingUpstream]:
    """A capture backend that records; it fails the test on an unknown route."""
    async with RecordingUpstream() as running:
        yield running
