"""A running program whose configuration changes: the file, its lists, a signal, the admin port."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from support.proxy import POLL
from support.rig import AGENT, JSON, Rig, running_rig
from support.upstream import RecordingUpstream

BLOCK = {"filters": {"user_agent": {"block": [AGENT]}}}
LIST = {"filters": {"user_agent": {"block": ["file:agents.txt"]}}}
BAD = {"filters": {"geo": {"never": ["XX1"]}}, "modes": "enforce"}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running_rig(LIST, files={"agents.txt": "NoSuchBot\n"}) as running:
        yield running


def write(rig: Rig, config: dict[str, Any]) -> None:
    upstream = {"page_retry": "1ms", **config.get("upstream", {})}
    rig.proxy.write_config({**config, "upstream": {"url": rig.upstream.url, **upstream}})


async def until(rig: Rig, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The body of ``/readyz`` once this holds for it."""
    try:
        async with asyncio.timeout(120):
            while not holds(body := json.loads((await rig.admin("/readyz"))[1])):
                await asyncio.sleep(POLL)
    except TimeoutError:
        raise AssertionError(f"{body}: {rig.proxy.log_text()}") from None
    return dict(body)


def generation(number: int) -> Callable[[dict[str, Any]], bool]:
    return lambda body: body["generation"] == number and not body["config"]["errors"]


async def test_the_file_and_its_lists_are_followed_without_being_told(rig: Rig) -> None:
    assert (await rig.page()).status == 200
    write(rig, BLOCK)
    await until(rig, generation(2))
    blocked = await rig.page()
    assert blocked.status == 202
    assert (await rig.line(blocked))["fsproxy.generation"] == 2
    write(rig, LIST)
    await until(rig, generation(3))
    assert (await rig.page()).status == 200
    (rig.proxy.folder / "agents.txt").write_text(f"{AGENT}\n")
    await until(rig, generation(4))
    assert (await rig.page()).status == 202
    assert "detected" not in rig.proxy.log_text()


async def test_a_bad_file_is_told_everywhere_and_changes_nothing(rig: Rig) -> None:
    write(rig, BLOCK)
    await until(rig, generation(2))
    write(rig, BAD)
    body = await until(rig, lambda body: bool(body["config"]["errors"]))
    assert (body["generation"], body["config"]["error_count"], body["status"]) == (2, 2, "ready")
    assert await rig.counted("fsproxy_config_errors") == 2
    assert await rig.counted("fsproxy_config_generation") == 2
    assert await rig.counted("fsproxy_config_loaded_timestamp_seconds") == pytest.approx(body["config"]["loaded"])
    assert "XX1" in rig.proxy.log_text()
    assert "modes" in rig.proxy.log_text()
    assert (await rig.page()).status == 202
    write(rig, LIST)
    await until(rig, generation(3))
    assert await rig.counted("fsproxy_config_errors") == 0
    assert (await rig.page()).status == 200


async def test_a_file_that_would_cost_minutes_to_read_is_told_as_a_fault_and_changes_nothing(rig: Rig) -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 9)]
    rig.proxy.config_path.write_text("\n".join(lines))
    body = await until(rig, lambda body: bool(body["config"]["errors"]))
    assert body["config"]["error_count"] == 1
    assert "is repeated too often by aliases" in body["config"]["errors"][0]
    assert (await rig.page()).status == 200
    write(rig, BLOCK)
    await until(rig, generation(2))


async def test_a_hangup_loads_anew_and_opens_the_audit_file_again() -> None:
    async with running_rig({"audit": {"to": "audit.log"}}) as rig:
        path = rig.proxy.folder / "audit.log"
        before = await rig.page()
        await rig_until(lambda: before.request_id in text(path))
        path.rename(path.with_name("audit.log.1"))
        rig.proxy.signal(signal.SIGHUP)
        await until(rig, generation(2))
        after = await rig.page()
        await rig_until(lambda: after.request_id in text(path))
        assert before.request_id not in text(path)
        assert json.loads(text(path).splitlines()[-1])["fsproxy.generation"] == 2


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def rig_until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not holds():
            await asyncio.sleep(POLL)


