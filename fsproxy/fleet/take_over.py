"""``serve --take-over``: a second start beside the first, which is drained once the second listens.

Both listen on the same ports for a while (SO_REUSEPORT). A listener that closes loses the connections that wait in
its queue; so the kernel is told first to give new ones to the newcomer alone, and the old one goes on accepting
for LINGER_SECONDS.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from ctypes import addressof, create_string_buffer
from typing import Any, Self

import aiohttp
import structlog
from aiohttp import web

from fsproxy.config.hosts import addresses
from fsproxy.config.schema import AdminConfig, Config
from fsproxy.fleet.listening import StartError, in_url
from fsproxy.proxy.passages import handed_on

LINGER_SECONDS = 2.0
"""For handshakes that were begun with the old listener, and for the first bytes on what it has accepted: a connection
on which nothing came yet counts as idle and is closed, which its client would see as a refusal."""
FORGET_SECONDS = 10.0
"""Over ``server.drain``: the old one is gone for certain, and its numbers with it."""
ASK_SECONDS = 15.0
"""A busy program with several workers needs some seconds for an answer."""
HOLD_SECONDS = 600.0
"""How long the connection to the predecessor is kept from our side. A start may take that long."""
_ATTACH = 51
"""Linux: SO_ATTACH_REUSEPORT_CBPF. Python does not name it."""
_DETACH = 68
"""SO_DETACH_REUSEPORT_BPF."""
_LOAD_RANDOM = (0x20, 0, 0, 0xFFFFF038)
_MODULO, _ADD, _RETURN = 0x94, 0x04, 0x16
log = structlog.get_logger("fsproxy")


class Predecessor:
    """The program that serves now."""

    def __init__(self, http: aiohttp.ClientSession, instance: str, passage: str, listeners: int) -> None:
        self._http = http
        self._instance = instance
        self.passage = passage
        """Its name in ``CDN-Loop``, which is ours from now on: both serve for a while."""
        self.listeners = listeners
        """How many processes listen on the data port."""

    @classmethod
    async def find(cls, whole: Config) -> Self | None:
        """Who answers on the admin port; None: nobody. Raises StartError when it is something else."""
        if sys.platform != "linux":
            raise StartError("--take-over works on Linux alone")
        if whole.listen.unix is not None:
            raise StartError("--take-over needs a TCP port: listen.unix cannot be shared")
        for host in _reachable(whole.admin.host):
            found = await cls._find_at(host, whole.admin)
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
                return cls(http, *_identity(body))
        except aiohttp.ClientConnectorError:
            await http.close()
            return None
        except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, KeyError):
            await http.close()
            raise StartError(f"admin.port {config.port} on {host}: what answers there cannot be taken over") from None

    async def hold(self) -> None:
        """Have a connection to it: call this right before the admin port is opened.

        From then on the kernel gives new connections to the newcomer, so the predecessor can only be reached over a
        connection that was made before. The one that found it may have been closed during a start of minutes.
        """
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # if it is gone, ``retire`` says so
            async with self._http.get("/readyz") as response:
                await response.read()

    async def retire(self) -> None:
        """Have it drain. It is named, so that no other program that listens there by now takes it for itself."""
        try:
            async with self._http.post("/drain", json={"instance": self._instance}) as response:
                if response.status != 200:
                    log.error("the program that served before did not agree to drain", status=response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.error("the program that served before could not be told to drain", error=error)  # noqa: TRY400
        finally:
            await self._http.close()

    async def close(self) -> None:
        """Let it go on."""
        await self._http.close()


def steer_new_connections(listeners: Iterable[asyncio.Server], after: int, among: int) -> None:
    """New connections go to the listeners number ``after`` and the ``among`` - 1 next, in the order of their start.

    Where there are none of these numbers (any more), the kernel deals out as before.
    """
    for listener in listeners:
        for each in listener.sockets:
            _prefer(each, after, among)


def prefer_admin(runner: web.AppRunner) -> None:
    """The same for an admin port: one took its turn before."""
    servers = (getattr(site, "_server", None) for site in runner.sites)
    steer_new_connections((server for server in servers if server is not None), 1, 1)


def prefer_none(listeners: Iterable[asyncio.Server]) -> None:
    """The kernel deals out evenly again."""
    for listener in listeners:
        for each in listener.sockets:
            _set(each, _DETACH, struct.pack("i", 0))


def _prefer(listener: Any, after: int, among: int) -> None:
    program = (_LOAD_RANDOM, (_MODULO, 0, 0, among), (_ADD, 0, 0, after), (_RETURN, 0, 0, 0))
    code = create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    _set(listener, _ATTACH, struct.pack("HL", len(program), addressof(code)))


def _set(listener: Any, option: int, value: bytes) -> None:
    # The event loop's sockets cannot be set; a duplicate of the descriptor can.
    with socket.socket(fileno=os.dup(listener.fileno())) as duplicate:
        try:
            duplicate.setsockopt(socket.SOL_SOCKET, option, value)
        except OSError as error:
            log.warning("the kernel cannot be told who accepts", errno=error.errno)


def _identity(body: dict[str, Any]) -> tuple[str, str, int]:
    return str(body["instance"]), handed_on(body.get("passage")), int(body["listeners"])


def _reachable(hosts: Sequence[str]) -> list[str]:
    """Return where a program that listens there is reached from this machine, as in a URL."""
    return [in_url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(each, each)) for each in addresses(hosts)]
