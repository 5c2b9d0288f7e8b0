"""Open the listeners of the data port and of the admin port. A port that is in use is reported as such."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiohttp import web

from fsproxy.config.schema import AdminConfig, Config, ListenConfig
from fsproxy.fleet.binding import bind

BACKLOG = 4096
ACCEPT_SECONDS = 2.0
"""The time to accept what waits in the backlog before a listener is closed. A full backlog takes less than a second."""
CAN_SHARE = sys.platform == "linux"
"""Other systems have no SO_REUSEPORT, or one that does not deal connections out."""


class StartError(Exception):
    """A reason not to start that no configuration file shows: a port in use, a missing C parser."""


async def listen(
    server: Callable[[], asyncio.BaseProtocol], config: Config, *, beside_others: bool = False
) -> list[asyncio.Server]:
    """Open the data listeners, one for each address. Raise StartError.

    Other processes of fsproxy can listen on the same TCP port, among which the kernel deals connections out
    (SO_REUSEPORT). ``beside_others``: some do so already.
    """
    to = config.listen
    options: dict[str, Any] = {"backlog": BACKLOG}
    if to.tls is not None:
        options |= {"ssl": _server_tls(to), "ssl_handshake_timeout": config.server.header_timeout}
    if to.unix is None and CAN_SHARE and not beside_others:
        await require_free(to)
    try:
        if to.unix is not None:
            _remove_stale_socket(to.unix)
            return [await asyncio.get_running_loop().create_unix_server(server, to.unix, **options)]
        return await _listen_on(await bind(to.host, to.port, shared=CAN_SHARE), server, options)
    except OSError as error:
        raise StartError(f"listen {address(to)}: {error.strerror}") from None


async def stop_listening(listeners: Sequence[asyncio.Server]) -> None:
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
    sockets: list[socket.socket], server: Callable[[], asyncio.BaseProtocol], options: dict[str, Any]
) -> list[asyncio.Server]:
    with ExitStack() as stack:
        for each in sockets:
            stack.callback(each.close)
        listeners = []
        for each in sockets:
            listener = await asyncio.get_running_loop().create_server(server, sock=each, **options)
            stack.callback(listener.close)
            listeners.append(listener)
        stack.pop_all()
    return listeners


async def require_free(to: ListenConfig) -> None:
    """Bind the TCP port for a moment without SO_REUSEPORT, which would hide another program. Raise StartError."""
    try:
        await _bind_alone(to.host, to.port)
    except OSError as error:
        raise StartError(f"listen {address(to)}: {error.strerror}") from None


async def require_free_ports(config: Config, keys: tuple[str, str]) -> None:
    """Raise StartError when another program has the data port or the admin port.

    ``keys``: what sets the two ports, to name it in the error.
    """
    listen_key, admin_key = keys
    ports = [(admin_key, config.admin.host, config.admin.port)]
    if config.listen.unix is None:
        ports.insert(0, (listen_key, config.listen.host, config.listen.port))
    for key, hosts, port in ports:
        try:
            await _bind_alone(hosts, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StartError(f"port {port} is in use by another program. {key} sets another port.") from None


async def _bind_alone(hosts: Sequence[str], port: int) -> None:
    for each in await bind(hosts, port, shared=False):
        each.close()


async def start_admin(app: web.Application, config: AdminConfig, *, beside_others: bool = False) -> web.AppRunner:
    """Open the admin port. Raise StartError. ``beside_others``: as for ``listen``."""

    async def open_sites(runner: web.AppRunner) -> None:
        if CAN_SHARE and not beside_others:
            await _bind_alone(config.host, config.port)
        for each in await bind(config.host, config.port, shared=CAN_SHARE):
            await web.SockSite(runner, each).start()

    return await _started(app, open_sites, f"admin.port {config.port} on {', '.join(config.host)}")


async def start_private_admin(app: web.Application, path: str) -> web.AppRunner:
    """Open a worker's admin port on a unix socket, for its supervisor alone. Raise StartError."""
    return await _started(app, lambda runner: web.UnixSite(runner, path).start(), "a socket in the temporary folder")


async def _started(
    app: web.Application, open_sites: Callable[[web.AppRunner], Awaitable[None]], place: str
) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await open_sites(runner)
    except OSError as error:
        await runner.cleanup()
        raise StartError(f"{place}: {error.strerror or type(error).__name__}") from None
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


def _server_tls(listen: ListenConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if listen.tls is not None:
        try:
            context.load_cert_chain(listen.tls.cert, listen.tls.key)
        except (OSError, ssl.SSLError) as error:
            raise StartError(f"listen.tls: certificate or key cannot be used: {type(error).__name__}") from None
    return context


def _remove_stale_socket(path: str) -> None:
    """Remove a socket file that a crash has left behind. One that some process listens on is kept."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            Path(path).unlink(missing_ok=True)
