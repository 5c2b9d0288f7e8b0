"""Everything that is remembered: the ledger and the caches, in memory or shared, started and closed together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from fsproxy.config.problems import HostError
from fsproxy.config.schema import PersistConfig, StateBackend, StateConfig
from fsproxy.core.model import FilterName
from fsproxy.state.looking import LookingBlockedPages, LookingClocks, LookingLedger, LookingRepeats
from fsproxy.state.memory.blocked_pages import BlockedPages
from fsproxy.state.memory.ledger import MemoryLedger
from fsproxy.state.memory.page_clocks import PageClocks
from fsproxy.state.redis.connections.breaker import Breaker, StoreState, overall
from fsproxy.state.redis.write_limits import NewNames, WriteRate
from fsproxy.state.repeats import Repeats
from fsproxy.state.run_time_lists import KeptLists
from fsproxy.state.sqlite.persist import Keeping, Persister

if TYPE_CHECKING:  # redis-py is an extra
    from fsproxy.state.redis.caches import NodeCaches
    from fsproxy.state.redis.connections.epochs import Epochs
    from fsproxy.state.redis.ledger import RedisLedger
    from fsproxy.state.redis.repeats import SharedRepeats
    from fsproxy.state.redis.shared_lists import SharedLists

PAGE_WRITES = (50, 200)
"""Blocked pages that a process writes to Redis in a second, of one org and of all; a key takes about 200 bytes there.

With their 15 minutes: 45,000 of one org and 180,000 (36 MB) of all, for each process."""
REPEAT_WRITES = (250, 500)
"""The same for calls' verdicts. With their 10 minutes: 150,000 of one org and 300,000 (60 MB) of all."""
CLOCK_WRITES = (150, 300)
"""The same for pages' clocks. With their 15 minutes: 135,000 of one org and 270,000 (40 MB) of all."""
WRITE_SECONDS = 5.0
"""How long an operator waits until a change of a list is written; it is in force before."""
STORE_DOWN = "Redis does not answer: other instances do not know of it until it is back, and a restart forgets it"
NOT_KEPT = "state.persist is null and there is no Redis: a restart forgets it"


@dataclass(frozen=True, slots=True)
class Looking:
    """What is remembered, to be looked at."""

    ledger: LookingLedger
    blocked_pages: LookingBlockedPages
    repeats: LookingRepeats
    clocks: LookingClocks


