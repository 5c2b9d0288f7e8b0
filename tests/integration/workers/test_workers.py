"""``workers: 2``: real processes on one port, over a real Valkey."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from support.ports import free_ports
from support.proxy import ProxyDiedError, RunningProxy, running_proxy
from support.upstream import RecordingUpstream
from support.valkey import ValkeyServer
from support.workers import (
    DEADLINE,
    POLL,
    counted,
    folders,
    fresh_connections,
    gone,
    lives,
    pids,
    ready,
    replaced,
    running_workers,
    shared,
    visit,
)

PAGES = 'fsproxy_requests_total{route="page",status="2xx"}'
MOST_TRIES = 500


async def reach_both(http: aiohttp.ClientSession, proxy: RunningProxy) -> set[int]:
    """Sends pages until each worker has written a line of one; the workers' numbers."""
    seen: set[int] = set()
    for number in range(MOST_TRIES):
        assert await visit(http, proxy, f"both-{number}") is None
        seen = {line["fsproxy.worker"] for line in proxy.audit_lines()}
        if len(seen) == 2:
            break
    return seen


async def test_each_worker_serves_and_every_line_says_which(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    async with running_workers(shared(upstream.url, valkey), tmp_path) as proxy, fresh_connections() as http:
        body = await ready(http, proxy)
        assert (body["status"], set(body["workers"])) == ("ready", {"1", "2"})
        assert len(set((await pids(http, proxy)).values())) == 2
        assert await reach_both(http, proxy) == {1, 2}
        async with http.get(f"{proxy.admin_url}/healthz") as response:
            assert response.status == 200


async def test_one_scrape_holds_the_sums_of_all_workers(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    async with running_workers(shared(upstream.url, valkey), tmp_path) as proxy, fresh_connections() as http:
        await asyncio.gather(*(visit(http, proxy, f"s-{number}") for number in range(40)))
        assert await counted(http, proxy, PAGES) == 40
        assert await counted(http, proxy, "fsproxy_total_latency_seconds_count") == 40
        assert await counted(http, proxy, "fsproxy_workers_listening") == 2
        assert await counted(http, proxy, "fsproxy_store_up") == 1
        assert await counted(http, proxy, "fsproxy_config_generation") == 1


async def test_a_worker_killed_under_load_is_replaced_and_costs_no_request_but_those_in_its_hands(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """What is begun after its end is served by the others; until then the kernel may give it some more."""
    clients = 8
    async with running_workers(shared(upstream.url, valkey), tmp_path) as proxy, fresh_connections() as http:
        before = await pids(http, proxy)
        victim = before["1"]
        begun_in_its_life: list[bool] = []
        """For each request that was lost."""
        done = asyncio.Event()
        served = 0

        async def client(name: int) -> None:
            nonlocal served
            number = 0
            while not done.is_set():
                number += 1
                lived = Path(f"/proc/{victim}").exists()  # until all of its threads have let go of its sockets
                try:
                    assert await visit(http, proxy, f"{name}-{number}") is None
                    served += 1
                except aiohttp.ClientConnectionError:
                    begun_in_its_life.append(lived)

        async with asyncio.TaskGroup() as group:
            for name in range(clients):
                group.create_task(client(name))
            while served < 50:
                await asyncio.sleep(POLL)
            counts = await counted(http, proxy, PAGES)
            os.kill(victim, signal.SIGKILL)
            now = await replaced(http, proxy, before)
            at_replacement = served
            while served < at_replacement + 50:
                await asyncio.sleep(POLL)
            done.set()
        assert all(begun_in_its_life)
        assert now["2"] == before["2"]
        assert now["1"] != before["1"]
        assert await counted(http, proxy, "fsproxy_workers_replaced_total") == 1
        assert await counted(http, proxy, PAGES) > counts, "a sum that went down looks like a restart"
        assert "worker 1 of 2 is missing: killed by SIGKILL" in proxy.log_text()
        assert "over: worker 1 of 2 is missing" in proxy.log_text()


async def test_sigterm_lets_all_workers_finish_and_leaves_nothing_behind(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    async with running_workers(shared(upstream.url, valkey), tmp_path) as proxy, fresh_connections() as http:
        workers = (await pids(http, proxy)).values()
        assert len(folders(tmp_path)) == 1
        upstream.hold()
        held = [asyncio.create_task(visit(http, proxy, f"s-{number}")) for number in range(8)]
        await upstream.arrived(8)
        proxy.signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE):
            while (await ready(http, proxy))["status"] != "draining":
                await asyncio.sleep(POLL)
            async with http.get(f"{proxy.admin_url}/readyz") as response:
                assert response.status == 503
        assert proxy.process.returncode is None
        upstream.release()
        assert await asyncio.gather(*held) == [None] * 8
        await proxy.stop()
        assert not any(map(lives, workers))
        assert folders(tmp_path) == []


async def test_workers_do_not_outlive_a_supervisor_that_was_killed(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    async with running_workers(shared(upstream.url, valkey), tmp_path) as proxy, fresh_connections() as http:
        workers = (await pids(http, proxy)).values()
        await proxy.kill()
        await gone(*workers)
        assert folders(tmp_path) == []


async def test_sighup_and_the_admin_api_reload_all(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    config = shared(upstream.url, valkey)
    async with running_workers(config, tmp_path) as proxy, fresh_connections() as http:
        proxy.signal(signal.SIGHUP)
        async with asyncio.timeout(DEADLINE):
            while {each["generation"] for each in (await ready(http, proxy))["workers"].values()} != {2}:
                await asyncio.sleep(POLL)
        async with http.post(f"{proxy.admin_url}/reload", json={}) as response:
            answer = await response.json()
            assert (response.status, answer["workers"]) == (200, {"1": 3, "2": 3})
        proxy.write_config({**config, "mode": "nonsense"})
        async with http.post(f"{proxy.admin_url}/reload", json={}) as response:
            assert response.status == 422
            assert len((await response.json())["errors"]) == 1


async def test_a_replacement_runs_as_the_others_do_whatever_the_file_holds_by_then(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    config = shared(upstream.url, valkey)
    async with running_workers(config, tmp_path) as proxy, fresh_connections() as http:
        async with http.post(f"{proxy.admin_url}/mode", json={"mode": "shadow"}) as response:
            assert response.status == 200
        proxy.write_config({**config, "mode": "nonsense"})
        async with asyncio.timeout(DEADLINE):
            while (await ready(http, proxy))["config"]["error_count"] != 1:
                await asyncio.sleep(POLL)
        before = await pids(http, proxy)
        os.kill(before["2"], signal.SIGKILL)
        await replaced(http, proxy, before)
        assert {each["mode"] for each in (await ready(http, proxy))["workers"].values()} == {"shadow"}


async def test_the_mode_is_changed_for_all(upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path) -> None:
    config = shared(upstream.url, valkey, filters={"ip": {"block": ["127.0.0.1"]}})
    async with running_workers(config, tmp_path) as proxy, fresh_connections() as http:
        assert {await visit(http, proxy, f"s-{number}") for number in range(20)} == {5}
        async with http.post(f"{proxy.admin_url}/mode", json={"mode": "bypass"}) as response:
            assert response.status == 200
        assert {await visit(http, proxy, f"t-{number}") for number in range(20)} == {None}
        async with http.get(f"{proxy.admin_url}/mode") as response:
            assert await response.json() == {"mode": "bypass"}
        opted_out = {"Cookie": "fs_optout=1"}
        assert {await visit(http, proxy, f"u-{number}", opted_out) for number in range(10)} == {10}
        assert (await ready(http, proxy))["privacy"] == ["opt_out"]
        async with http.post(f"{proxy.admin_url}/mode", json={"mode": "bypass", "privacy": "off"}) as response:
            assert response.status == 200
        assert {await visit(http, proxy, f"v-{number}", opted_out) for number in range(10)} == {None}
        before = await pids(http, proxy)
        os.kill(before["2"], signal.SIGKILL)
        await replaced(http, proxy, before)
        assert {await visit(http, proxy, f"w-{number}", opted_out) for number in range(10)} == {None}
        assert (await ready(http, proxy))["privacy"] == []


async def test_a_port_of_another_program_is_not_shared_with_it(valkey: ValkeyServer, tmp_path: Path) -> None:
    """Also when that program would let others listen beside it."""
    (port,) = free_ports(1)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        file = tmp_path / "fsproxy.json"
        config = shared("http://127.0.0.1:9", valkey)
        (admin,) = free_ports(1)
        config |= {"listen": {"host": "127.0.0.1", "port": port}, "admin": {"port": admin}}
        file.write_text(json.dumps(config))
        code, said = await serve(file)
    assert code == 1
    assert f"listen.port: {port} is in use by another program; allowed: one that no program listens on" in said
    assert '"fsproxy.faults":1' in said.splitlines()[-1]


async def test_a_start_that_fails_in_the_workers_fails_as_a_whole(valkey: ValkeyServer, tmp_path: Path) -> None:
    # A socket may be written to, as far as can be seen before it is opened.
    with socket.socket(socket.AF_UNIX) as file:
        file.bind(str(tmp_path / "audit.log"))
    config = shared("http://127.0.0.1:9", valkey, audit={"to": str(tmp_path / "audit.log")})
    with pytest.raises(ProxyDiedError, match=r"(?s)exit status 1: .*audit\.to.*could not start"):
        async with running_proxy(config, {"TMPDIR": str(tmp_path)}):
            raise AssertionError("it is ready")
    assert folders(tmp_path) == []


async def test_lines_of_two_workers_in_one_pipe_stay_whole(
    upstream: RecordingUpstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """Nobody reads until both have more to write than a pipe holds: what is written then comes in parts."""
    fifo, pages = tmp_path / "fifo", 1000
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    command = ("bash", "-c", f'exec "$0" -m fsproxy serve "$@" > {fifo}', sys.executable)
    try:
        async with running_proxy(shared(upstream.url, valkey), {"TMPDIR": str(tmp_path)}, command=command) as proxy:
            async with fresh_connections() as http:
                for burst in range(5):
                    await asyncio.gather(*(visit(http, proxy, f"{burst}-{number}") for number in range(pages // 5)))
            lines = [json.loads(line) for line in await read_lines(reader, pages)]
    finally:
        os.close(reader)
    assert {line["fsproxy.worker"] for line in lines} == {1, 2}


async def read_lines(reader: int, count: int) -> list[bytes]:
    """So many lines of a pipe that does not block."""
    text = b""
    async with asyncio.timeout(DEADLINE):
        while text.count(b"\n") < count:
            try:
                text += os.read(reader, 4096)
            except BlockingIOError:
                await asyncio.sleep(POLL)
    return text.splitlines()


async def serve(file: Path) -> tuple[int, str]:
    """Exit status and stderr of a start that fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fsproxy",
        "serve",
        "--config",
        str(file),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE):
        _, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, err.decode()
