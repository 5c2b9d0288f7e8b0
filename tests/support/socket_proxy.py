"""The data plane in the test's own process, in front of an upstream whose WebSocket the test plays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fsproxy.config.loader import load_text
from fsproxy.http.connection import ClientConnection
from fsproxy.http.sweeper import Sweeper
from fsproxy.proxy.data_plane import DataPlane
from fsproxy.proxy.generation import Generation
from fsproxy.telemetry.metrics import Metrics
from support.audit_lines import kept


@dataclass
class InnerProxy:
    """A data plane that listens."""

    data_plane: DataPlane
    metrics: Metrics
    port: int
    audit_file: Path

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    async def idle(self) -> None:
        """Waits until no request and no socket is under way."""
        assert await self.data_plane.drain(10)

    def audit(self) -> list[dict[str, Any]]:
        """All lines; only after the proxy has stopped."""
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]


@asynccontextmanager
async def inner_proxy(config: Mapping[str, Any], upstream_url: str, folder: Path) -> AsyncIterator[InnerProxy]:
    """Listens on port 0 of 127.0.0.1. Its audit lines go to a file in ``folder``, whole once the block is left."""
    audit_file = folder / "audit.log"
    whole = {
        **config,
        "upstream": {**config.get("upstream", {}), "url": upstream_url},
        "audit": {**config.get("audit", {}), "to": str(audit_file), "client_ip": "full"},
        "state": {"persist": None},
    }
    loop = asyncio.get_running_loop()
    sweeper = Sweeper(loop)
    metrics = Metrics()
    data_plane = DataPlane(
        Generation.compile(load_text(json.dumps(whole), "test", {}, folder), 1), metrics, loop, sweeper
    )
    await data_plane.start()
    server = data_plane.make_server(data_plane.generation.config.server)
    listener = await loop.create_server(partial(ClientConnection, server), "127.0.0.1", 0)
    with kept(folder, whole):
        try:
            yield InnerProxy(data_plane, metrics, listener.sockets[0].getsockname()[1], audit_file)
        finally:
            listener.close()
            await server.shutdown(1.0)
            await data_plane.close()
            sweeper.close()
