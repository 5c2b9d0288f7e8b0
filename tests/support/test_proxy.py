"""How a process is started, awaited and stopped, with a stand-in that is no proxy."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from support.proxy import ProxyDiedError, running_proxy

STAND_IN = """
import http.server, json, signal, sys
config = json.load(open(sys.argv[sys.argv.index("--config") + 1]))
print(json.dumps({"config": config}), flush=True)
print("starting", file=sys.stderr, flush=True)
if config["mode"] == "dies":
    sys.exit(3)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(config["exit"]))
http.server.HTTPServer((config["admin"]["host"], config["admin"]["port"]), Handler).serve_forever()
"""


@pytest.fixture
def command(tmp_path: Path) -> tuple[str, ...]:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    return sys.executable, str(script)


async def test_a_ready_process_has_its_ports_its_output_and_a_clean_stop(command: tuple[str, ...]) -> None:
    async with running_proxy({"mode": "ready", "exit": 0}, files={"list.txt": "a"}, command=command) as proxy:
        (line,) = await proxy.audit(1)
        assert line["config"]["listen"] == {"host": "127.0.0.1", "port": proxy.port}
        assert line["config"]["state"] == {"persist": None}
        assert proxy.port != proxy.admin_port
        assert proxy.log_text() == "starting\n"
        assert (proxy.folder / "list.txt").read_text() == "a"
        proxy.write_config({"mode": "other"})
        assert json.loads(proxy.config_path.read_text())["listen"]["port"] == proxy.port


async def test_an_exit_status_other_than_0_fails_the_test(command: tuple[str, ...]) -> None:
    async def run() -> None:
        async with running_proxy({"mode": "ready", "exit": 7}, command=command):
            pass

    with pytest.raises(AssertionError, match="exit status 7"):
        await run()


async def test_a_process_that_ends_before_it_is_ready_says_why(command: tuple[str, ...]) -> None:
    with pytest.raises(ProxyDiedError, match=r"(?s)exit status 3.*starting"):
        await running_proxy({"mode": "dies"}, command=command).__aenter__()


async def test_a_unix_listener_gets_no_port(command: tuple[str, ...]) -> None:
    config = {"mode": "ready", "exit": 0, "listen": {"unix": "proxy.sock"}}
    async with running_proxy(config, command=command) as proxy:
        (line,) = await proxy.audit(1)
        assert line["config"]["listen"] == {"unix": "proxy.sock"}
