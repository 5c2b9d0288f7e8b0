"""Open the admin port, and report a port that is in use or cannot be listened on as such."""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from aiohttp import web

from fsproxy.config.files import folder_fault
from fsproxy.config.hosts import addresses
from fsproxy.config.problems import HostError
from fsproxy.config.schema import AdminConfig, ListenConfig
from fsproxy.fleet.binding import NOT_HERE, GivenSockets, bind

CAN_SHARE = sys.platform == "linux"
"""Other systems have no SO_REUSEPORT, or one that does not deal connections out."""
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
IN_USE = "one that no program listens on"
"""What is allowed in place of a port or path in use."""
_TEMPORARY = "another folder in the variable TMPDIR, or 1"
_HERE = "an address of this machine, or a name that has one"


async def require_free(to: ListenConfig | AdminConfig) -> None:
    """Raise HostError if this program cannot listen there. Nothing is left open, made or removed.

    A TCP port is bound for a moment without SO_REUSEPORT, which would hide another program.
    """
    if isinstance(to, ListenConfig) and to.unix is not None:
        _require_free_path(to.unix)
        return
    with port_faults(to):
        for each in await bind(to.host, to.port, shared=False):
            each.close()


@contextmanager
def port_faults(to: ListenConfig | AdminConfig) -> Iterator[None]:
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


async def bind_admin(config: AdminConfig, given: GivenSockets | None = None) -> list[socket.socket]:
    """Bind the admin port. Raise HostError. ``given``: sockets of the program that is taken over."""
    return await bind_shared(config, given or GivenSockets())


async def bind_shared(
    to: ListenConfig | AdminConfig, given: GivenSockets, port: int | None = None
) -> list[socket.socket]:
    """Bind a port that other processes of fsproxy may share, and no other program. Raise HostError.

    ``given``: sockets that are used in place of new ones. ``port``: in place of the configured one, it is ours already.
    """
    if CAN_SHARE and port is None and not given.has_port(to.port):
        await require_free(to)
    with port_faults(to):
        return await bind(to.host, to.port if port is None else port, shared=CAN_SHARE, given=given)


async def start_admin(app: web.Application, config: AdminConfig, sockets: Sequence[socket.socket]) -> web.AppRunner:
    """Open the admin port on its sockets. Raise HostError."""

    async def open_sites(runner: web.AppRunner) -> None:
        with port_faults(config):
            for each in sockets:
                await web.SockSite(runner, each).start()

    return await _started(app, open_sites)


async def stop_accepting(runner: web.AppRunner) -> None:
    """Accept no more on an admin port. Connections stay."""
    for site in tuple(runner.sites):
        await site.stop()


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
