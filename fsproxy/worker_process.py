"""The program of a worker process: ``python -m fsproxy.worker_process``, which only the supervisor starts.

Its standard input is the channel of ``fleet.worker_channel``.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import signal
import socket
import sys
from functools import partial
from pathlib import Path

import structlog

from fsproxy.app import App, run_until_end
from fsproxy.config.problems import HostError
from fsproxy.config.schema import Config
from fsproxy.fleet.worker_channel import Orders, WorkerChannel, received
from fsproxy.telemetry.logs import configure_logs, log_what_is_uncaught

log = structlog.get_logger("fsproxy")


def main() -> int:
    """Run the worker. Return the exit status: 1, with a line on standard error, when it cannot start."""
    log_what_is_uncaught()
    configure_logs()
    # The supervisor ends a worker that hangs with SIGABRT. Then the stacks of all threads say what has held it.
    faulthandler.enable()
    # A terminal sends its signals to all processes of a group. The supervisor alone decides what the workers do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    channel = socket.socket(fileno=sys.stdin.fileno())
    got = received(channel)
    if got is None:
        return 0
    orders, config = got
    configure_logs(config.log.level, config.log.format)
    structlog.contextvars.bind_contextvars(worker=orders.number)
    try:
        run_until_end(partial(_run, config, orders, channel))
    except HostError as error:
        log.error("the worker cannot start", fault=str(error), key=error.key_path)  # noqa: TRY400
        return 1
    return 0


async def _run(config: Config, orders: Orders, channel: socket.socket) -> None:
    worker_channel = WorkerChannel(orders, channel)
    await App(config, orders.source, worker_channel).run()
    if worker_channel.supervisor_is_gone:
        await asyncio.to_thread(_clear_away, Path(orders.admin))


def _clear_away(admin: Path) -> None:
    """Remove this worker's socket and, when it was the last one, the supervisor's temporary folder."""
    admin.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        admin.parent.rmdir()


if __name__ == "__main__":
    sys.exit(main())
