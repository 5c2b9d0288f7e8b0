"""The ledger on a Cluster: which node is asked, slots that move, and nodes that are lost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import MovedError

from fsproxy.clock import now
from fsproxy.config.hosts import Node
from fsproxy.config.loader import load_text
from fsproxy.config.problems import HostError
from fsproxy.config.schema import RedisConfig, StateBackend, StateConfig
from fsproxy.core.limits.operations import (
    Admit,
    Admitted,
    Claim,
    Claimed,
    Confirm,
    LedgerDownError,
    NameKind,
    QuotaTerms,
    Release,
)
from fsproxy.core.model import Instant
from fsproxy.proxy.watching import Watch
from fsproxy.state.redis.connections import cluster as cluster_module
from fsproxy.state.redis.connections.breaker import Breaker, StoreState, overall
from fsproxy.state.redis.connections.closed_link import ClosedLink
from fsproxy.state.redis.connections.cluster import LONGEST_ORG, MOST_ORGS, Cluster
from fsproxy.state.redis.kept_names import kept_names
from fsproxy.state.redis.ledger import RedisLedger
from fsproxy.state.redis.servers.configured import refuse_misfit, store_of
from fsproxy.state.redis.servers.login import Login
from fsproxy.state.redis.servers.nodes import Nodes
from fsproxy.state.redis.servers.refusals import NO_NODE
from fsproxy.state.redis.servers.slots import SLOTS
from fsproxy.state.redis.wire import org_base
from fsproxy.state.stores import Stores, make_stores
from fsproxy.telemetry.conditions import Condition, Level
from fsproxy.telemetry.metrics import Metrics
from support.cluster import ClusterDeployment, orgs_of, running_cluster, slot_of
from support.documents import text_of
from support.ports import free_ports
from support.valkey import ValkeyServer

PAGE = text_of("reference/state.md")
LIMIT = 2.0
"""Of a round trip: a node that is there answers within it on a busy machine, too."""
PATIENCE = 120.0
KEYS = 40
"""Sessions of an org, with four keys each, that a slot has when it moves."""


@pytest.fixture(scope="module")
def nodes() -> Iterator[ClusterDeployment]:
    with running_cluster() as deployment:
        yield deployment


@asynccontextmanager
async def ledger_on(deployment: ClusterDeployment, limit: float = LIMIT) -> AsyncIterator[RedisLedger]:
    config = RedisConfig(**deployment.redis)
    ledger = RedisLedger(store_of(config), "cluster:", limit)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
async def ledger(nodes: ClusterDeployment) -> AsyncIterator[RedisLedger]:
    async with ledger_on(nodes) as made:
        yield made


@asynccontextmanager
async def stores_on(deployment: ClusterDeployment) -> AsyncIterator[tuple[Stores, RedisLedger]]:
    config = RedisConfig(**deployment.redis, timeout=LIMIT)
    stores = make_stores(StateConfig(backend=StateBackend.REDIS, redis=config))
    assert isinstance(stores.ledger, RedisLedger)
    await stores.ledger.start()
    try:
        yield stores, stores.ledger
    finally:
        await stores.close()


def no_upstream() -> Any:
    return SimpleNamespace(certificates=list)


def conditions(watch: Watch) -> dict[str, Condition]:
    return {each.id: each for each in watch.conditions.present()}


def states(stores: Stores) -> dict[str, str]:
    shown: Any = stores.state()
    return {each["node"]: each["state"] for each in shown["nodes"]}


_orgs = iter(range(1_000_000))


def fresh_org(nodes: ClusterDeployment, beside: str = "") -> str:
    """An org that nobody knows yet, of another node than ``beside``."""
    while True:
        org = f"fresh-{next(_orgs)}"
        if not beside or nodes.owner_of(org) is not nodes.owner_of(beside):
            return org


async def admit(ledger: RedisLedger, org: str, session: str, limit: int = 9_999) -> Admitted:
    quota = QuotaTerms("c", limit, Instant(now() + 86_400), enforced=True)
    answer = (await ledger.ask((Admit(org, f"{org} {session}", session, "", False, quota),), now(), PATIENCE))[0]
    assert isinstance(answer, Admitted)
    return answer


async def used(ledger: RedisLedger, org: str) -> int:
    return (await ledger.org_usage(org))[0].get("c", 0)


async def reach(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_each_org_is_kept_by_the_node_of_its_slot(ledger: RedisLedger, nodes: ClusterDeployment) -> None:
    orgs = orgs_of(nodes)
    assert len({ledger.links.of(org).breaker.place for org in orgs}) == 3
    for org in orgs:
        await admit(ledger, org, "s")
        assert ledger.links.of(org).breaker.place == nodes.owner_of(org).address
        slot = slot_of(org)
        assert nodes.owner(slot).ask("CLUSTER", "COUNTKEYSINSLOT", slot) > 3
        assert nodes.owner(slot).ask("EXISTS", org_base("cluster:", org)) == 0, "what slot_moves.py relies on"


async def test_what_is_asked_in_one_tick_is_one_write_to_each_node(
    ledger: RedisLedger, nodes: ClusterDeployment
) -> None:
    orgs = orgs_of(nodes)
    before = [link.breaker.round_trips for link in ledger.links.every()]
    await asyncio.gather(*(admit(ledger, org, f"tick {n}") for org in orgs for n in range(20)))
    assert [link.breaker.round_trips for link in ledger.links.every()] == [count + 1 for count in before]


async def test_a_slot_that_has_moved_is_followed(ledger: RedisLedger, nodes: ClusterDeployment) -> None:
    org = fresh_org(nodes)
    await admit(ledger, org, "before")
    target = nodes.other_than(nodes.owner_of(org))
    await asyncio.to_thread(nodes.migrate, slot_of(org), target)
    assert (await admit(ledger, org, "after")).used == 2
    assert ledger.links.of(org).breaker.place == target.address


async def test_while_the_keys_of_a_slot_are_at_two_nodes_its_orgs_are_refused_and_no_others(
    nodes: ClusterDeployment,
) -> None:
    org = fresh_org(nodes)
    other, slot = fresh_org(nodes, org), slot_of(org)
    source = nodes.owner_of(org)
    target = nodes.other_than(source)
    async with ledger_on(nodes, 0.5) as ledger:
        for number in range(KEYS):
            await admit(ledger, org, f"s{number}")
        nodes.begin_migration(slot, target)
        left = source.ask("CLUSTER", "COUNTKEYSINSLOT", slot)
        nodes.move_keys(slot, target, left // 2)
        with pytest.raises(LedgerDownError):
            await admit(ledger, org, "in between")
        assert ledger.is_down(org)
        assert target.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == left // 2, "nothing was written there"
        assert not ledger.is_down(other)
        assert overall(ledger.links.breakers()) is StoreState.UP, "one slot is not the store"
        assert (await admit(ledger, other, "s")).used == 1
        # All keys have arrived, and nobody was told yet.
        nodes.move_keys(slot, target)
        await reach(lambda: not ledger.is_down(org))
        assert (await admit(ledger, org, "on its way")).used == KEYS + 1
        assert source.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == 0
        nodes.end_migration(slot, target)
        assert (await admit(ledger, org, "arrived")).used == KEYS + 2
        assert all(not each.is_open for each in ledger.links.breakers())


async def test_a_move_that_is_called_off_ends_the_wait(nodes: ClusterDeployment) -> None:
    org = fresh_org(nodes)
    source, slot = nodes.owner_of(org), slot_of(org)
    target = nodes.other_than(source)
    async with ledger_on(nodes, 0.5) as ledger:
        await admit(ledger, org, "s")
        nodes.begin_migration(slot, target)
        with pytest.raises(LedgerDownError):
            await admit(ledger, org, "in between")
        for each in (source, target):
            each.ask("CLUSTER", "SETSLOT", slot, "STABLE")
        await reach(lambda: not ledger.is_down(org))
        assert (await admit(ledger, org, "after")).used == 2


async def test_a_page_that_was_answered_in_between_keeps_its_unit(nodes: ClusterDeployment) -> None:
    org = fresh_org(nodes)
    source, slot = nodes.owner_of(org), slot_of(org)
    target = nodes.other_than(source)
    async with ledger_on(nodes, 0.5) as ledger:
        for number in range(3):
            await admit(ledger, org, f"s{number}")
        nodes.begin_migration(slot, target)
        behind = Confirm(org, f"{org} s0", ("s0",), (), new=True)
        assert await ledger.ask((behind,), now()) == (None,), "nothing waits for it"
        with pytest.raises(LedgerDownError):
            await admit(ledger, org, "in between")
        for operation in (Confirm(org, f"{org} s1", ("s1",), (), new=True), Release(org, f"{org} s2")):
            with pytest.raises(LedgerDownError):
                await ledger.ask((operation,), now())
        await asyncio.to_thread(nodes.move_keys, slot, target)
        await asyncio.to_thread(nodes.end_migration, slot, target)
        await reach(lambda: not ledger.is_down(org))
        # The two that were confirmed stay, whatever is said of them from now on, and the other one has gone.
        for number in range(2):
            await ledger.ask((Release(org, f"{org} s{number}"),), now())
        assert await used(ledger, org) == 2


async def test_a_short_move_only_delays_requests(ledger: RedisLedger, nodes: ClusterDeployment) -> None:
    org = fresh_org(nodes)
    target, slot = nodes.other_than(nodes.owner_of(org)), slot_of(org)
    await admit(ledger, org, "s")
    nodes.begin_migration(slot, target)
    asked = asyncio.create_task(admit(ledger, org, "in between"))
    await asyncio.to_thread(nodes.move_keys, slot, target)
    assert (await asked).used == 2
    await asyncio.to_thread(nodes.end_migration, slot, target)


async def test_what_became_of_a_unit_is_learned_before_the_last_step_of_a_move(
    ledger: RedisLedger, nodes: ClusterDeployment
) -> None:
    org = fresh_org(nodes)
    target, slot = nodes.other_than(nodes.owner_of(org)), slot_of(org)
    nodes.begin_migration(slot, target)
    try:
        for token, end in (("s", Confirm(org, f"{org} s", ("s",), (), new=True)), ("r", Release(org, f"{org} r"))):
            assert (await admit(ledger, org, token)).held
            await ledger.ask((end,), now())
        assert sum(each.refusals for each in ledger.links.breakers()) == 0
        assert (await admit(ledger, org, "more")).used == 2
    finally:
        await asyncio.to_thread(nodes.end_migration, slot, target)


async def test_no_unit_too_many_while_a_slot_moves_under_load(nodes: ClusterDeployment) -> None:
    """Two processes, as far as the ledger can tell; what they are refused for the move, they ask again."""
    org = fresh_org(nodes)
    target, slot = nodes.other_than(nodes.owner_of(org)), slot_of(org)
    moved, limit = asyncio.Event(), 300

    async def load(ledger: RedisLedger, name: str) -> int:
        granted = number = after = 0
        while after < limit:
            number += 1
            after += moved.is_set()
            try:
                granted += not (await admit(ledger, org, f"{name} {number}", limit)).over_quota
            except LedgerDownError:
                await asyncio.sleep(0.01)
        return granted

    async with ledger_on(nodes, 0.5) as one, ledger_on(nodes, 0.5) as other:
        async with asyncio.TaskGroup() as group:
            loads = [group.create_task(load(each, name)) for each, name in ((one, "a"), (other, "b"))]
            await asyncio.to_thread(nodes.migrate, slot, target)
            moved.set()
        assert sum(each.result() for each in loads) == limit == await used(one, org)


async def test_a_slot_that_moves_as_a_whole_costs_nothing(nodes: ClusterDeployment) -> None:
    org = fresh_org(nodes)
    source, slot = nodes.owner_of(org), slot_of(org)
    target = nodes.other_than(source)
    async with ledger_on(nodes) as ledger:
        await admit(ledger, org, "s0")
        source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
        number = 0
        while ledger.links.of(org).breaker.place != target.address:
            number += 1
            assert (await admit(ledger, org, f"s{number}")).used == number + 1
        await asyncio.to_thread(nodes.settle)


async def test_a_lost_node_costs_the_limits_of_its_own_orgs_alone(nodes: ClusterDeployment) -> None:
    mine, *others = orgs_of(nodes)
    lost = nodes.owner_of(mine)
    async with stores_on(nodes) as (stores, ledger):
        watch = Watch(Metrics(), no_upstream)
        watch.add_stores(stores, lambda: False)
        assert conditions(watch) == {}
        assert stores.epochs is not None
        await stores.epochs.poll()
        names = Claim(mine, NameKind.EVENT_NAME, ("a",), 9, 3_600.0)
        assert await ledger.ask((names,), now()) == (Claimed(frozenset(), 1),)
        await asyncio.to_thread(lost.kill)
        await reach(lambda: ledger.is_down(mine))
        with pytest.raises(LedgerDownError):
            await admit(ledger, mine, "lost")
        for org in others:
            assert not ledger.is_down(org)
            assert not (await admit(ledger, org, f"beside {now()}")).under_way
        found = conditions(watch)[f"store:node:{lost.address}"]
        assert found.count == 1
        assert found.fields["slots"] == pytest.approx(5461, abs=20), "one or the other has moved"
        assert "about 33 % of the orgs" in found.more
        assert {name: value for name, value in states(stores).items() if value != "up"} == {lost.address: "down"}
        assert stores.state()["state"] == "down"
        await asyncio.to_thread(nodes.heal)
        await reach(lambda: not ledger.is_down(mine))
        assert f"store:node:{lost.address}" not in conditions(watch)
        assert (await admit(ledger, mine, "back")).used == 1
        await stores.epochs.poll()
        emptied = conditions(watch)["store:lost:1"]
        assert emptied.text == f"the store's node {lost.address} came back empty"
        assert "about 33 % of the orgs" in emptied.more


async def test_a_cluster_that_stops_as_a_whole_without_a_node_is_warned_of(nodes: ClusterDeployment) -> None:
    one = nodes.nodes[1]
    async with stores_on(nodes) as (stores, _):
        watch = Watch(Metrics(), no_upstream)
        watch.add_stores(stores, lambda: False)
        assert stores.shared is not None
        for wanted, level in (("no", None), ("yes", Level.WARN)):
            one.ask("CONFIG", "SET", "cluster-require-full-coverage", wanted)
            for _, caches in stores.shared[1].every():
                await caches.memory.poll()
            found = conditions(watch).get("store:coverage")
            assert (found and found.level) == level
        assert found is not None
        assert "the limits of all orgs" in found.more
        one.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
        one.ask("ACL", "SETUSER", "default", "-config|get")
        for _, caches in stores.shared[1].every():
            await caches.memory.poll()
        one.ask("ACL", "SETUSER", "default", "+config|get")
        found = conditions(watch)["store:coverage"]
        assert found.level is Level.INFO
        assert "+config|get" in found.more


async def test_a_replica_that_comes_or_goes_is_seen_without_a_failure(
    nodes: ClusterDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "REREAD_SECONDS", 0.01)
    async with ledger_on(nodes) as ledger:
        links = ledger.links
        assert isinstance(links, Cluster)
        before = links.map
        await reach(lambda: links.map is not before)


def test_why_no_node_has_slots_is_the_newest_reason() -> None:
    link = ClosedLink(Breaker("cluster"))
    for reason in ("CLUSTERDOWN", "WRONGPASS"):
        link.hold(SLOTS, reason)
    assert [each.reason for each in link.breaker.outages()] == ["WRONGPASS"]
    link.hold(0, "")
    link.hold(1, "WRONGPASS")
    assert [each.reason for each in link.breaker.outages()] == ["WRONGPASS", "WRONGPASS"]


async def test_a_node_that_was_empty_before_gets_a_link_and_caches_with_its_first_slot(
    nodes: ClusterDeployment,
) -> None:
    org = fresh_org(nodes)
    async with stores_on(nodes) as (stores, ledger):
        await admit(ledger, org, "s")
        # As the answer of the org's node would name it. Nobody is there, and the map is read again.
        links, lost = ledger.links, Node("127.0.0.1", free_ports(1)[0])
        assert isinstance(links, Cluster)
        links._note_moved(next(iter(links._links)), MovedError(f"{slot_of(org)} {lost}"))
        assert states(stores)[str(lost)] == "starting"
        assert stores.shared is not None
        assert len(stores.shared[1].every()) == 4
        await reach(lambda: links.of(org).breaker.place == nodes.owner_of(org).address)
        assert (await admit(ledger, org, "after")).used == 2


async def test_names_are_read_from_every_node(ledger: RedisLedger, nodes: ClusterDeployment) -> None:
    orgs = [f"names-{org}" for org in orgs_of(nodes)]
    for org in orgs:
        await ledger.ask((Claim(org, NameKind.EVENT_NAME, (f"of {org}",), 9, 3_600.0),), now())
    config = RedisConfig(**nodes.redis, prefix="cluster:")
    every = [(org, name) async for org, _, name, _ in kept_names(config, None)]
    assert {(org, f"of {org}") for org in orgs} <= set(every)
    assert [name async for _, _, name, _ in kept_names(config, orgs[0])] == [f"of {orgs[0]}"]


async def test_without_any_node_all_orgs_are_refused_until_they_are_back(nodes: ClusterDeployment) -> None:
    nodes.kill()
    ledger = RedisLedger(store_of(RedisConfig(**nodes.redis)), "cluster:", LIMIT)
    await ledger.start()
    try:
        assert ledger.is_down("o")
        with pytest.raises(LedgerDownError):
            await admit(ledger, "o", "s")
        await asyncio.to_thread(nodes.heal)
        await reach(lambda: not any(map(ledger.is_down, orgs_of(nodes))))
        assert (await admit(ledger, "o", "s")).used == 1
    finally:
        await ledger.close()


async def test_a_replica_that_was_promoted_is_followed() -> None:
    with running_cluster(replicas=1) as nodes:
        org = orgs_of(nodes)[0]
        lost = nodes.owner_of(org)
        async with ledger_on(nodes) as ledger:
            assert (await admit(ledger, org, "before")).used == 1
            await asyncio.to_thread(nodes.settle)
            await asyncio.to_thread(lost.kill)
            await reach(lambda: ledger.links.of(org).breaker.place not in (lost.address, ""))
            await reach(lambda: not ledger.is_down(org))
            assert (await admit(ledger, org, "after")).used == 2
            assert isinstance(ledger.links, Cluster)
            (outage,) = ledger.links.gone.outages()
            assert (outage.place, outage.ended is not None) == (lost.address, True)


async def test_a_server_that_is_no_node_is_refused_at_the_start(valkey: ValkeyServer) -> None:
    config = RedisConfig(nodes=(Node("127.0.0.1", free_ports(1)[0]), Node("127.0.0.1", valkey.port)), cluster=True)
    with pytest.raises(HostError, match=r"state\.redis\.cluster.*cluster: false"):
        await refuse_misfit(config)


async def test_a_server_that_is_no_node_is_told(valkey: ValkeyServer) -> None:
    ledger = RedisLedger(store_of(RedisConfig(url=valkey.url, cluster=True)), "cluster:", LIMIT)
    await ledger.start()
    try:
        assert ledger.is_down("o")
        (outage,) = [each for breaker in ledger.links.breakers() for each in breaker.outages()]
        assert outage.reason == NO_NODE
        assert ledger.links.of("o").breaker.state is StoreState.DOWN
    finally:
        await ledger.close()


async def test_the_example_of_the_page_works_with_the_rights_that_it_lists(nodes: ClusterDeployment) -> None:
    (example,) = re.findall(r"## Cluster\n\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    for number, each in enumerate(nodes.nodes, 1):
        example = example.replace(f"10.0.0.{number}:6379", each.address)
    (line,) = re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
    (more,) = re.findall(r"needs on every node `(.*?)`", " ".join(PAGE.split()))
    example = example.replace("cluster: true", "cluster: true\n    timeout: 20s")
    for each in nodes.nodes:
        each.ask(*line.replace("PASSWORD", "word").split(), *more.split())
    text = f"upstream: {{url: http://a}}\n{example}"
    config = load_text(text, "f.yaml", {"REDIS_PASSWORD": "word"}, Path()).state
    stores = make_stores(config)
    await stores.start()
    try:
        ledger, org = stores.ledger, fresh_org(nodes)
        assert isinstance(ledger, RedisLedger)
        await admit(ledger, org, "s")
        await stores.repeats.remember(org, [(b"1", b"v"), (b"2", b"v")])
        await stores.repeats.close()  # type: ignore[attr-defined]
        slot, source = slot_of(org), nodes.owner_of(org)
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 99)
        assert sum(":cache:{" in key for key in keys) == 2
        target = nodes.other_than(source)
        nodes.begin_migration(slot, target)
        nodes.move_keys(slot, target)
        assert (await admit(ledger, org, "on its way")).used == 2
        nodes.end_migration(slot, target)
        shown: Any = stores.state()
        assert (shown["state"], [each["state"] for each in shown["nodes"]]) == ("up", ["up"] * 3)
        assert sum(each["slots"] for each in shown["nodes"]) == SLOTS
        (told,) = [each for each in stores.collect() if each.name == "fsproxy_store_nodes"]
        assert {each.labels["state"]: each.value for each in told.samples} == {"up": 3, "down": 0, "starting": 0}
    finally:
        await stores.close()


def test_the_ids_of_orgs_that_clients_choose_fill_no_memory() -> None:
    links = Cluster(Nodes((Node("127.0.0.1", 1),), Login(), None), "", LIMIT, lambda: None)
    for number in range(MOST_ORGS + 5):
        links.of(f"o-{number}")
    links.of("x" * (LONGEST_ORG + 1))
    assert set(links._slot_by_org) == {f"o-{MOST_ORGS + number}" for number in range(5)}
