"""The ledger in every form; one store of each for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.cluster import ClusterDeployment, running_cluster
from support.ledgers import MemoryStore, Store, ValkeyStore
from support.sentinel import SentinelDeployment, running_sentinels
from support.valkey import ValkeyServer, running_valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A real server; tests keep apart by their keys' prefixes."""
    with running_valkey() as server:
        yield server


@pytest.fixture(scope="session")
def sentinel() -> Iterator[SentinelDeployment]:
    """A primary with a replica behind Sentinels. Who fails it over heals it."""
    with running_sentinels() as deployment:
        yield deployment


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterDeployment]:
    """Three nodes. Who kills one or moves a slot heals it."""
    with running_cluster() as deployment:
        yield deployment


FORMS = ("memory", "valkey", "sentinel", "cluster")
"""Of the ledger. Those that are shared are named by the fixture that gives their servers."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for a ``store`` over every form, unless a test has stores of its own.

    What Hypothesis draws is asked of memory and of one server alone: what carries the same script's questions to other
    servers does not depend on them.
    """
    own = any("store" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "store" in metafunc.fixturenames and not own:
        is_drawn = getattr(metafunc.function, "is_hypothesis_test", False)
        metafunc.parametrize("store", FORMS[:2] if is_drawn else FORMS, indirect=True)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty ledger."""
    made: Store = MemoryStore()
    if request.param != "memory":
        made = ValkeyStore(request.getfixturevalue(request.param).redis)
    yield made
    made.close()


@pytest.fixture(scope="class")
def valkey_store(request: pytest.FixtureRequest, valkey: ValkeyServer) -> Iterator[None]:
    """One ledger in Valkey for all runs of the test class's ``machine``: each run has an org of its own."""
    store = ValkeyStore(valkey.redis)
    request.cls.machine.shared = store
    yield
    request.cls.machine.shared = None
    store.close()
