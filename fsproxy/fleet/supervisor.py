"""``workers: N``: the parent process, which starts, replaces and stops N worker processes on one port.

This process serves the admin port alone, and keeps the queues of new connections of the data port. The workers accept
from them and count in Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import tempfile
from pathlib import Path
from secrets import token_hex

import structlog
from aiohttp import web

from fsproxy.admin.server import create_admin
from fsproxy.admin.workers.merged_events import is_held_back
from fsproxy.admin.workers.multi import MultiBackend
from fsproxy.admin.workers.worker_pool import WorkerPool, WorkerState
from fsproxy.clock import monotonic, now
from fsproxy.config.problems import HostError
from fsproxy.config.schema import Config
from fsproxy.fleet.kept_queues import KeptQueues
from fsproxy.fleet.listening import address, bind_admin, start_admin, stop_accepting
from fsproxy.fleet.missing_workers import MissingWorkers
from fsproxy.fleet.orphans import orphans_reaped
from fsproxy.fleet.queues import open_queues, remove_path
from fsproxy.fleet.service_manager import ServiceManager
from fsproxy.fleet.take_over import Predecessor, handing_over
from fsproxy.fleet.worker import Worker
from fsproxy.fleet.worker_channel import Orders, PackedConfig
from fsproxy.fleet.worker_conditions import WorkerConditions
from fsproxy.proxy.passages import new_passage
from fsproxy.reload.build_generation import Source
from fsproxy.reload.last_good_config import LastGoodConfig

FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
"""Seconds before a worker that has ended is replaced. The delay doubles each time."""
SETTLED_SECONDS = 30.0
"""The delay starts again at its shortest after a worker that lived this long."""
DRAIN_GRACE = 5.0
"""Seconds beyond ``server.drain`` after which a worker is killed."""
log = structlog.get_logger("fsproxy")


class Supervisor:
    """Keeps all workers running until the program stops."""

    def __init__(self, config: Config, source: Source, predecessor: Predecessor | None = None) -> None:
        """``predecessor``: the program to take over from."""
        self._config = config
        self._source = source
        self._manager = ServiceManager(takes_over=predecessor is not None)
        self._predecessor = predecessor
        self._last_good = LastGoodConfig(config, source, lambda: is_held_back(self._pool))
        self._stop = asyncio.Event()
        self._workers: dict[int, Worker] = {}
        self._folder = Path()
        self._runner: web.AppRunner | None = None
        self._admin_sockets: list[socket.socket] = []
        self._queues = KeptQueues()
        self._packed = PackedConfig()
        self._fault: HostError | None = None
        self._conditions = WorkerConditions(config.workers)
        self._missing = MissingWorkers(self._workers, config.workers)
        self._conditions.book.sources.append(self._missing.conditions)
        self._clean = True
        """No worker has failed to end by itself."""
        self._pool = WorkerPool(config.workers, self._workers)
        self._backend = MultiBackend(
            self._pool,
            self._last_good,
            self._conditions.book,
            instance=token_hex(8),
            passage=predecessor.passage if predecessor is not None else new_passage(),
            stop=self._stop,
        )

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain all workers. Raise HostError."""
        loop = asyncio.get_running_loop()
        for end in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(end, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._manager.follow(self._backend.summary))
            stack.enter_context(orphans_reaped())
            self._conditions.book.start()
            stack.callback(self._conditions.book.close)
            await self._last_good.start()
            stack.push_async_callback(self._last_good.close)
            given = self._predecessor.given if self._predecessor is not None else None
            opened = await open_queues(self._config.listen, self._config.workers, given)
            self._queues = KeptQueues(opened, common=self._config.listen.unix is not None)
            stack.callback(self._queues.close)
            stack.callback(remove_path, self._config.listen, self._backend, self._predecessor)
            # Its mode is 0700, so that no other user reaches the workers' admin sockets.
            folder = tempfile.TemporaryDirectory(prefix="fsproxy-", ignore_cleanup_errors=True)
            self._folder = Path(stack.enter_context(folder))
            self._admin_sockets = await bind_admin(self._config.admin, given)
            stack.enter_context(handing_over(self._backend.instance, self._queues.sockets + self._admin_sockets))
            stack.push_async_callback(self._close_admin)
            if self._predecessor is None:
                await self._open_admin()
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._config.workers + 1):
                    group.create_task(self._keep(number))
                group.create_task(self._missing.probe(self._pool, self._stop, self._share))
                await self._stop.wait()
                if self._backend.taken_over and self._runner is not None:
                    await stop_accepting(self._runner)
                self._drain(loop)
        if self._fault is not None:
            raise self._fault
        log.info("all workers stopped")
        if not self._clean:
            raise HostError("", "not all workers ended by themselves")

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        self._manager.stopping(self._config.server.drain + DRAIN_GRACE, taken_over=self._backend.taken_over)
        log.info("draining all workers", workers=len(self._running()))
        # Each worker accepts what waits in its queue, and closes it.
        self._queues.close()
        for worker in self._running():
            worker.signal(signal.SIGTERM)
        loop.call_later(self._config.server.drain + DRAIN_GRACE, self._kill)

    def _running(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.state is not WorkerState.ENDED]

    def _share(self) -> None:
        if not self._stop.is_set():
            self._queues.share(self._running())

    def _kill(self) -> None:
        for worker in self._running():
            log.error("a worker did not end and is killed", worker=worker.number)
            worker.signal(signal.SIGKILL)

    def _on_hangup(self) -> None:
        for worker in self._running():
            worker.hang_up()

    async def _keep(self, number: int) -> None:
        """Run one worker after the other with this number until the program stops."""
        delay = FIRST_DELAY
        while not self._stop.is_set():
            started = monotonic()
            status = await self._run_one(number)
            if self._stop.is_set():
                return
            if not self._backend.complete:
                self._fault = HostError("", f"worker {number} could not start (exit status {status})")
                self._stop.set()
                return
            if monotonic() - started >= SETTLED_SECONDS:
                delay = FIRST_DELAY
            self._backend.merged.replaced += 1
            self._missing.ended(number, status, now())
            self._conditions.book.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stop.wait()
            delay = min(2 * delay, LONGEST_DELAY)

    async def _run_one(self, number: int) -> int | None:
        """Run one process. Return its exit status; None when it could not be started."""
        backend, config = self._backend, await self._packed.of(self._last_good.config)
        orders = Orders(
            number=number,
            admin=str(self._folder / f"{number}.sock"),
            source=self._source,
            generation=backend.generation,
            switch=backend.switch,
            instance=backend.instance,
            passage=backend.passage,
            queue=tuple(each.fileno() for each in self._queues.of(number)),
        )
        try:
            worker = await Worker.start(orders, config)
        except OSError as error:
            log.exception("a worker could not be started", worker=number, errno=error.errno)
            return None
        self._workers[number] = worker
        if self._stop.is_set():
            worker.signal(signal.SIGTERM)
        listened = await worker.comes_up()
        if listened:
            await self._welcome(worker)
        status = await worker.ended(self._conditions.take, self._share)
        self._share()
        self._conditions.forget(number)
        backend.forget(worker.pid)
        # A worker that was stopped before it listened may not have installed its signal handlers yet.
        self._clean &= status == 0 or not (listened and self._stop.is_set())
        return status

    async def _welcome(self, worker: Worker) -> None:
        """Bring a worker that listens now up to date, and finish the start when it was the last one."""
        backend = self._backend
        worker.state = WorkerState.LISTENING
        self._share()
        self._missing.listens(worker.number)
        self._conditions.book.look()
        if backend.switch is not None and worker.orders.switch != backend.switch:
            await backend.set_mode_of(worker, backend.switch)
        if backend.complete:
            await backend.lists.hand_over(worker)
        if worker.missed_hangup:
            worker.signal(signal.SIGHUP)
        listening = sum(each.state is WorkerState.LISTENING for each in self._running())
        if not backend.complete and listening == self._config.workers:
            backend.complete = True
            log.info("all workers listen", data=address(self._config.listen), admin=self._config.admin.port)
            self._manager.ready()
            if self._predecessor is not None:
                await self._replace(self._predecessor)

    async def _replace(self, predecessor: Predecessor) -> None:
        """Open the admin port, on which the predecessor has answered until now, and have the predecessor drain."""
        await predecessor.hold()
        try:
            await self._open_admin()
        except HostError as error:
            self._fault = error
            self._stop.set()
        else:
            await predecessor.retire()

    async def _open_admin(self) -> None:
        admin = create_admin(self._config.admin, self._backend)
        self._runner = await start_admin(admin, self._config.admin, self._admin_sockets)

    async def _close_admin(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        for each in self._admin_sockets:
            each.close()
