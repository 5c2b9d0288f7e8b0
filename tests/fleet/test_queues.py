"""The queues of new connections outlive who accepts from them."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fsproxy.config.loader import load_text
from fsproxy.config.problems import HostError
from fsproxy.config.schema import Config
from fsproxy.fleet import queues as queues_module
from fsproxy.fleet.binding import GivenSockets
from fsproxy.fleet.queues import Listener, Listeners, Queue, close_queue, open_queues, remove_path
from support.descriptors import no_descriptors
from support.ports import free_ports

CONNECTIONS = 40
DEADLINE = 60.0


def config(**listen: Any) -> Config:
    made = load_text('{"upstream": {"url": "http://127.0.0.1:9"}}', "fsproxy.yaml", {}, Path())
    return replace(made, listen=replace(made.listen, **listen))


@contextmanager
def kept(queues: list[Queue]) -> Iterator[list[Queue]]:
    """As a supervisor keeps them."""
    try:
        yield queues
    finally:
        for each in queues:
            close_queue(each)


def copy(queue: Queue) -> Queue:
    """What another process has of a queue."""
    return [each.dup() for each in queue]


class Process:
    """One that accepts connections, sends each its name and closes it."""

    def __init__(self, name: bytes, of: Config) -> None:
        class Protocol(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                transport.write(name)
                transport.close()

        async def accept(each: socket.socket) -> Listener:
            return await asyncio.get_running_loop().create_server(Protocol, sock=each)

        self.listeners = Listeners(accept, of.listen)


@pytest.fixture
async def processes() -> AsyncIterator[list[Process]]:
    made = [Process(b"a", config()), Process(b"b", config())]
    async with AsyncExitStack() as stack:
        for each in made:
            stack.push_async_callback(each.listeners.close)
        yield made


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connections(port: int) -> list[Connection]:
    """So many that the kernel has completed."""
    return [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]


async def answers(made: list[Connection]) -> Counter[bytes]:
    """Who answers how many of them."""
    found: Counter[bytes] = Counter()
    async with asyncio.timeout(DEADLINE):
        for reader, writer in made:
            found[await reader.read()] += 1
            writer.close()
    return found


async def test_a_queue_whose_process_is_gone_is_served_by_the_others_until_it_is_back(processes: list[Process]) -> None:
    one, other = processes
    with kept(await open_queues(config(host=("127.0.0.1",), port=0).listen, 2)) as queues:
        port = queues[0][0].getsockname()[1]
        assert {each.getsockname()[1] for queue in queues for each in queue} == {port}
        await one.listeners.add(1, copy(queues[0]))
        await other.listeners.add(2, copy(queues[1]))
        assert set(await answers(await connections(port))) == {b"a", b"b"}
        await one.listeners.close()
        other.listeners.change(1, copy(queues[0]))
        assert await answers(await connections(port)) == {b"b": CONNECTIONS}
        back = Process(b"c", config())
        await back.listeners.add(1, copy(queues[0]))
        other.listeners.change(1, ())
        await other.listeners.remove(3)  # and with it what was asked for before
        assert set(await answers(await connections(port))) == {b"b", b"c"}
        await back.listeners.close()


async def test_what_waits_while_nobody_accepts_is_served_later(processes: list[Process]) -> None:
    with kept(await open_queues(config(host=("127.0.0.1",), port=0).listen, 1)) as queues:
        port = queues[0][0].getsockname()[1]
        await processes[0].listeners.add(1, copy(queues[0]))
        await processes[0].listeners.close()
        waiting = await connections(port)
        await processes[1].listeners.add(1, copy(queues[0]))
        assert await answers(waiting) == {b"b": CONNECTIONS}


@pytest.mark.parametrize("ends", ["close", "remove"])
async def test_what_was_accepted_in_the_turn_before_the_end_is_served(processes: list[Process], ends: str) -> None:
    listeners = processes[0].listeners
    with kept(await open_queues(config(host=("127.0.0.1",), port=0).listen, 1)) as queues:
        await listeners.add(1, copy(queues[0]))
        with socket.create_connection(queues[0][0].getsockname()) as client:
            await asyncio.sleep(0)  # the loop sees the connection
            await asyncio.sleep(0)  # and accepts it, and begins to serve it in the next turn
            await (listeners.close(accept=False) if ends == "close" else listeners.remove(1))
            client.settimeout(DEADLINE)
            assert await asyncio.to_thread(client.recv, 1) == b"a"


async def test_a_process_without_descriptors_does_not_wait_for_what_it_cannot_accept(
    processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues_module, "ACCEPT_SECONDS", inf)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio says that it cannot accept
    with kept(await open_queues(config(host=("127.0.0.1",), port=0).listen, 1)) as queues:
        await processes[0].listeners.add(1, copy(queues[0]))
        with socket.create_connection(queues[0][0].getsockname()) as client:
            with no_descriptors():
                async with asyncio.timeout(DEADLINE):
                    await processes[0].listeners.close()
            # It waits for others, who have some.
            await processes[1].listeners.add(1, copy(queues[0]))
            client.settimeout(DEADLINE)
            assert await asyncio.to_thread(client.recv, 1) == b"b"


async def test_nobody_is_let_in_before_the_first_process_accepts() -> None:
    with (
        kept(await open_queues(config(host=("127.0.0.1",), port=0).listen, 2)) as queues,
        pytest.raises(ConnectionRefusedError),
    ):
        await asyncio.open_connection("127.0.0.1", queues[0][0].getsockname()[1])


async def test_what_is_given_is_used_whole_and_the_rest_is_made() -> None:
    to = config(host=("127.0.0.1",), port=0).listen
    with kept(await open_queues(to, 3)) as queues:
        to = replace(to, port=queues[0][0].getsockname()[1])
        for count, expected in ((2, 3), (3, 3), (4, 4)):
            given = GivenSockets(each for queue in queues for each in copy(queue))
            with kept(await open_queues(to, count, given)) as taken:
                assert len(taken) == expected
                given.close()


async def test_what_is_given_for_another_address_is_closed_and_a_port_of_others_is_still_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        (port,) = free_ports(1)
        elsewhere = socket.create_server(("127.0.0.1", port))
        given = GivenSockets([elsewhere])
        with pytest.raises(HostError, match="in use"):
            await open_queues(config(host=("127.0.0.1",), port=other.getsockname()[1]).listen, 1, given)
        given.close()
        assert elsewhere.fileno() == -1


async def test_a_unix_socket_is_one_queue_for_all(tmp_path: Path) -> None:
    path = str(tmp_path / "data.sock")
    to = config(host=(), port=0, unix=path)
    with kept(await open_queues(to.listen, 4)) as queues:
        assert len(queues) == 1
        for name in (b"a", b"b"):
            process = Process(name, to)
            await process.listeners.add(1, copy(queues[0]))
            reader, writer = await asyncio.open_unix_connection(path)
            async with asyncio.timeout(DEADLINE):
                assert await reader.read() == name
            writer.close()
            await process.listeners.close()


@pytest.mark.parametrize(
    ("taken_over", "predecessor", "stays"),
    [
        (False, None, False),
        (True, None, True),
        (False, SimpleNamespace(goes_on=True), True),
        (False, SimpleNamespace(goes_on=False), False),
    ],
)
def test_the_path_of_a_unix_socket_stays_while_another_program_listens_there(
    tmp_path: Path, predecessor: Any, *, taken_over: bool, stays: bool
) -> None:
    path, backend = tmp_path / "data.sock", cast("Any", SimpleNamespace(taken_over=taken_over))
    path.touch()
    remove_path(config(host=(), port=0, unix=str(path)).listen, backend, predecessor)
    assert path.exists() == stays
