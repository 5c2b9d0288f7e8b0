"""The composition root: makes every part of the program, connects them, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from secrets import token_hex

import structlog
from aiohttp import web

from fsproxy.admin.server import create_admin, create_private_admin
from fsproxy.admin.single import SingleBackend
from fsproxy.config.schema import Config
from fsproxy.fleet.descriptors import conditions, that_fits
from fsproxy.fleet.listening import address, bind_admin, start_admin, start_private_admin, stop_accepting
from fsproxy.fleet.orphans import orphans_reaped
from fsproxy.fleet.queues import Listeners, accepting, open_queues, remove_path
from fsproxy.fleet.service_manager import ServiceManager
from fsproxy.fleet.take_over import LINGER_SECONDS, Predecessor, handing_over
from fsproxy.fleet.worker_channel import WorkerChannel
from fsproxy.http.certificates import ends_at
from fsproxy.http.server import DataServer
from fsproxy.http.sweeper import Sweeper
from fsproxy.proxy.data_plane import DataPlane
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.passages import new_passage
from fsproxy.reload.build_generation import Source
from fsproxy.reload.reloader import Reloader
from fsproxy.reload.trials import PROGRAM_STOPS
from fsproxy.telemetry.certificate_conditions import OwnCertificate
from fsproxy.telemetry.metrics import Metrics

SWITCH_SECONDS = 0.000_5
"""How long the event loop waits for a thread with a large body. Python's default of 5 ms would delay all requests."""
GC_THRESHOLDS = (20_000, 20, 50)
"""Requests leave next to no cycles, so the collector's default of every 700 objects would cost each of them time."""
CUT_SECONDS = 0.5
"""Seconds for the last answers of requests that were not finished within ``server.drain``."""
log = structlog.get_logger("fsproxy")


