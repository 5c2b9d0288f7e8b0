"""What of the data plane's parts is not normal: reads their state, and has it put into words (``telemetry``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fsproxy.core.failures import Failure
from fsproxy.core.model import Instant
from fsproxy.state.redis.servers.refusals import OTHERWISE, REMEDIES
from fsproxy.state.redis.write_limits import WARN_SHARE
from fsproxy.state.sqlite.persist import Keeping
from fsproxy.telemetry import file_conditions, store_conditions, traffic_conditions
from fsproxy.telemetry.certificate_conditions import certificate_ends
from fsproxy.telemetry.conditions import Condition, Conditions
from fsproxy.telemetry.growing import Growing
from fsproxy.telemetry.header_faults import HeaderFaults
from fsproxy.telemetry.pulse import Pulse
from fsproxy.telemetry.upstream_health import UpstreamHealth

if TYPE_CHECKING:
    from fsproxy.http.upstream.hosts import Upstream
    from fsproxy.state.redis.caches import NodeCaches
    from fsproxy.state.redis.connections.epochs import Epochs
    from fsproxy.state.redis.connections.links import Links
    from fsproxy.state.redis.store_memory import StoreMemory
    from fsproxy.state.sqlite.persist import Persister
    from fsproxy.state.stores import Stores
    from fsproxy.telemetry.audit_log import AuditLog
    from fsproxy.telemetry.metrics import Metrics

LOSS_REST_SECONDS = 10.0
OWN_REST_SECONDS = 600.0
EVICTED_REST_SECONDS = 600.0
"""The server is asked every 30 s."""
RENEW = "Renew it on the server, and find out why that has not happened by itself."


class Watch:
    """What is watched of the data plane: the sources of its conditions, and the states that its pulse notes."""

    def __init__(self, metrics: Metrics, upstream: Callable[[], Upstream]) -> None:
        self.conditions = Conditions()
        self.pulse = Pulse(metrics)
        self.health = UpstreamHealth()
        self.header_faults = HeaderFaults(metrics.proxy_headers)
        self.pulse.watched["upstream"] = lambda: self.health.state(is_used=bool(metrics.forwarded))
        self._loops = Growing(lambda: metrics.loops[()], lambda: traffic_conditions.LOOP)
        busy, faults = (Failure.UPSTREAM_BUSY.value,), metrics.own_failures
        self._sources = self.conditions.sources
        self._sources += [
            self.health.conditions,
            self._loops,
            Growing(lambda: metrics.refused_connections[()], lambda: traffic_conditions.OVERLOADED),
            Growing(lambda: metrics.upstream_failures[busy], lambda: traffic_conditions.UPSTREAM_BUSY),
            Growing(lambda: sum(faults.values()), lambda: traffic_conditions.OWN_FAULTS, rest=OWN_REST_SECONDS),
            lambda now: _certificates(upstream(), now),
            *self.header_faults.sources,
        ]

    def upstream_changed(self) -> None:
        """Forget what was wrong with the upstream before."""
        self.health.forget()
        self._loops.end()

    def add_stores(self, stores: Stores, blocks: Callable[[], bool]) -> None:
        """Watch the store, above all a shared one. ``blocks`` returns whether new pages are blocked without it."""
        self.pulse.watched["store"] = lambda: str(stores.state()["state"])
        if stores.shared is None:
            return
        ledger, caches, _ = stores.shared
        links = ledger.links
        self._sources.append(lambda now: _store(links, caches, now, blocks=blocks()))
        for rate in stores.rates:

            def describe(what: str = rate.what) -> Condition:
                return store_conditions.not_written(links.place, what)

            self._sources.append(Growing(lambda rate=rate: rate.skipped, describe))  # type: ignore[misc]
        self._sources.append(Growing(lambda: sum(each.refusals for each in links.breakers()), lambda: _refusal(links)))

        def evicted() -> Condition:
            fullest = caches.fullest()
            policy = fullest.policy if fullest is not None else None
            return store_conditions.evicted(links.place, policy or "not known")

        self._sources.append(Growing(lambda: caches.evicted, evicted, rest=EVICTED_REST_SECONDS))
        epochs = stores.epochs
        if epochs is not None:
            self._sources.append(lambda now: _losses(epochs, links, now))

    def add_files(self, persister: Persister | None, audit: AuditLog, to: str) -> None:
        """Watch the state file, if there is one, and where audit lines go to."""
        target = audit.destination
        if persister is not None:
            self._sources.append(lambda now: _state_file(persister, now))

        def lost() -> Condition:
            return file_conditions.audit_lost(to, target.fault)

        self._sources.append(
            Growing(lambda: audit.dropped, lost, rest=LOSS_REST_SECONDS, lasts=lambda: target.fault != "")
        )

        def not_reopened(now: Instant) -> Iterator[Condition]:
            if target.reopen_fault:
                yield file_conditions.audit_not_reopened(to, target.reopen_fault, now)

        self._sources.append(not_reopened)


def _store(links: Links, caches: NodeCaches, now: Instant, *, blocks: bool) -> Iterator[Condition]:
    for breaker in links.breakers():
        for each in breaker.outages():
            yield store_conditions.down(
                each.place,
                each.reason,
                REMEDIES.get(each.reason, OTHERWISE),
                blocks=blocks,
                since=each.since,
                unavailable=each.unavailable,
                ended=each.ended,
                part=each.part.value,
                slots=each.slots,
            )
    every = caches.every()
    for link, own in every:
        if link.server.unwatched and not link.breaker.is_open:
            yield store_conditions.unwatched(link.breaker.place, link.server.unwatched, now)
        for condition in _memory(link.breaker.place, own.memory, now):
            yield replace(condition, id=f"{condition.id}:{link.breaker.place}") if links.by_slot else condition
    if alone := links.alone():
        # One node that wants it stops. Of those that do not say it, nothing is known.
        known = {own.coverage for _, own in every}
        if "yes" in known:
            yield store_conditions.full_coverage(links.place, alone, len(every), now)
        elif "unknown" in known:
            yield store_conditions.coverage_unknown(links.place, alone, now)


def _memory(place: str, memory: StoreMemory, now: Instant) -> Iterator[Condition]:
    if memory.is_nearly_full:
        yield store_conditions.nearly_full(place, round(WARN_SHARE * 100), now)
    if memory.evicts:
        yield store_conditions.evicts(place, memory.policy or "", now)
    if memory.refusal:
        yield store_conditions.tells_nothing(place, memory.refusal, now)


def _losses(epochs: Epochs, links: Links, now: Instant) -> Iterator[Condition]:
    slots = {each.breaker.place: each.breaker.slots for each in links.every()}
    first = epochs.emptied + epochs.aged - len(epochs.losses) + 1
    for number, each in enumerate(epochs.losses, first):
        if now - each.at < file_conditions.REPORTED_SECONDS:
            yield store_conditions.lost(
                each.place, each.at, each.seconds, number, slots.get(each.place, 0) if links.by_slot else None
            )


def _refusal(links: Links) -> Condition:
    breaker = max(links.breakers(), key=lambda each: each.refused_at)
    word = breaker.refused_word
    return store_conditions.refuses(breaker.place, word, REMEDIES.get(word, "Look at its log."))


def _state_file(persister: Persister, now: Instant) -> Iterator[Condition]:
    if persister.keeping is Keeping.FAILING:
        yield file_conditions.state_not_written(persister.path, persister.reason, persister.since)
    elif persister.keeping is Keeping.HELD:
        yield file_conditions.state_held(persister.path, persister.reason, persister.since)
    if persister.incident is not None and now - persister.incident[0] < file_conditions.REPORTED_SECONDS:
        at, what = persister.incident
        yield file_conditions.state_incident(persister.path, what, at)
    if not persister.is_private:
        yield file_conditions.state_readable(persister.path, now)


def _certificates(upstream: Upstream, now: Instant) -> Iterator[Condition]:
    for address, ends in upstream.certificates():
        condition = certificate_ends(f"the upstream {address}", ends, now, RENEW)
        if condition is not None:
            yield condition
