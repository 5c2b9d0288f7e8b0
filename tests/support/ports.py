"""Free ports for processes that cannot be told to listen on port 0."""

from __future__ import annotations

import os
import random
import socket
from collections import deque

_SYSTEM = random.SystemRandom()
"""Not the module's own generator: hypothesis seeds that one alike in every process."""
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_FIRST, _LAST = 15_000, 32_000
"""Below the range from which the kernel takes the ports of outgoing connections, so that none is taken meanwhile."""
_given: deque[int] = deque(maxlen=100)


def free_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 that nothing listens on now, all different."""
    found: list[int] = []
    # Tests that run side by side take from ports of their own.
    for port in _SYSTEM.sample(range(_FIRST + _WORKER, _LAST, _WORKERS), k=500):
        if len(found) == count:
            break
        if port in _given:  # to one that may not listen on it yet
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    assert len(found) == count, "no free ports"
    _given.extend(found)
    return found
