"""Open the listeners of the data port and of the admin port. A port that is in use is reported as such."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from fsproxy.config.files import folder_fault
from fsproxy.config.hosts import addresses
from fsproxy.config.problems import HostError
from fsproxy.config.schema import AdminConfig, Config, ListenConfig
from fsproxy.config.tls import server_context
from fsproxy.fleet.binding import NOT_HERE, bind
from fsproxy.http.connection import ClientConnection
from fsproxy.http.header_listener import HeaderListener
from fsproxy.http.server import DataServer

BACKLOG = 4096
ACCEPT_SECONDS = 2.0
"""The time to accept what waits in the backlog before a listener is closed. A full backlog takes less than a second."""
CAN_SHARE = sys.platform == "linux"
"""Other systems have no SO_REUSEPORT, or one that does not deal connections out."""
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
IN_USE = "one that no program listens on"
"""What is allowed in place of a port or path in use."""
_TEMPORARY = "another folder in the variable TMPDIR, or 1"
_HERE = "an address of this machine, or a name that has one"


class Listener(Protocol):
    """What accepts connections from one socket."""

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The socket."""
        ...

    def close(self) -> None:
        """Accept no more."""
        ...


async def listen(server: DataServer, config: Config, *, beside_others: bool = False) -> list[Listener]:
    """Open the data listeners, one for each address. Raise HostError.

    Other processes of fsproxy can listen on the same TCP port, among which the kernel deals connections out
    (SO_REUSEPORT). ``beside_others``: some do so already.
    """
    to = config.listen
    options: dict[str, Any] = {"backlog": BACKLOG}
    if to.tls is not None:
        options |= {"ssl": server_context(to.tls), "ssl_handshake_timeout": config.server.header_timeout}
    if to.unix is not None or (CAN_SHARE and not beside_others):
        await require_free(to)
    with _port_faults(to):
        if to.unix is not None:
            with suppress(FileNotFoundError):
                os.unlink(to.unix)  # noqa: PTH108 - a crash has left it behind, or it would not be free
            if not to.proxy_protocol:
                connection = partial(ClientConnection, server)
                return [await asyncio.get_running_loop().create_unix_server(connection, to.unix, **options)]
            sockets = [_bound_to(to.unix)]
        else:
            sockets = await bind(to.host, to.port, shared=CAN_SHARE)
        return await _listen_on(sockets, server, options, headers=to.proxy_protocol)


async def stop_listening(listeners: Sequence[Listener]) -> None:
    """Close the data listeners once every connection that the kernel has completed is accepted.

    Closing a listener resets connections that wait in its backlog. Under a load that never lets up, it is closed after
    ACCEPT_SECONDS all the same.
    """
    waiting = select.poll()
    for listener in listeners:
        for each in listener.sockets:
            waiting.register(each.fileno(), select.POLLIN)
    loop = asyncio.get_running_loop()
    until = loop.time() + ACCEPT_SECONDS
    # The loop accepts one connection of each listener in a turn.
    while waiting.poll(0) and loop.time() < until:  # noqa: ASYNC110 - asyncio has no event for it
        await asyncio.sleep(0)
    for listener in listeners:
        listener.close()


async def _listen_on(
    sockets: list[socket.socket], server: DataServer, options: dict[str, Any], *, headers: bool
) -> list[Listener]:
    with ExitStack() as stack:
        for each in sockets:
            stack.callback(each.close)
        listeners: list[Listener] = []
        for each in sockets:
            listener: Listener
            if headers:
                listener = HeaderListener(each, server, **options)
            else:
                connection = partial(ClientConnection, server)
                listener = await asyncio.get_running_loop().create_server(connection, sock=each, **options)
            stack.callback(listener.close)
            listeners.append(listener)
        stack.pop_all()
    return listeners