@dataclass(frozen=True, slots=True)
class Stores:
    """What requests share. It may be used before ``start``: a shared store counts as down until then."""

    backend: StateBackend
    ledger: MemoryLedger | RedisLedger
    blocked_pages: BlockedPages
    repeats: Repeats
    clocks: PageClocks
    memory: MemoryLedger | None = None
    """The ledger, if it is this process's own."""
    shared: tuple[RedisLedger, NodeCaches, SharedRepeats] | None = None
    rates: tuple[WriteRate | NewNames, ...] = ()
    """The limits on what is written to a shared store."""
    persister: Persister | None = None
    """Keeps what is in memory in a file."""
    shared_lists: SharedLists | None = None
    epochs: Epochs | None = None
    """Finds out when a shared store has lost what it had."""

    def kept_in(
        self, file: PersistConfig | None, failures: Counter[tuple[str, ...]], names_kept: Callable[[], float]
    ) -> Stores:
        """Return the same, kept in a file if one is named and the ledger is this process's own. See Persister."""
        if file is None or self.memory is None:
            return self
        return replace(self, persister=Persister(file, self.memory, failures, names_kept))

    @property
    def lists(self) -> KeptLists:
        """The lists that change at run time."""
        return self.ledger.lists

    async def read_lists(self) -> frozenset[FilterName]:
        """Take in what other processes changed in the lists; return those lists. Never raises."""
        return await self.shared_lists.exchange() if self.shared_lists is not None else frozenset()

    async def write_lists(self) -> str:
        """Write what changed in the lists. Return why it is not kept over a restart; "": it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WRITE_SECONDS):
                if self.shared_lists is not None:
                    await self.shared_lists.exchange()
                if self.persister is not None:
                    await self.persister.flush()
        return self.lists_not_kept

    @property
    def lists_not_kept(self) -> str:
        """Why a restart would forget what changed last in the lists; "": it would not."""
        if self.shared_lists is not None:
            return STORE_DOWN if self.lists.unwritten else ""
        if self.persister is None:
            return NOT_KEPT
        if self.persister.keeping is Keeping.KEPT:
            return ""
        why = self.persister.reason or self.persister.keeping.value
        return f"the state file cannot be written now: {why}. It is tried again and again"

    def looking(self) -> Looking:
        """Return the same for one who only looks."""
        return Looking(
            LookingLedger(self.ledger),
            LookingBlockedPages(self.blocked_pages),
            LookingRepeats(self.repeats),
            LookingClocks(self.clocks),
        )

    async def start(self) -> None:
        """Connect, or load what a file has kept. A store that is not there is tried again in the background."""
        if self.shared is not None:
            await self.shared[0].start()
            self.shared[1].start()
        if self.epochs is not None:
            self.epochs.start()
        if self.persister is not None:
            await self.persister.start()

    def waiting_for(self) -> list[str]:
        """Return what ``start`` waits for, in words."""
        connecting = overall(self.breakers()) is StoreState.STARTING
        return ["connecting to the store"] * connecting + ([self.persister.loading] if self.persister else [])

    async def close(self) -> None:
        """Close every connection, and write what is not written yet."""
        if self.epochs is not None:
            await self.epochs.close()
        if self.shared is not None:
            ledger, caches, repeats = self.shared
            await ledger.close()
            await repeats.close()
            await caches.close()
        if self.persister is not None:
            await self.persister.close()

    def breakers(self) -> list[Breaker]:
        """Return the breakers of all servers; memory has none."""
        return self.shared[0].links.breakers() if self.shared is not None else []

    def state(self) -> dict[str, object]:
        """Return what ``/readyz`` shows."""
        found: dict[str, object] = {"backend": self.backend.value, "state": overall(self.breakers()).value}
        if self.shared is not None:
            found["address"] = self.shared[0].links.place
            found |= self.shared[1].state()
        if self.epochs is not None:
            found["kept_since"] = self.epochs.kept_since
        if self.persister is not None:
            found["persist"] = self.persister.state()
        return found

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        breakers = self.breakers()
        is_up = overall(breakers) is StoreState.UP
        yield GaugeMetricFamily("fsproxy_store_up", "1: the store of the limits answers, with all of its nodes.", is_up)
        for name, text, counts in (
            ("round_trips", "Commands sent to the store.", [each.round_trips for each in breakers]),
            ("failures", "Commands that failed, probes included.", [each.failures for each in breakers]),
            ("unavailable", "Questions not asked, as the store is down.", [each.unavailable for each in breakers]),
        ):
            yield CounterMetricFamily(f"fsproxy_store_{name}", text, sum(counts))
        links = self.shared[0].links.every() if self.shared is not None else []
        text = "0: no Sentinel answers that would tell of a failover."
        yield GaugeMetricFamily("fsproxy_store_watched", text, not any(each.server.unwatched for each in links))
        if self.shared is not None:
            yield from self.shared[1].collect()
            yield from self.epochs.collect() if self.epochs is not None else ()
            text = "Keys that were not written to the store, as there were too many in a second."
            family = CounterMetricFamily("fsproxy_store_writes_skipped", text, labels=("what",))
            for rate in self.rates:
                family.add_metric((rate.what,), rate.skipped)
            yield family
        text = "Entries of the lists that change at run time."
        entries = GaugeMetricFamily("fsproxy_run_time_list_entries", text, labels=("list",))
        for name, each in self.lists.by_name.items():
            entries.add_metric((name.value,), each.live)
        yield entries
        if self.memory is not None:
            evicted = {
                **self.memory.evicted(),
                "page_clocks": self.clocks.evicted,
                "blocked_pages": self.blocked_pages.evicted,
                "repeats": self.repeats.cache.evicted,
            }
            text = "Entries that had to go before their time: docs/reference/state.md."
            family = CounterMetricFamily("fsproxy_evictions", text, labels=("what",))
            for what, count in evicted.items():
                family.add_metric((what,), count)
            yield family


def make_stores(config: StateConfig) -> Stores:
    """Return what the configuration asks for. Raise HostError, but not for a server that is down."""
    if config.backend is StateBackend.MEMORY:
        memory = MemoryLedger(journal=config.persist is not None)
        return Stores(config.backend, memory, BlockedPages(), Repeats(), PageClocks(), memory)
    try:
        return _shared(config)
    except ImportError:
        raise HostError(
            "state.backend", "needs redis-py, which is not installed", "pip install fsproxy[redis]"
        ) from None


def _shared(config: StateConfig) -> Stores:
    # Imported here alone, as redis-py is an extra.
    from fsproxy.state.redis.caches import NodeCaches  # noqa: PLC0415
    from fsproxy.state.redis.connections.epochs import Epochs  # noqa: PLC0415
    from fsproxy.state.redis.ledger import RedisLedger  # noqa: PLC0415
    from fsproxy.state.redis.repeats import SharedRepeats  # noqa: PLC0415
    from fsproxy.state.redis.servers.configured import store_of  # noqa: PLC0415
    from fsproxy.state.redis.shared_blocks import SharedBlockedPages  # noqa: PLC0415
    from fsproxy.state.redis.shared_clocks import SharedPageClocks  # noqa: PLC0415
    from fsproxy.state.redis.shared_lists import SharedLists  # noqa: PLC0415

    prefix, timeout = config.redis.prefix, config.redis.timeout
    ledger = RedisLedger(store_of(config.redis), prefix, timeout)
    caches = NodeCaches(ledger.links, prefix, timeout)
    pages, calls = WriteRate("blocked_pages", *PAGE_WRITES), WriteRate("repeats", *REPEAT_WRITES)
    clocks = WriteRate("page_clocks", *CLOCK_WRITES)
    repeats = SharedRepeats(caches, calls)
    return Stores(
        config.backend,
        ledger,
        SharedBlockedPages(ledger, caches, pages),
        repeats,
        SharedPageClocks(ledger, clocks),
        shared=(ledger, caches, repeats),
        rates=(pages, calls, clocks, ledger.id_rate, ledger.new_names, ledger.page_name_rate),
        shared_lists=SharedLists(ledger),
        epochs=Epochs(ledger.links.servers, ledger.forget),
    )
