"""``demo``: the proxy in front of the built-in backend."""

from __future__ import annotations

import socket
from dataclasses import replace
from importlib import resources

import click
import structlog
from aiohttp import web

from fsproxy.app import App
from fsproxy.cli.documented import Documented
from fsproxy.cli.running import load_or_report, run
from fsproxy.config.schema import Config
from fsproxy.demo.backend import create_backend
from fsproxy.demo.curl import curl_lines
from fsproxy.telemetry.logs import writes_json

log = structlog.get_logger("fsproxy")


@click.command(
    cls=Documented,
    statuses={0: "the demo was stopped", 1: "it cannot start"},
    examples=["fsproxy demo", "fsproxy demo --port 9080 --admin-port 9081 > audit.log"],
)
@click.option("--port", type=click.IntRange(1, 65535), help="The port for recorders; default: 8080.")
@click.option("--admin-port", type=click.IntRange(1, 65535), help="The admin port; default: 8081.")
def demo(port: int | None, admin_port: int | None) -> None:
    """Run the proxy on port 8080 (admin: 8081) in front of a built-in capture backend, with a few rules to try."""
    # The backend takes any free port. It is bound first, so that the configuration can name it.
    backend = socket.create_server(("127.0.0.1", 0))
    backend_port = backend.getsockname()[1]
    with resources.as_file(resources.files("fsproxy.demo") / "demo.yaml") as path:
        config = load_or_report(path, {"FSPROXY_DEMO_PORT": str(backend_port)})
    config = replace(
        config,
        listen=replace(config.listen, port=port or config.listen.port),
        admin=replace(config.admin, port=admin_port or config.admin.port),
    )
    run(config, lambda: _serve(config, backend))


async def _serve(config: Config, backend: socket.socket) -> None:
    runner = web.AppRunner(create_backend(), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.SockSite(runner, backend).start()
        await App(config, on_listening=lambda: _greet(config)).run()
    finally:
        await runner.cleanup()


def _greet(config: Config) -> None:
    page = f"The operators' page: http://127.0.0.1:{config.admin.port}/"
    if writes_json():
        log.info(page, commands=list(curl_lines(config.listen.port)))
        return
    click.echo("\nfsproxy demo: try these commands in another terminal.\n", err=True)
    for line in curl_lines(config.listen.port):
        click.echo(line + "\n", err=True)
    click.echo(page, err=True)
