"""The composition root: everything is made here, wired, started, and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser

from fsproxy.admin.metrics import Metrics
from fsproxy.admin.server import create_admin
from fsproxy.config.schema import Config, ListenConfig, StateBackend, TopMode
from fsproxy.shell.generation import Generation
from fsproxy.shell.ingest import Ingest
from fsproxy.shell.insight import RunningInsight
from fsproxy.shell.next_generation import Source
from fsproxy.shell.reload import Reloader
from fsproxy.shell.server import DataServer
from fsproxy.shell.stores import StoreUnusable
from fsproxy.shell.sweeper import Sweeper

BACKLOG = 4096
SWITCH_SECONDS = 0.000_5
"""How long the event loop waits for a thread that judges a large body; Python's own 5 ms would be felt by all."""
GC_THRESHOLDS = (20_000, 20, 50)
"""Requests leave next to no cycles: the collector's default of every 700 objects is a tax on each."""
CUT_SECONDS = 0.5
"""For the last answers of requests that outlived ``server.drain``."""
log = structlog.get_logger("fsproxy")


class CannotStart(Exception):  # noqa: N818 - said to the user as it is
    """A reason not to start that no configuration file shows: a port in use, a missing C parser."""


class App:
    """The running program."""

    def __init__(self, config: Config, source: Source | None = None) -> None:
        """``source``: where ``config`` came from, to load it anew when it changes."""
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.metrics = Metrics()
        self.draining = False
        self._sweeper = Sweeper(self._loop)
        self._ingest: Ingest | None = None
        self._reloader = Reloader(config, source, lambda: self._ingest, self.metrics)

    # -- what the admin port sees

    def state(self) -> dict[str, object]:
        """For ``/readyz``."""
        state = self._ingest.state() if self._ingest is not None else {"mode": self._config.mode.value}
        return {**state, "config": self._reloader.state()}

    def set_mode(self, mode: TopMode) -> None:
        """The kill switch. ``bypass`` acts at once; the others compile the rules anew first."""
        log.warning("mode changed by the admin API", mode=mode.value)
        self._reloader.set_mode(mode)

    async def reload(self) -> dict[str, object]:
        """Load the configuration anew; what became of it."""
        return await self._reloader.reload()

    def _on_hangup(self) -> None:
        if self._ingest is not None:
            self._ingest.reopen_audit()
        self._reloader.ask(force=True)

    # -- life

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises CannotStart."""
        _require_c_parser()
        sys.setswitchinterval(SWITCH_SECONDS)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        async with contextlib.AsyncExitStack() as stack:
            generation = await asyncio.to_thread(Generation.compile, self._config, 1)
            ingest = self._ingest = self._make_ingest(generation)
            await ingest.start()
            stack.push_async_callback(ingest.close)
            self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
            stack.push_async_callback(self._reloader.close)
            server = DataServer(
                ingest.handle,
                self._config.server,
                self._sweeper,
                needs_tasks=self._config.state.backend is StateBackend.REDIS,
                on_malformed=ingest.count_malformed,
                on_crash=ingest.count_crash,
            )
            ingest.server = server
            admin = await self._start_admin(ingest)
            stack.push_async_callback(admin.cleanup)
            listener = await self._listen(server)
            if self._config.listen.unix is not None:
                stack.callback(Path(self._config.listen.unix).unlink, missing_ok=True)
            # What was made so far stays: it need not be walked by every collection.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            self._reloader.start()
            log.info("listening", data=_name(self._config.listen), admin=self._config.admin.port, pid=os.getpid())
            await self._stop.wait()
            await self._drain(listener, server, ingest)

    def _make_ingest(self, generation: Generation) -> Ingest:
        try:
            return Ingest(generation, self.metrics, self._loop, self._sweeper)
        except StoreUnusable as error:
            raise CannotStart(str(error)) from None

    async def _drain(self, listener: asyncio.Server, server: DataServer, ingest: Ingest) -> None:
        """Take no new connection, close idle ones, let what is in flight finish for ``server.drain`` seconds."""
        self.draining = True
        log.info("draining", in_flight=self.metrics.in_flight, seconds=self._config.server.drain)
        listener.close()
        server.close_idle()
        deadline = self._loop.time() + self._config.server.drain
        if not await ingest.drain(self._config.server.drain):
            log.warning("cut short", in_flight=self.metrics.in_flight)
            ingest.cut()
            await ingest.drain(CUT_SECONDS)
        await server.flush(max(CUT_SECONDS, deadline - self._loop.time()))
        await server.shutdown(CUT_SECONDS)
        self._sweeper.close()
        log.info("stopped")

    async def _start_admin(self, ingest: Ingest) -> web.AppRunner:
        config = self._config.admin
        app = create_admin(config, self, self.metrics, RunningInsight(ingest, self.state))
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, config.host, config.port).start()
        except OSError as error:
            await runner.cleanup()
            raise CannotStart(f"admin.port {config.port} on {config.host}: {error.strerror}") from None
        return runner

    async def _listen(self, server: DataServer) -> asyncio.Server:
        listen = self._config.listen
        options: dict[str, Any] = {"backlog": BACKLOG}
        if listen.tls is not None:
            options |= {
                "ssl": _server_tls(listen),
                "ssl_handshake_timeout": self._config.server.header_timeout,
            }
        try:
            if listen.unix is not None:
                _remove_stale_socket(listen.unix)
                return await self._loop.create_unix_server(server, listen.unix, **options)
            return await self._loop.create_server(server, listen.host, listen.port, **options)
        except OSError as error:
            raise CannotStart(f"listen {_name(listen)}: {error.strerror}") from None


def _name(listen: ListenConfig) -> str:
    if listen.unix is not None:
        return f"unix:{listen.unix}"
    return f"{'https' if listen.tls else 'http'}://{listen.host}:{listen.port}"


def _server_tls(listen: ListenConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if listen.tls is not None:
        try:
            context.load_cert_chain(listen.tls.cert, listen.tls.key)
        except (OSError, ssl.SSLError) as error:
            raise CannotStart(f"listen.tls: certificate or key cannot be used: {type(error).__name__}") from None
    return context


def _remove_stale_socket(path: str) -> None:
    """A socket file that nobody listens on any more is left by a crash; one in use is not touched."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            Path(path).unlink(missing_ok=True)


def _require_c_parser() -> None:
    if HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise CannotStart(
            "aiohttp's C parser is missing (AIOHTTP_NO_EXTENSIONS is set, or it was not built): the pure Python "
            "one is neither as strict nor as fast"
        )
