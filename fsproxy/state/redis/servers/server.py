"""How connections to a server are opened: each finds out anew where the server is, and each step has its own limit.

redis-py frames what goes over a connection. Its own way of connecting has one limit for all round trips together, takes
the first address of a name alone, and needs rights that the limits do not need.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any
from weakref import WeakSet

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import InvalidResponse, ReadOnlyError, RedisError, ResponseError

from fsproxy.config.hosts import Node, is_address
from fsproxy.state.redis.servers.ending import end
from fsproxy.state.redis.servers.login import Login
from fsproxy.state.redis.servers.reasons import UnusableError, answers_no_handshake
from fsproxy.state.redis.servers.refusals import NO_FIRST_ANSWER, NO_HANDSHAKE, word_of

PROTOCOL = 2
RESOLVE_SECONDS = 5.0
"""Time to look a name up. It may take several round trips, of a resolver and not of the store."""
LOOK_UP_SECONDS, LOOK_UPS = 15.0, 2
"""A name is looked up so often while a connection is open. When the address is missing twice in a row, it has moved."""


class Server:
    """One server that has an address. ``RedisLink`` knows no more of where it is; subclasses find it in other ways."""

    def __init__(self, node: Node, login: Login, tls: ssl.SSLContext | None = None, path: str = "") -> None:
        """``path``: of a unix socket, in place of host and port."""
        self.node = node
        """Where it was found last. It may be a name."""
        self.path = path
        self.login = login
        self.tls = tls
        self.moved = asyncio.Event()
        """Set when the link is to be opened anew, as the server is another one."""
        self.linked: Node | None = None
        """Where the link's newest connection leads, or would have led."""
        self.present: Any = None
        """The address that the process's link is connected to, which its other connections use too; None: none."""
        self._watching: asyncio.Task[None] | None = None
        self.unwatched = ""
        """Why it would not be noticed if the server moved, as ``reason_of`` says it; "": it would be."""
        self.made: WeakSet[ServerConnection] = WeakSet()
        """This process's connections."""
        self._looked_up: dict[Node, asyncio.Future[list[Any]]] = {}
        self.skipped = 0
        """How many of the name's addresses are tried last, as what was found there was not the right one."""

    @property
    def place(self) -> str:
        """Host and port, or the path of a socket, for people."""
        return self.path or str(self.node)

    @property
    def open(self) -> int:
        """How many connections of this process are open."""
        return sum(each.is_connected for each in self.made)

    async def locate(self, limit: float) -> Node:  # noqa: ARG002
        """Return where the server is now. ``limit``: seconds for each round trip. Raises UnusableError."""
        return self.node

    def connection(self, limit: float) -> ServerConnection:
        """Return the link's next connection, which is not open yet. ``limit``: seconds for each round trip."""
        return ServerConnection(server=self, limit=limit, protocol=PROTOCOL)

    def pool(self, limit: float, most: int, **options: Any) -> BlockingConnectionPool:
        """Return a pool of at most so many connections, to where the link is connected, or else to the server."""
        return BlockingConnectionPool(
            max_connections=most,
            timeout=limit,
            connection_class=PooledConnection,
            server=self,
            limit=limit,
            protocol=PROTOCOL,
            **options,
        )

    def start(self, limit: float) -> None:
        """Begin to watch whether the server moves. ``limit``: seconds for each round trip."""
        self._watching = asyncio.create_task(self._watch(limit))

    async def close(self) -> None:
        """Watch no more."""
        await end(self._watching)

    async def _watch(self, limit: float) -> None:  # noqa: ARG002
        """Look the name up now and then, and follow it to another address while the old server lives on."""
        absent = 0
        while not self.path and not is_address(self.node.host):
            await asyncio.sleep(LOOK_UP_SECONDS)
            try:
                found = [address[:2] for _, address in await self.look_up(self.node)]
            except (OSError, UnicodeError):
                continue
            # A name of many servers may give a few of them at a time.
            absent = absent + 1 if self.present is not None and self.present[:2] not in found else 0
            if absent == LOOK_UPS:
                self.moved.set()

    async def look_up(self, node: Node) -> list[tuple[int, Any]]:
        """Return the family and address of each place that a name stands for. Raises OSError.

        One look-up of a name goes on at a time. It goes on when it is given up, in one of four threads for all names.
        """
        if (looked_up := self._looked_up.get(node)) is None:
            looking = asyncio.get_running_loop().getaddrinfo(*node, type=socket.SOCK_STREAM)
            looked_up = self._looked_up[node] = asyncio.ensure_future(looking)
            looked_up.add_done_callback(lambda _: self._looked_up.pop(node))
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.shield(looked_up)
        return [(family, address) for family, _, _, _, address in found]


