"""``serve --take-over``: start beside the program that serves now, which drains once this one listens.

Both listen on the same ports for a while (SO_REUSEPORT). A listener that closes loses the connections that wait in its
queue. So the kernel first gives new connections to the new listeners alone, while the old ones go on accepting for
LINGER_SECONDS.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable
from ctypes import addressof, create_string_buffer
from itertools import chain
from typing import Self

import aiohttp
import structlog
from aiohttp import web

from fsproxy.config.problems import HostError
from fsproxy.config.schema import AdminConfig, Config
from fsproxy.fleet.listening import Listener, reachable
from fsproxy.proxy.passages import handed_on

LINGER_SECONDS = 2.0
"""The time for handshakes that began with the old listener, and for the first bytes on its connections. A connection
without any byte counts as idle and is closed, which its client would take for a refusal."""
FORGET_SECONDS = 10.0
"""Seconds beyond ``server.drain``: by then the old program is gone, and the numbers of its listeners are free."""
ASK_SECONDS = 15.0
"""A busy program with several workers needs some seconds for an answer."""
HOLD_SECONDS = 600.0
"""How long this program keeps its connection to the predecessor open. A start may take that long."""
_ATTACH = 51
"""Linux: SO_ATTACH_REUSEPORT_CBPF. Python does not name it."""
_DETACH = 68
"""SO_DETACH_REUSEPORT_BPF."""
_LOAD_RANDOM = (0x20, 0, 0, 0xFFFFF038)
_MODULO, _ADD, _RETURN = 0x94, 0x04, 0x16
log = structlog.get_logger("fsproxy")


class Predecessor:
    """The program that serves now and is to be taken over."""

    def __init__(self, http: aiohttp.ClientSession, instance: str, passage: str, listeners: int) -> None:
        self._http = http
        self._instance = instance
        self.passage = passage
        """Its name in ``CDN-Loop``, which this program uses from now on: both serve for a while."""
        self.listeners = listeners
        """How many processes listen on the data port."""

    @classmethod
    async def find(cls, config: Config) -> Self | None:
        """Return the program that answers on the admin port of ``config``; None when nothing does. Raise HostError."""
        if sys.platform != "linux":
            raise HostError("", "--take-over works on Linux alone")
        if config.listen.unix is not None:
            raise HostError("listen.unix", "cannot be shared, as --take-over needs", "host and port")
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
                starts = bool(body.get("waiting_for"))
                found = cls(http, str(body["instance"]), handed_on(body.get("passage")), int(body["listeners"]))
        except aiohttp.ClientConnectorError:
            await http.close()
            return None
        except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, KeyError):
            await http.close()
            fault = f"is answered by a program on {host} that cannot be taken over"
            raise HostError("admin.port", fault, value=config.port) from None
        if starts:
            await http.close()
            fault = f"is answered by a program on {host} that is starting itself: take it over once it is ready"
            raise HostError("admin.port", fault, value=config.port)
        return found

    async def hold(self) -> None:
        """Make sure that a connection to the program is open. Call this right before the admin port is opened.

        From then on the kernel gives new connections to this program, so the other one can only be reached over an
        older connection. The one that found it may have been closed during a start of minutes.
        """
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # if the program is gone, ``retire`` reports it
            async with self._http.get("/readyz") as response:
                await response.read()

    async def retire(self) -> None:
        """Have the program drain. The request names it, so that no other program drains in its place."""
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
        await self._http.close()


def steer_new_connections(listeners: Iterable[Listener], after: int, among: int) -> None:
    """Give new connections to the listeners with the numbers ``after`` to ``after + among - 1``.

    The listeners of a port are numbered from 0 in the order of their start. When no listener has these numbers any
    more, the kernel deals connections out evenly, as before.
    """
    program = (_LOAD_RANDOM, (_MODULO, 0, 0, among), (_ADD, 0, 0, after), (_RETURN, 0, 0, 0))
    code = create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    _set(listeners, _ATTACH, struct.pack("HL", len(program), addressof(code)))


def prefer_admin(runner: web.AppRunner) -> None:
    """Give new connections of the admin port to this program's listeners: one other has listened before."""
    servers = (getattr(site, "_server", None) for site in runner.sites)
    steer_new_connections((server for server in servers if server is not None), 1, 1)


def prefer_none(listeners: Iterable[Listener]) -> None:
    """Let the kernel deal new connections out evenly again."""
    _set(listeners, _DETACH, struct.pack("i", 0))


def _set(listeners: Iterable[Listener], option: int, value: bytes) -> None:
    for each in chain.from_iterable(listener.sockets for listener in listeners):
        # The event loop's socket objects refuse options; a socket object on a duplicate of the descriptor takes them.
        with socket.socket(fileno=os.dup(each.fileno())) as duplicate:
            try:
                duplicate.setsockopt(socket.SOL_SOCKET, option, value)
            except OSError as error:
                if option == _DETACH and error.errno == errno.ENOENT:
                    continue  # another worker was first: the listeners of a port share what steers them
                log.warning("the kernel does not let new connections be steered", errno=error.errno)
