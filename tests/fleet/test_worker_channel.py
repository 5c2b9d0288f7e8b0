"""What a worker is told, and how it notices that it was left alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fsproxy.config.loader import load_text
from fsproxy.config.schema import ModeSwitch, TopMode
from fsproxy.fleet.worker_channel import (
    LISTENING,
    Orders,
    WorkerChannel,
    packed,
    packed_config,
    received,
    send_queue,
)
from fsproxy.proxy.generation import Generation
from fsproxy.reload.build_generation import Source

CONFIG = """
upstream: {url: http://127.0.0.1:9, prefixes: {/s/: http://127.0.0.1:8}}
orgs: {listed: {o-1: {filters: {ip: {block: [10.0.0.0/8]}}}}}
filters: {domain: {rules: [{block: a.example}]}, user_agent: {block: ["regex:Bot.*"]}, quota: {sessions: 5}}
"""


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def orders() -> Orders:
    source = Source(Path("fsproxy.yaml"), {"NAME": "value"})
    return Orders(
        number=2,
        admin="2.sock",
        source=source,
        generation=7,
        switch=ModeSwitch(TopMode.SHADOW),
        instance="i",
        passage="0123456789abcdef",
        queue=(),
    )


def test_the_configuration_arrives_as_it_was_sent(channel: tuple[socket.socket, socket.socket]) -> None:
    sent, config = orders(), load_text(CONFIG, "fsproxy.yaml", {}, Path())
    channel[0].sendall(packed(sent) + packed_config(config))
    got = received(channel[1])
    assert got is not None
    assert got == (sent, config)
    assert Generation.compile(got[1], got[0].generation, got[0].switch).number == 7


@pytest.mark.parametrize("sent", [0, 4, 100, -1])
def test_a_supervisor_that_ended_before_it_was_done_has_given_no_orders(
    channel: tuple[socket.socket, socket.socket], sent: int
) -> None:
    whole = packed(orders()) + packed_config(load_text(CONFIG, "fsproxy.yaml", {}, Path()))
    channel[0].sendall(whole[:sent])
    channel[0].close()
    assert received(channel[1]) is None


async def test_a_worker_says_that_it_listens_and_is_told_to_stop_by_the_end_of_its_supervisor(
    channel: tuple[socket.socket, socket.socket],
) -> None:
    left_alone = asyncio.Event()
    worker_channel = WorkerChannel(orders(), channel[1])
    worker_channel.watch_supervisor(asyncio.get_running_loop(), left_alone.set)
    worker_channel.report_listening()
    assert channel[0].recv(1) == LISTENING
    assert not left_alone.is_set()
    with capture_logs() as logs:
        channel[0].close()
        async with asyncio.timeout(120):
            await left_alone.wait()
    assert [(each["log_level"], each["event"]) for each in logs] == [
        ("error", "the supervisor is gone, so this worker ends")
    ]


async def test_a_worker_is_given_queues_and_has_them_taken_back(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    loop, taken = asyncio.get_running_loop(), asyncio.Queue[tuple[int, list[str]]]()
    worker_channel = WorkerChannel(orders(), theirs)
    worker_channel.watch_supervisor(loop, lambda: None)

    def take(number: int, sockets: list[socket.socket]) -> None:
        taken.put_nowait((number, [each.getsockname()[0] for each in sockets]))
        for each in sockets:
            each.close()

    worker_channel.take_queue = take
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.2", 0)) as other:
        send_queue(ours, 3, [one, other])
        send_queue(ours, 70_000, [other])
        send_queue(ours, 3, ())
    async with asyncio.timeout(120):
        assert [await taken.get() for _ in range(3)] == [
            (3, ["127.0.0.1", "127.0.0.2"]),
            (70_000, ["127.0.0.2"]),
            (3, []),
        ]
    ours.close()  # or its end would be noticed by a test that has gone
    loop.remove_reader(theirs.fileno())