class ServerConnection(AbstractConnection):
    """A connection to a server. It is open when the server has said that it is of the right kind."""

    def __init__(self, *, server: Server, limit: float, **options: Any) -> None:
        super().__init__(socket_timeout=limit, retry=Retry(NoBackoff(), 0), **options)
        server.made.add(self)
        self.server = server
        self.limit = limit
        self.address: Any = None
        """The other end's, as sockets give it; the path of a unix socket."""

    def repr_pieces(self) -> list[tuple[str, str]]:
        """Return what redis-py shows."""
        return [("server", self.server.place)]

    def _host_error(self) -> str:
        return self.server.place

    async def _connect(self) -> None:
        server = self.server
        if server.path:
            async with asyncio.timeout(self.limit):
                self._reader, self._writer = await asyncio.open_unix_connection(server.path)
            self.address = server.path
            return
        sock = await self._first_of(await self._addresses())
        try:
            self.address = sock.getpeername()
            # What is linked: Sentinels may name another server meanwhile.
            host = (server.linked or server.node).host
            # A TLS handshake takes up to two round trips.
            async with asyncio.timeout(2 * self.limit):
                self._reader, self._writer = await asyncio.open_connection(
                    sock=sock, ssl=server.tls, server_hostname=host if server.tls is not None else None
                )
        except BaseException as error:
            sock.close()
            if server.tls is not None and answers_no_handshake(error):
                raise UnusableError(NO_HANDSHAKE) from error
            raise

    async def _addresses(self) -> list[tuple[int, Any]]:
        """Return the family and address of each place where the server may be."""
        server = self.server
        server.linked = await server.locate(self.limit)
        # Whoever found out before that it has moved knew no more than this.
        server.moved.clear()
        found = await server.look_up(server.linked)
        first = server.skipped % len(found)
        return found[first:] + found[:first]

    async def _first_of(self, places: list[tuple[int, Any]]) -> socket.socket:
        """Return a socket that is connected to the first of the addresses that accepts it."""
        failure: Exception = OSError("the name has no address")
        for family, address in places:
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                async with asyncio.timeout(self.limit):
                    await asyncio.get_running_loop().sock_connect(sock, address)
            except BaseException as error:
                sock.close()
                if not isinstance(error, OSError):  # a TimeoutError is one
                    raise
                failure = error
            else:
                return sock
        raise failure

    async def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - redis-py's
        """Log in, and make sure that the server is of the right kind. Raises redis-py's errors."""
        self._parser.on_connect(self)  # type: ignore[no-untyped-call]
        commands = self.server.login.commands()
        try:
            await self.send_packed_command(self.pack_commands(commands), check_health=False)
            for _ in commands[:-1]:
                await self.read_response()
            reply = await self._read_kind()
        except RedisError as error:
            # redis-py's errors about passwords are of a class below this one.
            if self.server.tls is None and type(error) in {LostError, InvalidResponse} and not word_of(error):
                raise UnusableError(NO_FIRST_ANSWER) from error
            raise
        facts = dict(zip(reply[::2], reply[1::2], strict=False)) if isinstance(reply, list) else {}
        try:
            self.server.login.verify(facts.get(b"mode", b"").decode(), facts.get(b"role", b"").decode())
        except RedisError:
            self.server.skipped += 1
            raise

    async def _read_kind(self) -> Any:
        """Return the answer to HELLO. None: of what kind the server is shows in what it refuses."""
        try:
            return await self.read_response(disable_decoding=True)
        except ResponseError as error:
            # A server that knows no HELLO, or a proxy in front of one.
            if word_of(error) in {"NOAUTH", "LOADING"}:
                raise
            return None


class PooledConnection(ServerConnection):
    """A connection beside the link's, to where the link is connected. It is opened anew when the link is elsewhere."""

    async def connect(self) -> None:
        """Open it, if it is not."""
        present = self.server.present
        if self.is_connected and present not in (None, self.address):
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Return an answer. A server that has become a replica is left."""
        try:
            return await super().read_response(*args, **options)
        except ReadOnlyError:
            await self.disconnect(nowait=True)
            raise

    async def _addresses(self) -> list[tuple[int, Any]]:
        present = self.server.present
        if present is None:
            return await self.server.look_up(await self.server.locate(self.limit))
        return [(socket.AF_INET6 if len(present) == 4 else socket.AF_INET, present)]
