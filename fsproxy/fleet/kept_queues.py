"""The supervisor's queues of new connections: which worker accepts from which."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from itertools import chain

from fsproxy.fleet.queues import Queue, close_queue
from fsproxy.fleet.worker import Worker


class KeptQueues:
    """Keeps all queues until the program stops. Each is that of the worker with its number.

    There may be more: those of a program that had more workers, which is taken over. A unix socket is that of all.
    """

    def __init__(self, queues: Sequence[Queue] = (), *, common: bool = False) -> None:
        """Keep these. ``common``: there is one, from which all workers accept."""
        self._queues = dict(enumerate(queues, 1))
        self._common = common

    @property
    def sockets(self) -> list[socket.socket]:
        """All sockets."""
        return [*chain.from_iterable(self._queues.values())]

    def of(self, number: int) -> Queue:
        """Return the queue from which a worker always accepts; () once they are closed."""
        return self._queues.get(1 if self._common else number, ())

    def share(self, workers: Iterable[Worker]) -> None:
        """Have the workers that accept connections do so from the queues of all others, too.

        One that does not answer may hang, so others accept from its queue besides it.
        """
        accepting = [worker for worker in workers if worker.accepts]
        served = {1 if self._common else worker.number for worker in accepting if self._common or not worker.is_silent}
        unserved = {number: queue for number, queue in self._queues.items() if number not in served}
        for worker in accepting:
            worker.give({number: queue for number, queue in unserved.items() if number != worker.number})

    def close(self) -> None:
        """Keep them no longer. From then on each worker keeps what it has, to accept what waits there."""
        for queue in self._queues.values():
            close_queue(queue)
        self._queues = {}