async def test_the_admin_port_reloads_and_answers_with_what_became_of_it(rig: Rig) -> None:
    write(rig, BLOCK)
    status, answer = await rig.admin("/reload", "POST", b"{}", **JSON)
    assert status == 200
    assert json.loads(answer)["errors"] == []
    number = json.loads(answer)["generation"]
    assert number >= 2
    assert (await rig.page()).status == 202
    write(rig, BAD)
    status, answer = await rig.admin("/reload", "POST", b"{}", **JSON)
    assert (status, json.loads(answer)["error_count"], json.loads(answer)["generation"]) == (422, 2, number)
    assert (await rig.admin("/reload", "POST", b"{}", Content_Type="text/plain"))[0] == 400
    assert (await rig.admin("/reload"))[0] == 405


async def test_a_mode_of_the_admin_port_outlives_a_reload_of_the_file(rig: Rig) -> None:
    write(rig, BLOCK)
    await until(rig, generation(2))
    await rig.set_mode("bypass")
    write(rig, {**BLOCK, "mode": "shadow"})
    await until(rig, generation(3))
    assert json.loads((await rig.admin("/mode"))[1]) == {"mode": "bypass"}
    assert (await rig.page()).status == 200
    await rig.set_mode("enforce")
    assert (await rig.page()).status == 202


async def test_logs_cors_and_audit_follow_and_what_takes_a_restart_is_named(rig: Rig) -> None:
    changed = {
        **BLOCK,
        "log": {"level": "warning"},
        "cors": {"origins": ["*.elsewhere.example"]},
        "audit": {"client_ip": "none"},
        "server": {"keepalive": "7s"},
        "workers": 1,
    }
    write(rig, changed)
    body = await until(rig, generation(2))
    assert body["config"]["restart_needed_for"] == ["server.keepalive"]
    blocked = await rig.page()
    assert "Access-Control-Allow-Origin" not in blocked.headers
    assert "client.ip" not in await rig.line(blocked)
    log = rig.proxy.log_text()
    assert log.count("a restart is needed for changes of") == 1
    write(rig, {**changed, "mode": "shadow"})
    await until(rig, generation(3))
    assert rig.proxy.log_text().count("configuration loaded") == log.count("configuration loaded")
    assert rig.proxy.log_text().count("a restart is needed for changes of") == 1


async def test_another_upstream_is_used_from_the_next_request_on(rig: Rig) -> None:
    async with RecordingUpstream() as other:
        write(rig, {"upstream": {"url": other.url}})
        await until(rig, generation(2))
        assert (await rig.page()).status == 200
        assert len(other.received) == 1
    assert not rig.upstream.received


async def test_a_mounted_config_map_is_followed_through_many_swaps(rig: Rig) -> None:
    """The file is a symlink through ``..data``, which is swapped; the old folder goes at once."""
    folder, file = rig.proxy.folder, rig.proxy.config_path
    plain = json.loads(file.read_text())
    blocked = {**plain, **BLOCK}

    def swap(number: int, config: dict[str, Any]) -> None:
        name, link = folder / f"..2026_{number}", folder / "..data_tmp"
        name.mkdir()
        (name / "fsproxy.yaml").write_text(json.dumps(config))
        (name / "agents.txt").write_text("NoSuchBot\n")
        link.symlink_to(name.name)
        link.replace(folder / "..data")
        old = folder / f"..2026_{number - 1}"
        for each in ("fsproxy.yaml", "agents.txt"):
            (old / each).unlink(missing_ok=True)

    swap(1, blocked)
    link = folder / "fsproxy.link"
    link.symlink_to("..data/fsproxy.yaml")
    link.replace(file)
    await until(rig, generation(2))
    for number in range(2, 10):
        swap(number, blocked if number % 2 else plain)
        await until(rig, generation(number + 1))
        assert (await rig.page()).status == (202 if number % 2 else 200)
