"""The ledger in both forms; one Valkey for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.ledgers import MemoryStore, Store, ValkeyStore
from support.valkey import ValkeyServer, running_valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A real server; tests keep apart by their keys' prefixes."""
    with running_valkey() as server:
        yield server


@pytest.fixture(params=["memory", "valkey"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty ledger."""
    made: Store = MemoryStore() if request.param == "memory" else ValkeyStore(request.getfixturevalue("valkey").url)
    yield made
    made.close()


@pytest.fixture(scope="class")
def valkey_store(request: pytest.FixtureRequest, valkey: ValkeyServer) -> Iterator[None]:
    """One ledger in Valkey for all runs of the test class's ``machine``: each run has an org of its own."""
    store = ValkeyStore(valkey.url)
    request.cls.machine.shared = store
    yield
    request.cls.machine.shared = None
    store.close()
