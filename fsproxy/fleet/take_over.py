"""``serve --take-over``: start in place of the program that serves now, which drains once this one listens.

The new program is given the listening sockets of the old one: those of the data port, with the connections that wait
in them, and those of the admin port. Both accept from them for a moment, and no socket is ever closed between.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

import aiohttp
import structlog

from fsproxy.config.problems import HostError
from fsproxy.config.schema import AdminConfig, Config
from fsproxy.fleet.binding import GivenSockets
from fsproxy.fleet.listening import reachable
from fsproxy.proxy.passages import handed_on

LINGER_SECONDS = 2.0
"""The time for the first bytes on connections that the old program has accepted. A connection without any byte counts
as idle and is closed, which its client would take for a refusal."""
ASK_SECONDS = 15.0
"""A busy program with several workers needs some seconds for an answer."""
HOLD_SECONDS = 600.0
"""How long this program keeps its connection to the predecessor open. A start may take that long."""
_PART = 200
"""Descriptors of one message: the kernel takes at most 253."""
_PEER = struct.Struct("3i")
"""SO_PEERCRED: process, user and group."""
log = structlog.get_logger("fsproxy")


class Predecessor:
    """The program that serves now and is to be taken over."""

    def __init__(
        self, http: aiohttp.ClientSession, instance: str, passage: str, given: GivenSockets, claim: socket.socket
    ) -> None:
        """``claim``: as long as it is open, the program gives its sockets to no other one."""
        self._http = http
        self._claim = claim
        self._instance = instance
        self.passage = passage
        """Its name in ``CDN-Loop``, which this program uses from now on: both serve for a while."""
        self.given = given
        """Its listening sockets."""
        self.goes_on = True
        """It has not been asked to drain."""

    @classmethod
    async def find(cls, config: Config) -> Self | None:
        """Return the program that answers on the admin port of ``config``; None when nothing does. Raise HostError."""
        if sys.platform != "linux":
            raise HostError("", "--take-over works on Linux alone")
        for host in reachable(config.admin.host):
            found = await cls._find_at(host, config.admin)
            if found is not None:
                return found
        return None

    @classmethod
    async def _find_at(cls, host: str, config: AdminConfig) -> Self | None:
        headers = {"Authorization": f"Bearer {config.token}"} if config.token is not None else {}
        http = aiohttp.ClientSession(
            f"http://{host}:{config.port}",
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=ASK_SECONDS),
            connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=HOLD_SECONDS),
        )
        try:
            async with http.get("/readyz") as response:
                body = await response.json(content_type=None)
                instance, passage = str(body["instance"]), handed_on(body.get("passage"))
            fault = "is starting itself: take it over once it is ready"
            if not body.get("waiting_for"):
                claim, given = await asyncio.to_thread(_received, instance)
                if given:
                    return cls(http, instance, passage, GivenSockets(given), claim)
                claim.close()
                fault = "another start is taking over: wait for that one, or end it"
        except aiohttp.ClientConnectorError:
            await http.close()
            return None
        except (aiohttp.ClientError, OSError, ValueError, TypeError, KeyError):
            await http.close()
            fault = f"is answered by a program on {host} that cannot be taken over"
            raise HostError("admin.port", fault, value=config.port) from None
        await http.close()
        raise HostError("admin.port", f"is answered by a program on {host} that {fault}", value=config.port)

    async def hold(self) -> None:
        """Make sure that a connection to the program is open. Call this right before the admin port is opened.

        From then on both accept on the admin port, so the other one can only be reached over an older connection. The
        one that found it may have been closed during a start of minutes.
        """
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # if the program is gone, ``retire`` reports it
            async with self._http.get("/readyz") as response:
                await response.read()

    async def retire(self) -> None:
        """Have the program drain. The request names it, so that no other program drains in its place."""
        self.given.close()
        self.goes_on = False
        try:
            async with self._http.post("/drain", json={"instance": self._instance}) as response:
                if response.status != 200:
                    log.error("the program that served before did not agree to drain", status=response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.error("the program that served before could not be asked to drain", error=error)  # noqa: TRY400
        finally:
            await self._http.close()

    async def close(self) -> None:
        """Let the program go on, unless ``retire`` was called."""
        self.given.close()
        self._claim.close()
        await self._http.close()


@contextmanager
def handing_over(instance: str, sockets: Iterable[socket.socket]) -> Iterator[None]:
    """Give copies of these listening sockets to a program of this user that asks ``instance`` for them.

    It asks on an abstract unix socket, which belongs to the network namespace, as ports do. No other program is given
    them as long as it keeps its connection open.
    """
    if sys.platform != "linux":
        yield
        return
    given, loop, claims = list(sockets), asyncio.get_running_loop(), list[socket.socket]()

    def give() -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:  # the other program has ended meanwhile
            to = stack.enter_context(door.accept()[0])
            _, user, _ = _PEER.unpack(to.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
            if user != os.geteuid():
                return
            if claims:
                to.send(b"!")
                return
            fds = [each.fileno() for each in given if each.fileno() >= 0]  # some are closed at the end
            for start in range(0, len(fds), _PART):
                socket.send_fds(to, [b"!"], fds[start : start + _PART])
            to.shutdown(socket.SHUT_WR)
            stack.pop_all()
            claims.append(to)
            loop.add_reader(to.fileno(), end_claim)

    def end_claim() -> None:
        for each in claims:
            loop.remove_reader(each.fileno())
            each.close()
        claims.clear()

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.setblocking(False)
        door.bind(_door(instance))
        door.listen()
        loop.add_reader(door.fileno(), give)
        try:
            yield
        finally:
            loop.remove_reader(door.fileno())
            end_claim()


def _door(instance: str) -> str:
    return f"\0fsproxy-{instance}"


def _received(instance: str) -> tuple[socket.socket, list[socket.socket]]:
    """Return a claim on a program, and copies of its listening sockets; none if another program has a claim.

    Raise OSError when the program does not let itself be taken over. This blocks.
    """
    found: list[int] = []
    said = b""
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        door.settimeout(ASK_SECONDS)
        door.connect(_door(instance))
        while True:
            message, fds, _, _ = socket.recv_fds(door, 1, _PART, socket.MSG_CMSG_CLOEXEC)
            found += fds
            said += message
            if not message:
                break
        if not said:
            raise PermissionError
        stack.pop_all()
    return door, [socket.socket(fileno=each) for each in found]
