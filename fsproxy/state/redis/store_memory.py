"""How full the shared store is: a full one takes the limits of all orgs with it (rules.md 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric

from fsproxy.clock import monotonic

EVERY_SECONDS = 30.0
"""Between two questions; one costs the server some 50 µs."""
WARN_SHARE = 0.8
FULL_SHARE = 0.9
"""From here on, nothing is written any more that is only remembered."""
_NEARLY_FULL = "the store uses more than 80 % of its memory: see state.redis"
_EVICTS = "the store evicts keys, and with them counts of limits: set its maxmemory-policy to noeviction"
log = structlog.get_logger("fsproxy")


class StoreMemory:
    """Asks the store about its memory in the background.

    A server that does not answer that (``NOPERM``, another program) costs a log line, and nothing is known of it then.
    """

    def __init__(self, ask: Callable[[], Awaitable[Mapping[str, Any] | None]], every: float = EVERY_SECONDS) -> None:
        """``ask`` returns the fields of ``INFO memory``, or None while the store is down. It may raise anything.

        While the store is down, what is known of it stays.
        """
        self._ask = ask
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self.used: int | None = None
        """Bytes; None: not known."""
        self.most: int | None = None
        """``maxmemory`` in bytes; None: not known, or the server has no limit."""
        self.policy: str | None = None
        self.latency: float | None = None
        """Seconds that the last question took; None: not known."""
        self._logged: tuple[str, ...] = ()
        self._refused = False

    def start(self) -> None:
        """Ask now, and from now on every 30 seconds."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def is_full(self) -> bool:
        """More than 90 % is used."""
        return self._share() > FULL_SHARE

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator should know, for ``/readyz``."""
        found: tuple[str, ...] = (_NEARLY_FULL,) if self._share() >= WARN_SHARE else ()
        return (*found, _EVICTS) if self.policy not in {None, "noeviction"} else found

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
            if not self._refused:
                self._refused = True
                log.info("the store does not tell how full it is; logged once", reason=type(error).__name__)
            found = {}
        self.latency = monotonic() - asked if found else None
        if found is None:
            return
        self.used = _bytes(found.get("used_memory"))
        self.most = _bytes(found.get("maxmemory")) or None
        policy = found.get("maxmemory_policy")
        self.policy = policy if isinstance(policy, str) else None
        self._log_changes()

    async def _run(self) -> None:
        while True:
            await self.poll()
            await asyncio.sleep(self._every)

    def _share(self) -> float:
        return self.used / self.most if self.used is not None and self.most else 0.0

    def _log_changes(self) -> None:
        before, self._logged = self._logged, self.warnings
        for text in self._logged:
            if text not in before:
                log.warning(text, used=self.used, max=self.most, policy=self.policy)
        for text in before:
            if text not in self._logged:
                log.info("a warning about the store is over", warning=text, used=self.used, max=self.most)


def _bytes(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
