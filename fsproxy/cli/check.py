"""``check``: the faults of configurations, found without running them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from fsproxy.cli.documented import Documented
from fsproxy.cli.loading import echo_faults, placed
from fsproxy.clock import now
from fsproxy.config.files import MOST_BYTES, Files, UnreadableError, decoded
from fsproxy.config.loader import load_text
from fsproxy.config.problems import ConfigError, HostError, Problem
from fsproxy.config.schema import Config
from fsproxy.config.summary import summary
from fsproxy.core.lapses import due, lapses_of

_STDIN = Path("-")


@click.command(
    cls=Documented,
    statuses={0: "no file has a fault", 1: "a file has faults, which standard error lists"},
    examples=[
        "fsproxy check config/fsproxy.yaml",
        "fsproxy check --no-host staging.yaml production.yaml",
        "envsubst < template.yaml | fsproxy check -",
    ],
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--no-host",
    is_flag=True,
    help="For CI: leave out what depends on the machine, which is variables, extras, certificates, folders and ports.",
)
def check(files: tuple[Path, ...], *, no_host: bool) -> None:
    """Check each configuration FILE for all that serve would refuse; - is standard input.

    All faults are listed at once, each with line and column. Certificates, folders and ports are looked at as the user
    who runs this, from the working folder.
    """
    fine = [_is_fine(file, no_host=no_host) for file in files]
    if not all(fine):
        raise SystemExit(1)


def _is_fine(file: Path, *, no_host: bool) -> bool:
    faults: list[Problem | HostError]
    more = ""
    warnings: list[str] = []
    try:
        text = _text(file)
        config = load_text(text, str(file), os.environ, file.parent)
        faults = [] if no_host else placed(asyncio.run(_host_errors(config)), text, file)
        more = f". {summary(config)}"
        warnings = [*config.warnings, *(lapse.text(now()) for lapse in due(lapses_of(config.core), now()))]
    except UnreadableError as error:
        faults = [Problem(str(file), error.line, 1, "", None, "", str(error))]
    except ConfigError as error:
        faults = [problem for problem in error.problems if not (no_host and problem.of_host)]
        more = f", but for what depends on the machine: {', '.join(each.key_path for each in error.problems)}"
    if faults:
        echo_faults(str(file), faults)
    else:
        click.echo(f"{file}: fine{more}")
    for each in warnings:
        click.echo(f"{file}: warning: {each}")
    return not faults


def _text(file: Path) -> str:
    if file == _STDIN:
        return decoded(sys.stdin.buffer.read(MOST_BYTES + 1))
    return Files(file.parent).text(file)


async def _host_errors(config: Config) -> list[HostError]:
    from fsproxy.cli.host_checks import host_errors, without_own_ports  # noqa: PLC0415 - slow to import

    return await without_own_ports(config, await host_errors(config))
