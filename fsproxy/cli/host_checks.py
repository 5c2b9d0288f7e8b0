"""Everything for which this machine would not let ``serve`` start, found without starting it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

from fsproxy.config.problems import HostError
from fsproxy.config.schema import Config, ListenConfig, StateBackend, StateConfig
from fsproxy.config.tls import client_context, server_context
from fsproxy.core.filters.geo import GeoFilter
from fsproxy.core.settings import CoreSettings
from fsproxy.fleet.listening import IN_USE, require_free, require_worker_sockets
from fsproxy.http.aiohttp_parts import HAS_C_PARSER
from fsproxy.proxy.geo import Locator
from fsproxy.state.repeats import refuse_disabled
from fsproxy.state.stores import make_stores
from fsproxy.telemetry.destination import require_usable


async def host_errors(config: Config, *, ports: bool = True, store: bool = False) -> list[HostError]:
    """Return what this machine lacks. Nothing is made or changed.

    ``ports``: TCP ports are bound for a moment. ``store``: a shared one is asked of what kind it is.
    """
    found: list[HostError] = []
    checks: list[Callable[[], object]] = [
        lambda: refuse_disabled(os.environ),
        _require_c_parser,
        lambda: make_stores(config.state),
        lambda: require_usable(config.audit.to),
        lambda: client_context(config.upstream.tls),
        lambda: server_context(config.listen.tls),
        *_databases(config.core),
    ]
    if config.workers > 1:
        checks.append(lambda: require_worker_sockets(config.workers))
    if store:
        checks.append(lambda: _refuse_misfit(config.state))
    if ports:
        checks += [lambda: require_free(config.listen), lambda: require_free(config.admin)]
    for check in checks:
        try:
            done = check()
            if isinstance(done, Awaitable):
                await done
        except HostError as error:
            found.append(error)
    return found


async def _refuse_misfit(state: StateConfig) -> None:
    """Raise HostError if Redis is there, and is of another kind than the configuration says."""
    if state.backend is StateBackend.REDIS:
        with suppress(ImportError):  # make_stores has reported it
            from fsproxy.state.redis.servers.configured import refuse_misfit  # noqa: PLC0415

            await refuse_misfit(state.redis)


def _databases(core: CoreSettings) -> Iterator[Callable[[], object]]:
    """Yield what opens each database that a rule needs."""
    locator, seen = Locator(), set()
    for org, settings in ((None, core.default), *core.orgs.items()):
        source = settings.filters.geo.source
        if source.database not in seen and GeoFilter.compile(settings, core) is not None:
            seen.add(source.database)
            yield partial(locator.open, source, org)


async def without_own_ports(config: Config, errors: list[HostError]) -> list[HostError]:
    """Return the errors without those of ports in use, if it is fsproxy itself that runs here with this admin port."""
    if any(error.allowed == IN_USE for error in errors):
        from fsproxy.fleet.take_over import Predecessor  # noqa: PLC0415 - rarely needed, and slow to import

        with suppress(HostError):
            # The token is for fsproxy alone, and something else may answer there.
            asked = replace(config, listen=ListenConfig(), admin=replace(config.admin, token=None))
            running = await Predecessor.find(asked)
            if running is not None:
                await running.close()
                return [error for error in errors if error.allowed != IN_USE]
    return errors


def _require_c_parser() -> None:
    if not HAS_C_PARSER:
        reason = "AIOHTTP_NO_EXTENSIONS is set, or it was not built"
        fault = f"aiohttp's C parser is missing ({reason}): the pure Python one is neither as strict nor as fast"
        raise HostError("", fault)
