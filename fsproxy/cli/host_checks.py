"""Everything for which this machine would not let ``serve`` start, found without starting it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from fsproxy.app import require_c_parser
from fsproxy.config.problems import HostError
from fsproxy.config.schema import Config, ListenConfig
from fsproxy.fleet.listening import IN_USE, require_free
from fsproxy.fleet.take_over import Predecessor
from fsproxy.http.tls import client_context, server_context
from fsproxy.state.repeats import refuse_disabled
from fsproxy.state.stores import make_stores
from fsproxy.telemetry.destination import require_usable


async def host_errors(config: Config, *, ports: bool = True) -> list[HostError]:
    """Return what this machine lacks, but for databases, which are opened when the rules are compiled.

    Nothing is made or changed; ``ports``: TCP ports are bound for a moment.
    """
    found: list[HostError] = []
    checks: list[Callable[[], object]] = [
        lambda: refuse_disabled(os.environ),
        require_c_parser,
        lambda: make_stores(config.state),
        lambda: require_usable(config.audit.to),
        lambda: client_context(config.upstream.tls),
        lambda: server_context(config.listen.tls),
    ]
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


async def without_own_ports(config: Config, errors: list[HostError]) -> list[HostError]:
    """Return the errors without those of ports in use, if it is fsproxy itself that runs here with this admin port."""
    if any(error.allowed == IN_USE for error in errors):
        with suppress(HostError):
            # The token is for fsproxy alone, and something else may answer there.
            asked = replace(config, listen=ListenConfig(), admin=replace(config.admin, token=None))
            running = await Predecessor.find(asked)
            if running is not None:
                await running.close()
                return [error for error in errors if error.allowed != IN_USE]
    return errors
