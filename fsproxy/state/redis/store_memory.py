"""How full the shared store is: a full one takes the limits of all orgs with it (rules.md 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

from fsproxy.clock import monotonic
from fsproxy.state.redis.servers.ending import end
from fsproxy.state.redis.servers.reasons import TOO_LATE, reason_of
from fsproxy.state.redis.write_limits import FULL_SHARE, WARN_SHARE

EVERY_SECONDS = 30.0
"""Between two questions; one costs the server some 50 µs."""


class StoreMemory:
    """Asks the store about its memory in the background.

    Of a server that does not answer that (``NOPERM``, another program) nothing is known.
    """

    def __init__(self, ask: Callable[[], Awaitable[Mapping[str, Any] | None]], every: float = EVERY_SECONDS) -> None:
        """``ask`` returns the fields of ``INFO``, or None while the store is down. It may raise anything.

        While the store is down, or late, what is known of it stays.
        """
        self._ask = ask
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self.used: int | None = None
        """Bytes; None: not known."""
        self.most: int | None = None
        """``maxmemory`` in bytes; None: not known, or the server has no limit."""
        self.policy: str | None = None
        self.evicted_keys: int | None = None
        """Keys that the server has evicted since its start; None: not known."""
        self.evicted = 0
        """Those of them that it has evicted since it was asked first."""
        self.latency: float | None = None
        """Seconds that the last question took; None: not known."""
        self.refusal = ""
        """Why nothing is known, as ``reason_of`` says it; "" if the server has answered."""

    def start(self) -> None:
        """Ask now, and from now on every 30 seconds."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ask no more."""
        await end(self._task)

    @property
    def is_full(self) -> bool:
        """More than 90 % is used."""
        return self.share > FULL_SHARE

    @property
    def is_nearly_full(self) -> bool:
        """80 % or more is used."""
        return self.share >= WARN_SHARE

    @property
    def evicts(self) -> bool:
        """The server throws away counts of limits when it is full."""
        return self.policy not in {None, "noeviction"}

    def state(self) -> dict[str, object]:
        """Return what ``/readyz`` shows. Null: not known, or no limit."""
        return {"used": self.used, "max": self.most, "policy": self.policy}

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics of what is known."""
        if self.used is not None:
            yield GaugeMetricFamily("fsproxy_store_used_bytes", "Memory that the store uses.", self.used)
        if self.most is not None:
            yield GaugeMetricFamily("fsproxy_store_max_bytes", "The store's maxmemory.", self.most)

    async def poll(self) -> None:
        """Ask once. Never raises, unless it is cancelled."""
        asked = monotonic()
        try:
            found = await self._ask()
        except Exception as error:  # noqa: BLE001 - whatever it is: this server gives no answer
            reason, self.latency, found = reason_of(error), None, {}
            # A full server that was late once is no less full.
            if reason == TOO_LATE and self.used is not None:
                return
            self.refusal = reason
        else:
            self.latency = monotonic() - asked if found else None
            if found is None:
                return
            self.refusal = ""
        self.used = _bytes(found.get("used_memory"))
        self.most = _bytes(found.get("maxmemory")) or None
        self._count_evicted(_bytes(found.get("evicted_keys")))
        policy = found.get("maxmemory_policy")
        self.policy = policy if isinstance(policy, str) else None

    def _count_evicted(self, count: int | None) -> None:
        before = self.evicted_keys
        if count is not None:
            if before is not None:
                # A server that was restarted counts from nothing.
                self.evicted += count - before if count >= before else count
            self.evicted_keys = count

    async def _run(self) -> None:
        while True:
            await self.poll()
            await asyncio.sleep(self._every)

    @property
    def share(self) -> float:
        """How much of it is used, 0 to 1; 0: not known, or there is no limit."""
        return self.used / self.most if self.used is not None and self.most else 0.0


def _bytes(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
