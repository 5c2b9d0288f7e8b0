"""Free ports for processes that cannot be told to listen on port 0."""

from __future__ import annotations

import os
import random
import socket

_SYSTEM = random.SystemRandom()
"""Not the module's own generator: hypothesis seeds that one alike in every process."""
_WORKERS = 4
_FIRST, _LAST = 15_000, 32_000
"""Below the range from which the kernel takes the ports of outgoing connections, so that none is taken meanwhile."""


def free_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 that nothing listens on now, all different."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    found: list[int] = []
    # Tests that run side by side take from ports of their own.
    for port in _SYSTEM.sample(range(_FIRST + worker, _LAST, _WORKERS), k=500):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    assert len(found) == count, "no free ports"
    return found
