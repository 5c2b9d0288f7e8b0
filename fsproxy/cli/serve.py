"""``serve``: the proxy, in one process or with workers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from click.core import ParameterSource

from fsproxy.app import App
from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import config_option
from fsproxy.cli.running import load_or_report, load_text_or_report, run
from fsproxy.config.schema import Config
from fsproxy.fleet.supervisor import Supervisor
from fsproxy.fleet.take_over import Predecessor
from fsproxy.reload.build_generation import Source


@click.command(
    cls=Documented,
    statuses={0: "the proxy was stopped", 1: "it cannot start, or the configuration is at fault"},
    examples=["fsproxy serve --config config/fsproxy.yaml", "fsproxy serve --upstream https://capture.example.net"],
)
@config_option(required=False)
@click.option("--upstream", metavar="URL", help="Run without a file: the capture backend; all else is by default.")
@click.option("--port", type=click.IntRange(0, 65535), help="With --upstream: the port for recorders; default: 8080.")
@click.option("--admin-port", type=click.IntRange(0, 65535), help="With --upstream: the admin port; default: 8081.")
@click.option(
    "--take-over", is_flag=True, help="Replace the program that serves on these ports: it drains once this one listens."
)
def serve(
    path: Path | None, upstream: str | None, port: int | None, admin_port: int | None, *, take_over: bool
) -> None:
    """Run the proxy until SIGTERM or SIGINT; then finish the requests under way and exit with status 0."""
    given = click.get_current_context().get_parameter_source("path")
    if upstream is not None and given is ParameterSource.COMMANDLINE:
        raise click.UsageError("--upstream runs without a file, so it does not go with --config")
    if upstream is None:
        if path is None:
            raise click.UsageError("--config FILE or --upstream URL is needed")
        if port is not None or admin_port is not None:
            raise click.UsageError("--port and --admin-port go with --upstream; a file has listen.port and admin.port")
        config, source = load_or_report(path), Source(path, dict(os.environ))
    else:
        config, source, path = _without_file(upstream, port, admin_port), None, None
    run(config, lambda: _serve(config, source, take_over=take_over), path, ports=not take_over)


def _without_file(upstream: str, port: int | None, admin_port: int | None) -> Config:
    sections: dict[str, dict[str, object]] = {"upstream": {"url": upstream}}
    if port is not None:
        sections["listen"] = {"port": port}
    if admin_port is not None:
        sections["admin"] = {"port": admin_port}
    return load_text_or_report(json.dumps(sections))


async def _serve(config: Config, source: Source | None, *, take_over: bool) -> None:
    predecessor = await Predecessor.find(config) if take_over else None
    try:
        if source is not None and config.workers > 1:
            await Supervisor(config, source, predecessor).run()
        else:
            await App(config, source, predecessor=predecessor).run()
    finally:
        if predecessor is not None:
            await predecessor.close()
