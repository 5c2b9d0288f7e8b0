"""``serve`` and ``demo``: running the proxy."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from importlib import resources
from pathlib import Path

import click
from aiohttp import web

from fsproxy.app import App
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import CONFIG_OPTION, load_or_exit
from fsproxy.config.schema import Config
from fsproxy.config.summary import summary
from fsproxy.demo.backend import create_backend
from fsproxy.demo.curl import curl_lines
from fsproxy.fleet.descriptors import raise_limit
from fsproxy.fleet.event_loop import loop_factory
from fsproxy.fleet.listening import StartError
from fsproxy.fleet.supervisor import Supervisor
from fsproxy.fleet.take_over import Predecessor
from fsproxy.proxy.geo import GeoError
from fsproxy.reload.build_generation import Source
from fsproxy.state.cache import refuse_disabled
from fsproxy.telemetry.logs import configure_logs


@click.command(
    cls=Documented,
    statuses={0: "stopped", 1: "cannot start, or the configuration is at fault"},
    examples=["fsproxy serve --config config/fsproxy.yaml"],
)
@CONFIG_OPTION
@click.option("--take-over", is_flag=True, help="Start beside the one that serves; it drains once this one listens.")
def serve(path: Path, *, take_over: bool) -> None:
    """Run the proxy until SIGTERM; then finish what is in flight and exit 0."""
    _run(load_or_exit(path), source=Source(path, dict(os.environ)), take_over=take_over)


@click.command(
    cls=Documented,
    statuses={0: "stopped", 1: "cannot start"},
    examples=["fsproxy demo", "fsproxy demo --port 9080 --admin-port 9081 > audit.log"],
)
@click.option("--port", type=click.IntRange(1, 65535), help="Where recorders are answered; default: 8080.")
@click.option("--admin-port", type=click.IntRange(1, 65535), help="The admin port; default: 8081.")
def demo(port: int | None, admin_port: int | None) -> None:
    """Run the proxy on 8080 (admin on 8081) in front of a built-in capture backend, with a few rules to try."""
    # Bound first, so that the configuration can name it: any free port does.
    backend = socket.create_server(("127.0.0.1", 0))
    backend_port = backend.getsockname()[1]
    with resources.as_file(resources.files("fsproxy.demo") / "demo.yaml") as path:
        config = load_or_exit(path, {"FSPROXY_DEMO_PORT": str(backend_port)})
    config = replace(
        config,
        listen=replace(config.listen, port=port or config.listen.port),
        admin=replace(config.admin, port=admin_port or config.admin.port),
    )
    click.echo("fsproxy demo: try one of these in another terminal\n", err=True)
    for line in curl_lines(config.listen.port):
        click.echo(line + "\n", err=True)
    _run(config, backend)


def _run(
    config: Config, backend: socket.socket | None = None, source: Source | None = None, *, take_over: bool = False
) -> None:
    configure_logs(config.log.level, config.log.format)
    problem = refuse_disabled(os.environ)
    if problem is not None:
        _give_up(problem)
    raise_limit(config)
    click.echo(summary(config), err=True)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_main(config, backend, source, take_over=take_over))
    except (StartError, GeoError) as error:
        _give_up(str(error))
    except OSError as error:
        if str(error.filename) != config.audit.to:
            raise
        _give_up(f"audit.to {config.audit.to}: {error.strerror}")


async def _main(config: Config, backend: socket.socket | None, source: Source | None, *, take_over: bool) -> None:
    predecessor = await Predecessor.find(config) if take_over else None
    try:
        if source is not None and config.workers > 1:
            await Supervisor(config, source, predecessor).run()
            return
        if backend is None:
            await App(config, source, predecessor=predecessor).run()
            return
    finally:
        if predecessor is not None:
            await predecessor.close()
    runner = web.AppRunner(create_backend(), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.SockSite(runner, backend).start()
        await App(config).run()
    finally:
        await runner.cleanup()


def _give_up(problem: str) -> None:
    click.echo(f"fsproxy: {problem}", err=True)
    raise SystemExit(1)
