"""``serve``: how it starts, and what it prints when it cannot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from support.commands import Command, run
from support.log_lines import log_lines, messages
from support.ports import free_ports
from support.proxy import Program, running_proxy
from support.rig import running_rig

ROOT = Path(__file__).parents[2]
UPSTREAM = "upstream: {url: http://127.0.0.1:9}\nstate: {persist: null}\n"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        yield port


@pytest.mark.parametrize("which", ["listen", "admin"])
async def test_a_port_in_use_is_reported_with_its_place_and_exit_status_1(
    tmp_path: Path, taken: int, which: str
) -> None:
    (free,) = free_ports(1)
    ports = {"listen": free, "admin": free, which: taken}
    file = tmp_path / "fsproxy.yaml"
    sections = "".join(f"{name}: {{host: 127.0.0.1, port: {port}}}\n" for name, port in ports.items())
    file.write_text(UPSTREAM + sections)
    code, out, err = await run(tmp_path, "serve", "--config", str(file))
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    fault, end = log_lines(err)
    assert f"{which}.port: {taken} is in use by another program; allowed: one that no" in fault["message"]
    assert (fault["file.path"], fault["fsproxy.key"], fault["fsproxy.line"]) == (
        str(file),
        f"{which}.port",
        3 + (which == "admin"),
    )
    assert (end["message"], end["fsproxy.faults"]) == ("fsproxy cannot start", 1)


async def test_faults_of_the_configuration_are_reported_and_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "fsproxy.yaml").write_text(f"{UPSTREAM}mode: strict\nnope: 1\n")
    code, out, err = await run(tmp_path, "serve", "--config", "fsproxy.yaml")
    assert (code, out) == (1, "")
    assert [message[:24] for message in messages(err)] == [
        "fsproxy.yaml:3:7: mode: ", "fsproxy.yaml:4:1: nope: ", "fsproxy cannot start"
    ]  # fmt: skip


async def test_without_a_configuration_the_usage_is_reported_with_exit_status_2(tmp_path: Path) -> None:
    code, _, err = await run(tmp_path, "serve", env={"FSPROXY_CONFIG": ""})
    assert code == 2
    assert "--config" in err


async def test_a_cache_that_is_switched_off_by_the_environment_is_refused(tmp_path: Path) -> None:
    """``AIOCACHE_DISABLE=1`` would count repeated calls twice, without a word."""
    (tmp_path / "fsproxy.yaml").write_text(UPSTREAM)
    code, out, err = await run(tmp_path, "serve", env={"FSPROXY_CONFIG": "fsproxy.yaml", "AIOCACHE_DISABLE": "1"})
    assert (code, out) == (1, "")
    assert messages(err)[0].startswith("AIOCACHE_DISABLE is set")


async def test_a_database_that_is_not_there_is_reported(tmp_path: Path) -> None:
    ports = "listen: {host: 127.0.0.1, port: 0}\nadmin: {port: 0}\n"
    geo = "filters: {geo: {never: [AQ], source: {database: none.mmdb}}}\n"
    (tmp_path / "fsproxy.yaml").write_text(UPSTREAM + ports + geo)
    code, _, err = await run(tmp_path, "serve", "--config", "fsproxy.yaml")
    assert code == 1
    assert "Traceback" not in err
    assert 'fsproxy.yaml:5:49: filters.geo.source.database: "none.mmdb" cannot be opened' in messages(err)[0]


@pytest.mark.parametrize("to", ["no-such-folder/audit.jsonl", "."])
async def test_an_audit_file_that_cannot_be_opened_is_reported(tmp_path: Path, to: str) -> None:
    ports = "listen: {host: 127.0.0.1, port: 0}\nadmin: {port: 0}\n"
    (tmp_path / "fsproxy.yaml").write_text(f"{UPSTREAM}{ports}audit: {{to: {to}}}\n")
    code, _, err = await run(tmp_path, "serve", "--config", "fsproxy.yaml")
    assert code == 1
    assert "Traceback" not in err
    assert f'fsproxy.yaml:5:13: audit.to: "{to}" is ' in messages(err)[0]


async def test_the_annotated_configuration_starts_as_it_is(tmp_path: Path) -> None:
    """But for the ports, which others may use on this machine."""
    port, admin_port = free_ports(2)
    text = (ROOT / "config" / "fsproxy.yaml").read_text()
    assert text.count("port: 8080") == text.count("port: 8081") == 1
    folder = tmp_path / "config"
    folder.mkdir()
    file = folder / "fsproxy.yaml"
    file.write_text(text.replace("port: 8080", f"port: {port}").replace("port: 8081", f"port: {admin_port}"))
    command = await Command.begin(tmp_path, "serve", "--config", str(file))
    try:
        await until_ready(f"http://127.0.0.1:{admin_port}/readyz", command.process)
    finally:
        command.process.terminate()
        assert (await command.ended())[0] == 0


async def until_ready(url: str, process: Program) -> None:
    async with asyncio.timeout(120), aiohttp.ClientSession() as http:
        while process.returncode is None:
            try:
                async with http.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.02)
    raise AssertionError(f"exit status {process.returncode}")


async def test_one_line_at_the_start_sums_up_what_is_enforced_and_whom_it_trusts() -> None:
    filters = {"ip": {"block": ["10.0.0.0/8"]}, "quota": {"sessions": 5, "mode": "shadow"}}
    async with running_rig({"filters": filters, "admin": {"token": "planted"}}) as rig:
        first = messages(rig.proxy.log_text())[0]
    assert first.startswith("mode enforce; upstream http://127.0.0.1:")
    assert "enforced: url, ip, opt_out" in first
    assert "shadowed: quota" in first
    assert "trusts x-forwarded-for from 127.0.0.0/8, ::1/128" in first
    assert "in memory of this instance alone, forgotten at restart" in first
    assert "planted" not in first


async def test_an_interrupt_ends_it_as_well_and_as_cleanly() -> None:
    config = {"upstream": {"url": "http://127.0.0.1:9"}}
    async with running_proxy(config) as proxy:
        proxy.process.send_signal(2)
        async with asyncio.timeout(120):
            assert await proxy.process.wait() == 0
        assert "Traceback" not in proxy.log_text()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("command", ["check", "serve"])
async def test_an_upstream_that_is_our_own_listener_is_refused(tmp_path: Path, command: str, host: str) -> None:
    port, admin_port = free_ports(2)
    config = tmp_path / "fsproxy.yaml"
    config.write_text(
        f"listen: {{port: {port}}}\nadmin: {{port: {admin_port}}}\n"
        f"upstream: {{url: 'http://{host}:{port}', prefixes: {{/s/: 'http://{host}:{admin_port}'}}}}\n"
    )
    code, _, printed = await run(
        tmp_path, *(("check", str(config)) if command == "check" else ("serve", "--config", str(config)))
    )
    assert code == 1
    if command == "serve":
        printed = "\n".join(messages(printed))
    assert "fsproxy.yaml:3:17: upstream.url: " in printed
    assert "is this proxy itself, by its listen section" in printed
    assert "is this proxy itself, by its admin section" in printed


async def test_check_takes_a_port_for_free_that_fsproxy_itself_has_and_no_other(tmp_path: Path, taken: int) -> None:
    """So a file can be checked before a restart. The token is not sent to whatever answers there."""
    (free,) = free_ports(1)
    async with running_proxy({"upstream": {"url": "http://127.0.0.1:9"}, "admin": {"token": "planted"}}) as proxy:
        ports = (proxy.url.rpartition(":")[2], proxy.admin_url.rpartition(":")[2])
        for (port, admin_port), expected in ((ports, 0), ((taken, free), 1), ((ports[0], free), 1)):
            (tmp_path / "fsproxy.yaml").write_text(
                f"{UPSTREAM}listen: {{host: 127.0.0.1, port: {port}}}\nadmin: {{port: {admin_port}, token: planted}}\n"
            )
            code, _, err = await run(tmp_path, "check", "fsproxy.yaml")
            assert (code, "listen.port: " in err) == (expected, bool(expected))
            assert (await run(tmp_path, "check", "--no-host", "fsproxy.yaml"))[0] == 0


async def test_what_only_the_machine_lacks_is_reported_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "fsproxy.yaml").write_text(
        f"{UPSTREAM}listen: {{port: 0, tls: {{cert: none.pem, key: none.pem}}}}\nadmin: {{host: 192.0.2.1, port: 0}}\n"
        "audit: {to: none/audit.jsonl}\n"
    )
    code, out, err = await run(
        tmp_path, "serve", "--config", "fsproxy.yaml", env={"AIOCACHE_DISABLE": "1", "AIOHTTP_NO_EXTENSIONS": "1"}
    )
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    said = messages(err)
    parts = ("AIOCACHE_DISABLE", "C parser", "tls.cert", "admin.host", "audit.to", "cannot start")
    for line, part in zip(said, parts, strict=True):
        assert part in line
    code, _, printed = await run(
        tmp_path, "check", "fsproxy.yaml", env={"AIOCACHE_DISABLE": "1", "AIOHTTP_NO_EXTENSIONS": "1"}
    )
    assert code == 1
    found = [line.removeprefix("fsproxy: ") for line in printed.splitlines() if line[0] != " "]
    assert found == [*said[:-1], "fsproxy.yaml: 5 faults were found"]


@pytest.mark.parametrize("command", [("check",), ("serve", "--config")])
async def test_workers_need_a_temporary_folder_whose_path_is_short_enough_for_sockets(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    folder = tmp_path / ("t" * 90)
    folder.mkdir()
    (tmp_path / "fsproxy.yaml").write_text(
        "upstream: {url: http://127.0.0.1:9}\nlisten: {port: 0}\nadmin: {port: 0}\n"
        "state: {backend: redis}\nworkers: 2\n"
    )
    code, _, err = await run(tmp_path, *command, "fsproxy.yaml", env={"TMPDIR": str(folder)})
    assert code == 1
    said = err.splitlines() if command == ("check",) else messages(err)
    assert said[0].startswith(
        "fsproxy.yaml:5:10: workers: 2 needs a temporary folder with a shorter path, for sockets;"
    )
    assert said[-1] in {"fsproxy.yaml: 1 fault was found", "fsproxy cannot start"}
