"""Files, descriptors, loops, balancers, certificates, the configuration and its mode: told when they are not normal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from pathlib import Path

import aiohttp
import pytest

from integration.conditions.test_upstream import certificate, get
from support import launch
from support.detour import Detour
from support.proxy import POLL, RunningProxy, running_proxy
from support.raw_http import eventually, scripted
from support.rig import JSON, running_rig
from support.told import begun, ended
from support.upstream import RecordingUpstream

LAUNCH = (sys.executable, launch.__file__, "serve")


async def test_a_state_file_that_cannot_be_written_is_told_and_when_it_can(tmp_path: Path) -> None:
    blocker = tmp_path / "var"
    blocker.write_text("in the way")
    path = str(blocker / "state.sqlite")
    async with running_rig({"state": {"persist": {"path": path, "every": "100ms"}}}) as rig:
        line = await begun(rig.proxy, "state")
        assert str(line["message"]).startswith(f"the state file {path} cannot be written: ")
        blocker.unlink()
        await ended(rig.proxy, "state")


async def test_a_state_file_that_was_set_aside_is_told(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    async with running_rig({"state": {"persist": {"path": str(path)}}}) as rig:
        line = await begun(rig.proxy, "state:incident", "warn")
        assert ".aside: quotas and names start from nothing" in str(line["message"])


async def test_a_state_file_of_another_process_is_told_until_it_ends(tmp_path: Path) -> None:
    config = {"state": {"persist": {"path": str(tmp_path / "state.sqlite"), "every": "100ms"}}}
    async with running_rig(config) as first, running_rig(config) as second:
        line = await begun(second.proxy, "state", "warn")
        assert f"is kept by another process (process {first.proxy.process.pid})" in str(line["message"])
        await first.proxy.stop()
        await ended(second.proxy, "state")


async def test_audit_lines_that_are_lost_are_told_with_the_reason_and_how_many() -> None:
    async with running_rig({"audit": {"to": "/dev/full"}}) as rig:
        assert (await rig.page()).status == 200
        line = await begun(rig.proxy, "audit")
        assert line["message"] == "audit lines are lost: /dev/full cannot be written: no space left on device"
        assert line["fsproxy.count"] == 1


async def test_an_audit_file_that_has_room_again_is_told(tmp_path: Path) -> None:
    """A pipe whose reader is gone, and is there again."""
    pipe = tmp_path / "audit"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    async with running_rig({"audit": {"to": str(pipe)}}) as rig:
        os.close(reader)
        await rig.page()
        line = await begun(rig.proxy, "audit")
        assert line["fsproxy.kind"] == "broken pipe"
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            await rig.page()
            await ended(rig.proxy, "audit")
        finally:
            os.close(reader)


async def test_an_audit_file_that_cannot_be_opened_again_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    async with running_rig({"audit": {"to": str(folder / "audit.log")}}) as rig:
        folder.rename(tmp_path / "moved")
        rig.proxy.signal(1)
        await begun(rig.proxy, "audit:reopen", "warn")
        (tmp_path / "moved").rename(folder)
        rig.proxy.signal(1)
        await ended(rig.proxy, "audit:reopen")


async def test_an_audit_file_that_was_deleted_is_made_again_without_a_signal(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    path = folder / "audit.log"
    folder.mkdir()
    async with running_rig({"audit": {"to": str(path)}}) as rig:
        path.unlink()
        await eventually(path.exists)
        await rig.page()
        await eventually(lambda: path.read_bytes().endswith(b"\n"))
        folder.rename(tmp_path / "moved")
        await begun(rig.proxy, "audit:reopen", "warn")
        folder.mkdir()
        await ended(rig.proxy, "audit:reopen")
        assert path.exists()


async def test_descriptors_that_are_nearly_used_up_are_told() -> None:
    config = {"server": {"max_connections": 200, "header_timeout": "120s"}, "upstream": {"max_connections": 10}}
    async with running_rig(config) as rig, contextlib.AsyncExitStack() as stack:
        for _ in range(100):
            _, writer = await asyncio.open_connection("127.0.0.1", rig.proxy.port)
            stack.callback(writer.close)
        pid = rig.proxy.process.pid
        folder = Path(f"/proc/{pid}/fd")
        await eventually(lambda: len(list(folder.iterdir())) > 100)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # A few stay free, so that the question for the condition can be answered.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(list(folder.iterdir())) + 4, before[1]))
        await begun(rig.proxy, "descriptors")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        await ended(rig.proxy, "descriptors")


async def test_a_loop_is_told_until_the_upstream_is_another() -> None:
    detour = Detour()
    async with scripted(detour.serve) as back, RecordingUpstream(allow_unexpected=True) as upstream:
        async with aiohttp.ClientSession() as http, running_proxy({"upstream": {"url": back.url}}) as proxy:
            detour.port = proxy.port
            for _ in range(5):
                assert await get(http, proxy) == 508
            assert (await begun(proxy, "loop"))["fsproxy.count"] >= 1
            proxy.write_config({"upstream": {"url": upstream.url}})
            await ended(proxy, "loop")
            assert "fails" not in proxy.log_text(), "one cause, one line"


async def test_a_balancer_that_is_not_trusted_is_named_until_it_is() -> None:
    async with running_rig({"client_ip": {"trusted_proxies": []}}) as rig:
        for _ in range(100):
            await rig.page()
        line = await begun(rig.proxy, "forwarding", "warn")
        assert line["fsproxy.address"] == "127.0.0.1"
        assert "add 127.0.0.1 to client_ip.trusted_proxies" in str(line["fsproxy.more"])
        rig.proxy.write_config({"upstream": {"url": rig.upstream.url}})
        await ended(rig.proxy, "forwarding")


async def test_connections_over_the_limit_are_told() -> None:
    async with running_rig({"server": {"max_connections": 20}}) as rig:
        writers = [(await asyncio.open_connection("127.0.0.1", rig.proxy.port))[1] for _ in range(20)]
        try:
            assert (await rig.page()).status == 503
            await begun(rig.proxy, "overloaded")
        finally:
            for each in writers:
                each.close()


async def test_a_reload_that_is_refused_is_told_with_file_and_line_and_without_the_value() -> None:
    async with running_rig() as rig:
        good = rig.proxy.config_path.read_text()
        bad = json.loads(good) | {"filters": {"ip": {"block": ["PLANTED"]}}}
        rig.proxy.config_path.write_text(json.dumps(bad, indent=1))
        line = await begun(rig.proxy, "config")
        place = str(line["message"]).removeprefix("the new configuration is not used: ")
        assert place.startswith(str(rig.proxy.config_path))
        assert "filters.ip.block[0]" in place
        assert "PLANTED" not in place
        rig.proxy.config_path.write_text(good)
        await ended(rig.proxy, "config")


async def test_a_broken_certificate_in_a_reload_is_told(tmp_path: Path) -> None:
    certificate(tmp_path, "own")
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        good = {"upstream": {"url": upstream.url, "tls": {"ca": str(tmp_path / "own.pem")}}}
        async with running_proxy({"upstream": {"url": upstream.url}}) as proxy:
            pem = (tmp_path / "own.pem").read_text()
            (tmp_path / "own.pem").write_text("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n")
            proxy.write_config(good)
            assert "upstream.tls.ca" in str((await begun(proxy, "config"))["message"])
            (tmp_path / "own.pem").write_text(pem)
            proxy.signal(1)
            await ended(proxy, "config")


async def test_changes_that_need_a_restart_are_told() -> None:
    async with running_rig() as rig:
        config = {"upstream": {"url": rig.upstream.url}}
        rig.proxy.write_config({**config, "server": {"drain": "3s"}})
        assert (await begun(rig.proxy, "config:restart", "warn"))["fsproxy.keys"] == "server.drain"
        rig.proxy.write_config(config)
        await ended(rig.proxy, "config:restart")


@pytest.mark.parametrize("mode", ["shadow", "bypass"])
async def test_a_mode_that_is_not_the_usual_one_is_told_and_by_whom(mode: str) -> None:
    async with running_rig() as rig:
        await rig.set_mode(mode)
        assert (await begun(rig.proxy, f"mode:{mode}", "info"))["fsproxy.by"] == "the admin API"
        await rig.set_mode("enforce")
        await ended(rig.proxy, f"mode:{mode}")


@pytest.mark.parametrize(("days", "level", "verb"), [(60, None, ""), (5, "warn", "ends"), (-1, "bad", "ended")])
async def test_our_own_certificate_is_told_before_it_ends_and_after(
    tmp_path: Path, days: int, level: str | None, verb: str
) -> None:
    certificate(tmp_path, "own", days=days)
    tls = {"cert": str(tmp_path / "own.pem"), "key": str(tmp_path / "own.key")}
    async with RecordingUpstream(allow_unexpected=True) as upstream:
        config = {"upstream": {"url": upstream.url}, "listen": {"tls": tls}}
        async with running_proxy(config) as proxy:
            await _certificate_told(proxy, tls["cert"], level, verb)


async def _certificate_told(proxy: RunningProxy, path: str, level: str | None, verb: str) -> None:
    if level is None:
        await asyncio.sleep(POLL)
        assert "certificate" not in proxy.log_text()
        return
    line = await begun(proxy, f"certificate:listen.tls ({path})", level)
    assert f"the certificate of listen.tls ({path}) {verb} on 2" in str(line["message"])


async def test_a_level_that_keeps_everything_but_errors_from_the_log_keeps_alerts() -> None:
    async with running_rig({"log": {"level": "error"}, "mode": "shadow"}) as rig:
        alerts = json.loads((await rig.admin("/api/status", **JSON))[1])["alerts"]
        assert [each["id"] for each in alerts] == ["mode:shadow"]
        assert "the mode is shadow" not in rig.proxy.log_text()
