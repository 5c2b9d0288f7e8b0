"""The data plane on the test's own event loop: everything but the process around it."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fsproxy.config.loader import load_text
from fsproxy.fleet.queues import Listener
from fsproxy.http.connection import ClientConnection
from fsproxy.http.header_listener import HeaderListener
from fsproxy.http.server import DataServer
from fsproxy.http.sweeper import Sweeper
from fsproxy.proxy.data_plane import DataPlane
from fsproxy.proxy.generation import Generation
from fsproxy.telemetry.metrics import Metrics
from support.audit_lines import kept
from support.raw_http import eventually


class _Complaints(logging.Handler):
    """What aiohttp and asyncio complain about: never anything in a good run."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # That is an upstream of the test's, whose client went away: a data plane has its own words for it.
        if not record.getMessage().startswith("Error handling request"):
            self.records.append(f"{record.name}: {record.getMessage()}: {record.exc_info}")


@dataclass
class InProcessProxy:
    """A data plane that listens on a port of 127.0.0.1."""

    port: int
    data_plane: DataPlane
    server: DataServer
    metrics: Metrics
    base: Path
    complaints: list[str] = field(default_factory=list)
    """Unhandled errors, and warnings of aiohttp and asyncio; leaving the block asserts that there are none."""

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def reload(self, config: Mapping[str, Any]) -> None:
        """Go on with this configuration, as a reload does."""
        self.data_plane.apply(generation(config, self.base, self.data_plane.generation.number + 1))

    async def idle(self) -> None:
        """Waits until no request is under way."""
        await eventually(lambda: self.metrics.in_flight == 0)

    def own_failures(self) -> dict[tuple[str], int]:
        """Faults of ours that were survived; leaving the block asserts that there are none."""
        return dict(self.metrics.own_failures)


def generation(config: Mapping[str, Any], base: Path, number: int) -> Generation:
    """What a file with this configuration makes."""
    whole = {"state": {"persist": None}, "audit": {"to": str(base / "audit.log")}, **config}
    return Generation.compile(load_text(json.dumps(whole), "fsproxy.yaml", {}, base), number)  # JSON is YAML


def bound() -> socket.socket:
    """A socket at a free port of 127.0.0.1."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return sock


@asynccontextmanager
async def in_process(config: Mapping[str, Any], **tls: Any) -> AsyncIterator[InProcessProxy]:
    """The data plane of this configuration. Leaving the block asserts that nothing went wrong within it.

    ``tls``: options of the listener.
    """
    loop = asyncio.get_running_loop()
    complaints = _Complaints()
    loggers = [logging.getLogger(name) for name in ("aiohttp.server", "aiohttp.web", "asyncio")]
    handled = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.records.append(f"loop: {context}"))
    for logger in loggers:
        logger.addHandler(complaints)
    with TemporaryDirectory(prefix="fsproxy-test-") as name, kept(Path(name), config, "audit.log"):
        base = Path(name)
        metrics, sweeper = Metrics(), Sweeper(loop)
        data_plane = DataPlane(generation(config, base, 1), metrics, loop, sweeper)
        await data_plane.start()
        server = data_plane.make_server(data_plane.generation.config.server)
        listener: Listener
        if data_plane.generation.config.listen.proxy_protocol:
            listener = HeaderListener(bound(), server, 100, **tls)
        else:
            listener = await loop.create_server(partial(ClientConnection, server), "127.0.0.1", 0, **tls)
        proxy = InProcessProxy(
            listener.sockets[0].getsockname()[1], data_plane, server, metrics, base, complaints.records
        )
        try:
            yield proxy
            await asyncio.sleep(0)  # what is due now may still complain
            assert not complaints.records, complaints.records
            assert not metrics.own_failures, metrics.own_failures
        finally:
            listener.close()
            await server.shutdown(0.1)
            sweeper.close()
            await data_plane.close()
            for logger in loggers:
                logger.removeHandler(complaints)
            loop.set_exception_handler(handled)
