"""Free ports for processes that cannot be told to listen on port 0."""

from __future__ import annotations

import random
import socket

_FIRST, _LAST = 15_000, 32_000
"""Below the range from which the kernel takes the ports of outgoing connections, so that none is taken meanwhile."""


def free_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 that nothing listens on now, all different."""
    found: list[int] = []
    for port in random.sample(range(_FIRST, _LAST), k=500):
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
