"""What the supervisor tells systemd for all workers, and what becomes of a worker whose event loop is held."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from support.notified import notified
from support.proxy import running_proxy
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer
from support.workers import fresh_connections, pids, replaced, shared

SOON = """\
import fsproxy.fleet.worker as worker
from fsproxy.cli import main
worker.HUNG_SECONDS, worker.ABORT_SECONDS = 5.0, 1.0
main()
"""
"""A supervisor that gives up a worker sooner."""


async def test_the_supervisor_speaks_for_all_and_ends_a_worker_that_hangs(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    command = (sys.executable, "-c", SOON, "serve")
    with notified(str(tmp_path / "notify")) as systemd:
        environ = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "600000000", "TMPDIR": str(tmp_path)}
        async with (
            fresh_connections() as http,
            running_proxy(shared(upstream.url, valkey), environ, command=command) as proxy,
        ):
            await systemd.until("READY=1")
            await systemd.until("STATUS=mode enforce, 2 of 2 workers listen")
            old = await pids(http, proxy)
            os.kill(old["1"], signal.SIGSTOP)
            now = await replaced(http, proxy, old)
            assert now["2"] == old["2"]
            systemd.read()
            assert "a worker does not answer and is ended" in proxy.log_text()
        told = systemd.read()
    assert told[0] == "WATCHDOG=1"
    assert told[1] == "STATUS=starting: 0 of 2 workers listen"
    assert [line for line in told if line in {"READY=1", "STOPPING=1"}] == ["READY=1", "STOPPING=1"]
