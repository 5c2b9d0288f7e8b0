"""How many file descriptors this process may open, and how many client connections that allows."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace

import structlog

from fsproxy.config.schema import Config, ServerConfig
from fsproxy.core.model import Instant
from fsproxy.http.server import HARD_LIMIT
from fsproxy.telemetry.conditions import Condition
from fsproxy.telemetry.machine_conditions import limit_too_low, nearly_used_up

if sys.platform != "win32":
    import resource

OTHERS = 64
"""Descriptors for everything else: listeners, state, audit and log files, the admin port, watches, the store."""
log = structlog.get_logger("fsproxy")


USED_UP_SHARE = 0.9
"""From this share of descriptors on they count as nearly used up."""


def raise_soft_limit() -> None:
    """Raise the soft limit to the hard one, as far as the system lets us.

    Workers that are started later inherit the limit; it holds for each of them alone.
    """
    if sys.platform == "win32":  # which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:  # some systems have a maximum of their own below "unlimited"
            log.warning("the limit of descriptors could not be raised", limit=soft, reason=str(error))


def that_fits(config: Config) -> ServerConfig:
    """Return ``config.server`` with ``max_connections`` lowered until descriptors for everything else are left.

    Without a free descriptor, the process can accept no connection, connect to no upstream and open no file.
    """
    limit = _limit()
    if limit is None:
        return config.server
    rest = limit - min(OTHERS, limit // 2)
    rest -= min(config.upstream.max_connections, rest // 2)
    fitting = min(config.server.max_connections, max(1, int(rest / HARD_LIMIT)))
    return replace(config.server, max_connections=fitting)


def _limit() -> int | None:
    """Return the soft limit; None when there is none."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def conditions(config: Config, now: Instant) -> Iterator[Condition]:
    """Yield that the limit is too low for ``config``, or that descriptors are nearly used up: a source."""
    limit = _limit()
    if limit is None:
        return
    fitting = that_fits(config).max_connections
    if fitting < config.server.max_connections:
        needed = int(config.server.max_connections * HARD_LIMIT) + config.upstream.max_connections + OTHERS
        yield limit_too_low(limit, needed, fitting, now)
    used = _used()
    if used >= USED_UP_SHARE * limit:
        yield nearly_used_up(limit, now)


def are_used_up() -> bool:
    """Return whether nothing can be opened or accepted."""
    return math.isinf(_used())


def _used() -> float:
    """Return how many descriptors are in use at least; infinity if all are. The system gives out the lowest first."""
    try:
        lowest = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return math.inf
    os.close(lowest)
    return lowest