class App:
    """The running program."""

    def __init__(
        self,
        config: Config,
        source: Source | None = None,
        worker_channel: WorkerChannel | None = None,
        predecessor: Predecessor | None = None,
        on_listening: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the place of ``predecessor``, if there is one.

        ``source``: where ``config`` came from, to load it anew when it changes. ``worker_channel``: to the supervisor,
        where this process is one of several workers. ``on_listening`` is called once both ports are open.
        """
        self._on_listening = on_listening
        self._config = config
        self._worker_channel = worker_channel
        orders = self._orders = worker_channel.orders if worker_channel is not None else None
        self._predecessor = predecessor
        self._given = predecessor.given if predecessor is not None else None
        self._manager = ServiceManager(os.environ if orders is None else {}, takes_over=predecessor is not None)
        self._instance = orders.instance if orders is not None else token_hex(8)
        before = orders or predecessor
        self._passage = before.passage if before is not None else new_passage()
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.metrics = Metrics()
        self._sweeper = Sweeper(self._loop)
        self._data_plane: DataPlane | None = None
        self._reloader = Reloader(config, source, lambda: self._data_plane, self.metrics)

    def _on_hangup(self) -> None:
        if self._data_plane is not None:
            self._data_plane.audit.reopen()
        # Kept, or it might be collected while it runs.
        self._reload = self._loop.create_task(self._manager.during_reload(self._reloader.reload))

    # -- life

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raise HostError."""
        sys.setswitchinterval(SWITCH_SECONDS)
        for end in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(end, self._stop.set)
        async with contextlib.AsyncExitStack() as stack:
            worker_channel = self._worker_channel
            if worker_channel is not None:
                worker_channel.watch_supervisor(self._loop, self._stop.set)
            names = {"instance": self._instance, "passage": self._passage}
            backend = SingleBackend(self._reloader, self.metrics, stop=self._stop, **names)
            stack.enter_context(self._manager.follow(backend.summary))
            if worker_channel is None:
                stack.enter_context(orphans_reaped())
            # First of all, so that a start that takes long does not look like a program that is dead. A predecessor
            # answers for both until this program listens, as the pair is ready meanwhile.
            sockets = await bind_admin(self._config.admin, self._given) if self._orders is None else []
            admin = await self._open_admin(backend, sockets) if self._predecessor is None else None
            if admin is not None:
                stack.push_async_callback(admin.cleanup)
            data_plane = await self._start_data_plane(stack, backend)
            if self._stop.is_set():
                log.info("stopped before it listened")
                return
            server = data_plane.make_server(that_fits(self._config))
            if self._predecessor is not None:
                await self._predecessor.hold()
            admin = admin or await self._open_admin(backend, sockets)
            # Once more: it is closed before what it asks.
            stack.push_async_callback(admin.cleanup)
            listeners = Listeners(accepting(server, self._config), self._config.listen)
            sockets += await self._listen(listeners)
            backend.listening = True
            if worker_channel is None:
                stack.enter_context(handing_over(self._instance, sockets))
                stack.callback(remove_path, self._config.listen, backend, self._predecessor)
            # What was made so far stays, so no collection need walk it.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            self._reloader.start()
            log.info("listening", data=address(self._config.listen), admin=self._config.admin.port, pid=os.getpid())
            self._on_listening()
            self._manager.ready()
            if worker_channel is not None:
                worker_channel.report_listening()
            if self._predecessor is not None:
                await self._predecessor.retire()
            await self._stop.wait()
            await self._drain(listeners, admin, data_plane, server, taken_over=backend.taken_over)

    async def _listen(self, listeners: Listeners) -> list[socket.socket]:
        """Accept connections. Return the sockets of a process without a supervisor, which keeps its workers'."""
        channel = self._worker_channel
        if channel is None:
            return await listeners.add_all(await open_queues(self._config.listen, 1, self._given))
        channel.take_queue = listeners.change
        await listeners.add(channel.orders.number, channel.queue)
        return []

    async def _start_data_plane(self, stack: contextlib.AsyncExitStack, backend: SingleBackend) -> DataPlane:
        """Compile the rules, and load the state off the loop. ``backend`` says meanwhile what the start waits for."""
        orders, worker_channel, tls = self._orders, self._worker_channel, self._config.listen.tls
        backend.waiting_for = lambda: ["compiling the rules"]
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        stack.push_async_callback(self._reloader.close)
        number, switch = (orders.generation, orders.switch) if orders is not None else (1, None)
        generation = await asyncio.to_thread(Generation.compile, self._config, number, switch)
        data_plane = self._data_plane = self._make_data_plane(generation)
        # An operator may have asked for another one since.
        switch = self._reloader.switch or switch
        if switch is not None:
            self._reloader.set_mode(switch)
        if worker_channel is not None:
            data_plane.conditions.send = worker_channel.report_conditions
        data_plane.conditions.sources += [self._reloader.conditions, partial(conditions, self._config)]
        if tls is not None:
            data_plane.conditions.sources.append(OwnCertificate(tls.cert, ends_at))
        backend.waiting_for = data_plane.waiting_for
        await data_plane.start()
        stack.push_async_callback(data_plane.close)
        backend.waiting_for = lambda: ["opening the data port"]
        backend.use(data_plane)
        return data_plane

    def _make_data_plane(self, generation: Generation) -> DataPlane:
        data_plane = DataPlane(generation, self.metrics, self._loop, self._sweeper, self._passage)
        if self._config.audit.to == "stdout" and self._config.log.format != "json" and sys.stdout.isatty():
            data_plane.audit.shorten()
        if self._orders is not None:
            data_plane.audit.share()
            data_plane.audit.bind(**{"fsproxy.worker": self._orders.number})
        return data_plane

    async def _open_admin(self, backend: SingleBackend, sockets: list[socket.socket]) -> web.AppRunner:
        if self._orders is not None:
            return await start_private_admin(create_private_admin(backend), self._orders.admin)
        return await start_admin(create_admin(self._config.admin, backend), self._config.admin, sockets)

    async def _drain(
        self, listeners: Listeners, admin: web.AppRunner, data_plane: DataPlane, server: DataServer, *, taken_over: bool
    ) -> None:
        """Accept no more, close idle connections, and let the rest finish for ``server.drain``."""
        self._reloader.trials.end(PROGRAM_STOPS)
        self._manager.stopping(self._config.server.drain, taken_over=taken_over)
        log.info("draining", in_flight=self.metrics.in_flight, seconds=self._config.server.drain)
        if self._worker_channel is not None:
            self._worker_channel.report_leaving()
        elif taken_over:
            await stop_accepting(admin)
        await listeners.close(accept=not taken_over)  # the other program accepts what waits
        if taken_over:
            # So that of those in use few are idle at the end, when a request could cross with their close.
            data_plane.ends_connections = True
            await asyncio.sleep(LINGER_SECONDS)
        flushed = self._loop.create_task(server.flush(self._config.server.drain + CUT_SECONDS))
        if not await data_plane.drain(self._config.server.drain):
            log.warning("cut short", in_flight=self.metrics.in_flight)
            data_plane.cut()
            await data_plane.drain(CUT_SECONDS)
        await flushed
        await server.shutdown(CUT_SECONDS)
        self._sweeper.close()
        log.info("stopped")


def run_until_end(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run ``main`` on an event loop of its own. Raise HostError when it cannot start."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's event loop; None, which means asyncio's own, on Windows."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not on Windows

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
