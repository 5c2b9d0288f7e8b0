"""A Valkey for the workers of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.valkey import ValkeyServer, running_valkey


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """Empty, and its own."""
    with running_valkey() as server:
        yield server
