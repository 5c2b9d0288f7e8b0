"""Who accepts from whose queue."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from typing import cast

import pytest

from fsproxy.fleet.kept_queues import KeptQueues
from fsproxy.fleet.queues import Queue
from fsproxy.fleet.worker import Worker


class OneWorker:
    """As the supervisor knows it."""

    def __init__(self, number: int, *, accepts: bool = True, is_silent: bool = False) -> None:
        self.number = number
        self.accepts = accepts
        self.is_silent = is_silent
        self.given: set[int] = set()

    def give(self, queues: Mapping[int, Queue]) -> None:
        self.given = set(queues)


def given(queues: KeptQueues, *workers: OneWorker) -> list[set[int]]:
    queues.share(cast("list[Worker]", workers))
    return [each.given for each in workers]


@pytest.fixture
def sockets() -> Iterator[list[Queue]]:
    made = [[socket.socket()] for _ in range(3)]
    yield made
    for (each,) in made:
        each.close()


def test_each_accepts_from_its_own_queue_alone_while_all_are_there(sockets: list[Queue]) -> None:
    queues = KeptQueues(sockets)
    assert given(queues, OneWorker(1), OneWorker(2), OneWorker(3)) == [set(), set(), set()]
    assert [queues.of(number) for number in (1, 2, 3, 4)] == [*sockets, ()]


def test_the_queues_of_those_that_accept_nothing_or_hang_are_served_by_all_others(sockets: list[Queue]) -> None:
    queues = KeptQueues(sockets)
    assert given(queues, OneWorker(1), OneWorker(2, accepts=False)) == [{2, 3}, set()]
    assert given(queues, OneWorker(1), OneWorker(2, is_silent=True), OneWorker(3)) == [{2}, set(), {2}]
    assert given(queues, OneWorker(2, accepts=False)) == [set()]


def test_queues_of_a_program_with_more_workers_are_served_by_all(sockets: list[Queue]) -> None:
    assert given(KeptQueues(sockets), OneWorker(1), OneWorker(2)) == [{3}, {3}]


def test_a_common_queue_is_that_of_all(sockets: list[Queue]) -> None:
    queues = KeptQueues(sockets[:1], common=True)
    assert given(queues, OneWorker(1), OneWorker(2, accepts=False)) == [set(), set()]
    assert queues.of(1) == queues.of(2) == sockets[0]


def test_nothing_is_kept_at_the_end(sockets: list[Queue]) -> None:
    queues = KeptQueues(sockets)
    assert queues.sockets == [each for queue in sockets for each in queue]
    queues.close()
    assert queues.sockets == []
    assert {each.fileno() for queue in sockets for each in queue} == {-1}
    assert queues.of(1) == ()
