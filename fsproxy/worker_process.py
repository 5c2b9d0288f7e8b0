"""What a worker process runs: ``python -m fsproxy.worker_process``, started by the supervisor alone.

Its standard input is the channel of ``worker_channel``.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from pathlib import Path

import structlog

from fsproxy.app import App
from fsproxy.fleet.event_loop import loop_factory
from fsproxy.fleet.listening import StartError
from fsproxy.fleet.worker_channel import Orders, WorkerChannel, received
from fsproxy.proxy.geo import GeoError
from fsproxy.telemetry.logs import configure_logs


def main() -> int:
    """The exit status: 1 when it cannot start, said on stderr."""
    # A terminal's signals go to all processes; what they mean for the workers is the supervisor's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    channel = socket.socket(fileno=sys.stdin.fileno())
    orders = received(channel)
    if orders is None:
        return 0
    config = orders.config
    configure_logs(config.log.level, config.log.format)
    structlog.contextvars.bind_contextvars(worker=orders.number)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_run(orders, channel))
    except (StartError, GeoError) as error:
        problem = str(error)
    except OSError as error:
        if str(error.filename) != config.audit.to:
            raise
        problem = f"audit.to {config.audit.to}: {error.strerror}"
    else:
        return 0
    sys.stderr.write(f"fsproxy: worker {orders.number}: {problem}\n")
    return 1


async def _run(orders: Orders, channel: socket.socket) -> None:
    worker_channel = WorkerChannel(orders, channel)
    await App(orders.config, orders.source, worker_channel).run()
    if worker_channel.left_alone:
        await asyncio.to_thread(_clear_away, Path(orders.admin))


def _clear_away(admin: Path) -> None:
    """The supervisor's temporary folder, by the last worker."""
    admin.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        admin.parent.rmdir()


if __name__ == "__main__":
    sys.exit(main())
