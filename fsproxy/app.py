"""The composition root: everything is made here, wired, started, and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from pathlib import Path
from secrets import token_hex

import structlog
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser

from fsproxy.admin.insight import RunningInsight
from fsproxy.admin.server import create_admin
from fsproxy.config.schema import Config, TopMode
from fsproxy.fleet.descriptors import that_fits
from fsproxy.fleet.listening import CannotStart, address, listen, start_admin, start_private_admin, stop_listening
from fsproxy.fleet.take_over import (
    FORGET_SECONDS,
    LINGER_SECONDS,
    Predecessor,
    prefer_admin,
    prefer_none,
    prefer_ports,
)
from fsproxy.fleet.worker_channel import Seat
from fsproxy.http.server import DataServer
from fsproxy.http.sweeper import Sweeper
from fsproxy.proxy.data_plane import Ingest
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.passages import new_passage
from fsproxy.reload.build_generation import Source
from fsproxy.reload.reloader import Reloader
from fsproxy.state.stores import StoreUnusable
from fsproxy.telemetry.metrics import Metrics

SWITCH_SECONDS = 0.000_5
"""How long the event loop waits for a thread that judges a large body; Python's own 5 ms would be felt by all."""
GC_THRESHOLDS = (20_000, 20, 50)
"""Requests leave next to no cycles: the collector's default of every 700 objects is a tax on each."""
CUT_SECONDS = 0.5
"""For the last answers of requests that outlived ``server.drain``."""
log = structlog.get_logger("fsproxy")


class App:
    """The running program."""

    def __init__(
        self,
        config: Config,
        source: Source | None = None,
        seat: Seat | None = None,
        predecessor: Predecessor | None = None,
    ) -> None:
        """``source``: where ``config`` came from, to load it anew when it changes. ``seat``: it is one of several."""
        self._config = config
        self._seat = seat
        self._predecessor = predecessor
        self._instance = seat.instance if seat is not None else token_hex(8)
        before = seat or predecessor
        self._passage = before.passage if before is not None else new_passage()
        self._taken_over = False
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.metrics = Metrics()
        self.listening = False
        self.draining = False
        self._sweeper = Sweeper(self._loop)
        self._ingest: Ingest | None = None
        self._reloader = Reloader(config, source, lambda: self._ingest, self.metrics)

    # -- what the admin port sees

    def state(self) -> dict[str, object]:
        """For ``/readyz``."""
        state = self._ingest.state() if self._ingest is not None else {"mode": self._config.mode.value}
        names = {"instance": self._instance, "passage": self._passage}
        return {**state, "config": self._reloader.state(), **names, "listeners": 1}

    def set_mode(self, mode: TopMode) -> None:
        """The kill switch. ``bypass`` acts at once; the others compile the rules anew first."""
        log.warning("mode changed by the admin API", mode=mode.value)
        self._reloader.set_mode(mode)

    async def drain(self, instance: str) -> bool:
        """Another program listens beside this one and goes on."""
        if instance != self._instance:
            return False
        self._taken_over = True
        self._stop.set()
        return True

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
        for end in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(end, self._stop.set)
        async with contextlib.AsyncExitStack() as stack:
            seat = self._seat
            if seat is not None:
                seat.on_left_alone(self._loop, self._stop.set)
            number, mode = (seat.generation, seat.mode) if seat is not None else (1, None)
            generation = await asyncio.to_thread(Generation.compile, self._config, number, mode)
            ingest = self._ingest = self._make_ingest(generation)
            if mode is not None:
                self._reloader.set_mode(mode)
            await ingest.start()
            stack.push_async_callback(ingest.close)
            self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
            stack.push_async_callback(self._reloader.close)
            server = DataServer(
                ingest.handle,
                that_fits(self._config),
                self._sweeper,
                on_malformed=ingest.count_malformed,
                on_crash=ingest.count_crash,
            )
            ingest.server = server
            admin = await self._start_admin(ingest)
            stack.push_async_callback(admin.cleanup)
            beside_others = seat is not None or self._predecessor is not None
            listeners = await listen(server, self._config, beside_others=beside_others)
            self.listening = True
            if self._config.listen.unix is not None:
                stack.callback(Path(self._config.listen.unix).unlink, missing_ok=True)
            # What was made so far stays: it need not be walked by every collection.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            self._reloader.start()
            log.info("listening", data=address(self._config.listen), admin=self._config.admin.port, pid=os.getpid())
            self._take_over(listeners, admin)
            if seat is not None:
                seat.tell_that_it_listens()
            if self._predecessor is not None:
                await self._predecessor.retire()
            await self._stop.wait()
            await self._drain(listeners, server, ingest)

    def _make_ingest(self, generation: Generation) -> Ingest:
        try:
            ingest = Ingest(generation, self.metrics, self._loop, self._sweeper, self._passage)
        except StoreUnusable as error:
            raise CannotStart(str(error)) from None
        if self._seat is not None:
            ingest.audit.share()
            ingest.audit.bind(**{"fsproxy.worker": self._seat.number})
        return ingest

    async def _start_admin(self, ingest: Ingest) -> web.AppRunner:
        config, insight = self._config.admin, RunningInsight(ingest, self.state)
        if self._seat is None:
            app = create_admin(config, self, self.metrics, insight)
            return await start_admin(app, config, beside_others=self._predecessor is not None)
        app = create_admin(config, self, self.metrics, insight, guarded=False)
        return await start_private_admin(app, self._seat.admin)

    def _take_over(self, listeners: list[asyncio.Server], admin: web.AppRunner) -> None:
        """From now on the kernel gives new connections to us, and none to the program before."""
        if self._predecessor is not None:
            prefer_ports(listeners, self._predecessor.listeners, 1)
            prefer_admin(admin)
        elif self._seat is not None and self._seat.after is not None:
            prefer_ports(listeners, self._seat.after, self._seat.among)
            self._loop.call_later(self._config.server.drain + FORGET_SECONDS, prefer_none, listeners)

    async def _drain(self, listeners: list[asyncio.Server], server: DataServer, ingest: Ingest) -> None:
        """Take no new connection, close idle ones, let what is in flight finish for ``server.drain`` seconds."""
        self.draining = True
        log.info("draining", in_flight=self.metrics.in_flight, seconds=self._config.server.drain)
        if self._taken_over:
            await asyncio.sleep(LINGER_SECONDS)
        await stop_listening(listeners)
        flushed = self._loop.create_task(server.flush(self._config.server.drain + CUT_SECONDS))
        if not await ingest.drain(self._config.server.drain):
            log.warning("cut short", in_flight=self.metrics.in_flight)
            ingest.cut()
            await ingest.drain(CUT_SECONDS)
        await flushed
        await server.shutdown(CUT_SECONDS)
        self._sweeper.close()
        log.info("stopped")


def _require_c_parser() -> None:
    if HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise CannotStart(
            "aiohttp's C parser is missing (AIOHTTP_NO_EXTENSIONS is set, or it was not built): the pure Python "
            "one is neither as strict nor as fast"
        )
