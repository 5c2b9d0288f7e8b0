"""``workers: N``: so many processes on one port, started, replaced, asked and stopped by this one.

This process serves the admin port alone. The workers share the data port (SO_REUSEPORT: the kernel deals new
connections out among those that listen) and count in Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from pathlib import Path
from secrets import token_hex

import structlog
from aiohttp import web

from fsproxy.admin.merging import MergedMetrics
from fsproxy.admin.multi_port import create_fleet_admin
from fsproxy.clock import monotonic
from fsproxy.config.schema import Config, TopMode
from fsproxy.fleet.listening import StartError, address, require_free, start_admin
from fsproxy.fleet.take_over import Predecessor, prefer_admin
from fsproxy.fleet.view import FleetView
from fsproxy.fleet.worker import Worker, WorkerState
from fsproxy.fleet.worker_channel import Orders
from fsproxy.proxy.passages import new_passage
from fsproxy.reload.build_generation import Source
from fsproxy.reload.last_good_config import StandingConfig

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
"""Seconds before a worker that ended is replaced: twice as long each time."""
SETTLED_SECONDS = 30.0
"""A worker that lived so long is no reason to wait longer before the next."""
DRAIN_GRACE = 5.0
"""Over ``server.drain``; a worker that is not done then is killed."""
log = structlog.get_logger("fsproxy")


class Supervisor:
    """The parent process."""

    def __init__(self, config: Config, source: Source, predecessor: Predecessor | None = None) -> None:
        self._config = config
        self._source = source
        self._predecessor = predecessor
        self.instance = token_hex(8)
        self.passage = predecessor.passage if predecessor is not None else new_passage()
        self._standing = StandingConfig(config, source)
        self._stop = asyncio.Event()
        self._workers: dict[int, Worker] = {}
        self._folder = Path()
        self._runner: web.AppRunner | None = None
        self._fault: str | None = None
        self._complete = False
        """All workers have listened at the same time once: the start has succeeded."""
        self._clean = True
        self.mode: TopMode | None = None
        self.metrics = MergedMetrics(config.workers)
        self._view = FleetView(self)

    # -- what the admin port is told

    @property
    def config(self) -> Config:
        """The one in force."""
        return self._standing.config

    @property
    def workers(self) -> list[Worker]:
        """Those that run, by number."""
        return [worker for _, worker in sorted(self._workers.items()) if worker.state is not WorkerState.ENDED]

    @property
    def draining(self) -> bool:
        """The program was told to stop."""
        return self._stop.is_set()

    @property
    def complete(self) -> bool:
        """The start is over."""
        return self._complete

    def stop(self) -> None:
        """As SIGTERM does."""
        self._stop.set()

    # -- life

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain all workers. Raises StartError and GeoError."""
        loop = asyncio.get_running_loop()
        for end in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(end, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        async with contextlib.AsyncExitStack() as stack:
            await self._standing.start()
            stack.push_async_callback(self._standing.close)
            if self._predecessor is None:
                await require_free(self._config.listen)
            # 0700: nobody else reaches the workers' admin sockets.
            folder = tempfile.TemporaryDirectory(prefix="fsproxy-", ignore_cleanup_errors=True)
            self._folder = Path(stack.enter_context(folder))
            stack.push_async_callback(self._close_admin)
            if self._predecessor is None:
                await self._open_admin()
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._config.workers + 1):
                    group.create_task(self._keep(number))
                await self._stop.wait()
                self._drain(loop)
        if self._fault is not None:
            raise StartError(self._fault)
        log.info("all workers stopped")
        if not self._clean:
            raise StartError("not all workers ended by themselves")

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        log.info("draining all workers", workers=len(self.workers))
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        loop.call_later(self._config.server.drain + DRAIN_GRACE, self._kill)

    def _kill(self) -> None:
        for worker in self.workers:
            log.error("a worker did not end and is killed", worker=worker.number)
            worker.signal(signal.SIGKILL)

    def _on_hangup(self) -> None:
        for worker in self.workers:
            if worker.state is WorkerState.LISTENING:
                worker.signal(signal.SIGHUP)
            else:
                worker.missed_hangup = True

    async def _keep(self, number: int) -> None:
        """One worker after the other in this place, until the program stops."""
        delay = FIRST_DELAY
        while not self._stop.is_set():
            started = monotonic()
            status = await self._run_one(number)
            if self._stop.is_set():
                return
            if not self._complete:
                self._fault = f"worker {number} could not start (exit status {status})"
                self._stop.set()
                return
            if monotonic() - started >= SETTLED_SECONDS:
                delay = FIRST_DELAY
            self.metrics.replaced += 1
            log.error("a worker ended and is replaced", worker=number, exit_status=status, in_seconds=delay)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stop.wait()
            delay = min(2 * delay, LONGEST_DELAY)

    async def _run_one(self, number: int) -> int | None:
        """The exit status; None when there could be no process."""
        orders = Orders(
            number=number,
            admin=str(self._folder / f"{number}.sock"),
            config=self.config,
            source=self._source,
            generation=self._view.generation,
            mode=self.mode,
            instance=self.instance,
            passage=self.passage,
            among=self._config.workers,
            after=self._predecessor.listeners if self._predecessor is not None and not self._complete else None,
        )
        try:
            worker = await Worker.start(orders)
        except OSError as error:
            log.exception("a worker could not be started", worker=number, errno=error.errno)
            return None
        self._workers[number] = worker
        if self._stop.is_set():
            worker.signal(signal.SIGTERM)
        listened = await worker.comes_up()
        if listened:
            await self._welcome(worker)
        status = await worker.ended()
        self._view.forget(worker)
        # One that was stopped before it listened may not have known yet how to end well.
        self._clean &= status == 0 or not (listened and self._stop.is_set())
        return status

    async def _welcome(self, worker: Worker) -> None:
        worker.state = WorkerState.LISTENING
        if worker.orders.mode is not self.mode and self.mode is not None:
            await self._view.tell_mode(worker, self.mode)
        if worker.missed_hangup:
            worker.signal(signal.SIGHUP)
        if not self._complete and all(each.state is WorkerState.LISTENING for each in self.workers):
            self._complete = len(self.workers) == self._config.workers
            if self._complete:
                log.info("all workers listen", data=address(self._config.listen), admin=self._config.admin.port)
                if self._predecessor is not None:
                    await self._replace(self._predecessor)

    async def _replace(self, predecessor: Predecessor) -> None:
        """Only now is there something to say on the admin port, which the other has answered for until here."""
        try:
            prefer_admin(await self._open_admin())
        except StartError as error:
            self._fault = str(error)
            self._stop.set()
        else:
            await predecessor.retire()

    async def _open_admin(self) -> web.AppRunner:
        admin, beside_others = create_fleet_admin(self._config.admin, self._view), self._predecessor is not None
        self._runner = await start_admin(admin, self._config.admin, beside_others=beside_others)
        return self._runner

    async def _close_admin(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