def _bound_to(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    made.bind(path)
    return made


async def require_free(to: ListenConfig | AdminConfig) -> None:
    """Raise HostError if this program cannot listen there. Nothing is left open, made or removed.

    A TCP port is bound for a moment without SO_REUSEPORT, which would hide another program.
    """
    if isinstance(to, ListenConfig) and to.unix is not None:
        _require_free_path(to.unix)
        return
    with _port_faults(to):
        for each in await bind(to.host, to.port, shared=False):
            each.close()


@contextmanager
def _port_faults(to: ListenConfig | AdminConfig) -> Iterator[None]:
    """Raise a HostError that names the port, or the host where that is at fault, for an OSError."""
    section = "listen" if isinstance(to, ListenConfig) else "admin"
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise HostError(f"{section}.port", "is in use by another program", IN_USE, value=to.port) from None
        reason = error.strerror or type(error).__name__
        if error.errno in NOT_HERE or (error.errno or 0) < 0:  # of names that have no address
            value = ", ".join(to.host)
            raise HostError(f"{section}.host", f"cannot be listened on: {reason}", _HERE, value=value) from None
        allowed = "a port from 1024 on, as this user may not listen below" if error.errno == errno.EACCES else ""
        raise HostError(f"{section}.port", f"cannot be listened on: {reason}", allowed, value=to.port) from None


async def start_admin(app: web.Application, config: AdminConfig, *, beside_others: bool = False) -> web.AppRunner:
    """Open the admin port. Raise HostError. ``beside_others``: as for ``listen``."""

    async def open_sites(runner: web.AppRunner) -> None:
        if CAN_SHARE and not beside_others:
            await require_free(config)
        with _port_faults(config):
            for each in await bind(config.host, config.port, shared=CAN_SHARE):
                await web.SockSite(runner, each).start()

    return await _started(app, open_sites)


async def start_private_admin(app: web.Application, path: str) -> web.AppRunner:
    """Open a worker's admin port on a unix socket, for its supervisor alone. Raise HostError."""
    try:
        return await _started(app, lambda runner: web.UnixSite(runner, path).start())
    except OSError as error:
        raise HostError("", f"no socket can be made in the temporary folder: {error.strerror or error}") from None


def require_worker_sockets(workers: int) -> None:
    """Raise HostError if several workers cannot share a port, or have no admin sockets in the temporary folder."""
    if not CAN_SHARE:
        raise HostError("workers", "needs Linux, on which processes can share a port", "1")
    try:
        path = f"{tempfile.gettempdir()}/fsproxy-12345678/{workers}.sock"
    except OSError as error:
        raise HostError("workers", f"needs a temporary folder: {error.strerror}", _TEMPORARY) from None
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise HostError("workers", "needs a temporary folder with a shorter path, for sockets", _TEMPORARY)


async def _started(app: web.Application, open_sites: Callable[[web.AppRunner], Awaitable[None]]) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await open_sites(runner)
    except (OSError, HostError):
        await runner.cleanup()
        raise
    return runner


def address(listen: ListenConfig) -> str:
    """Return where the data port is, for people."""
    if listen.unix is not None:
        return f"unix:{listen.unix}"
    scheme = "https" if listen.tls else "http"
    return ", ".join(f"{scheme}://{in_url(host)}:{listen.port}" for host in listen.host)


def in_url(host: str) -> str:
    """Return the host in the form that a URL needs."""
    return f"[{host}]" if ":" in host else host


def reachable(hosts: Sequence[str]) -> list[str]:
    """Return the hosts, as in a URL, at which this machine reaches a program that listens on ``hosts``."""
    return [in_url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(each, each)) for each in addresses(hosts)]


def _require_free_path(path: str) -> None:
    """Raise HostError if no socket can be made at a path. One that a crash has left behind is no reason."""
    fault, allowed = folder_fault(path), "a path in a folder that is there"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        fault, allowed = "is too long for a socket", f"at most {LONGEST_SOCKET_PATH} bytes"
    elif Path(path).is_socket():
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(path)
            fault, allowed = "is in use", IN_USE
    elif Path(path).exists():
        fault, allowed = "is there already, and is no socket", "a path at which nothing is"
    if fault is not None:
        raise HostError("listen.unix", fault, allowed)
