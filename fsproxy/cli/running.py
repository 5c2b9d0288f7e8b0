"""Running the proxy for a command, from the first line on standard error to the exit status.

Where the lines of the log are JSON, all lines are: those before the log's form is known, and those of a start that
fails. Only wrong usage is printed as click does it, with exit status 2: no program has begun then.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import click
import structlog

from fsproxy.app import run_until_end
from fsproxy.cli.host_checks import host_errors
from fsproxy.cli.loading import echo_error, echo_faults, placed_in_file, without_file
from fsproxy.config.loader import load, load_text
from fsproxy.config.problems import ConfigError, HostError, Problem
from fsproxy.config.schema import Config
from fsproxy.config.summary import summary
from fsproxy.fleet.descriptors import raise_soft_limit
from fsproxy.telemetry.logs import configure_logs, log_faults, log_what_is_uncaught, writes_json

log = structlog.get_logger("fsproxy")


def load_or_report(path: Path, extra: Mapping[str, str] | None = None) -> Config:
    """Return the configuration, or report every fault of the file and exit with status 1.

    ``extra`` goes before the environment for ``${NAME}``. The log is set up, by the file as far as it can be read.
    """
    return _read(lambda: load(path, {**os.environ, **(extra or {})}), str(path))


def load_text_or_report(text: str) -> Config:
    """Return the configuration of a text that a command made of its options, or report the faults and exit."""
    return _read(lambda: load_text(text, "", os.environ, Path()), "")


def _read(read: Callable[[], Config], name: str) -> Config:
    log_what_is_uncaught()
    configure_logs()
    try:
        config = read()
    except ConfigError as error:
        configure_logs(form=error.log_format)
        _refuse(error.problems, name)
    configure_logs(config.log.level, config.log.format)
    return config


def run(
    config: Config, main: Callable[[], Coroutine[None, None, None]], path: Path | None = None, *, ports: bool = True
) -> None:
    """Run ``main`` until it ends. Exit with status 1, and all reasons on standard error, when it cannot start.

    ``path``: the user's file, if there is one. ``ports``: they must be free.
    """
    try:
        errors = asyncio.run(host_errors(config, ports=ports, store=True))
        if errors:
            _refuse_here(errors, path)
        raise_soft_limit()
        if writes_json():
            log.info(summary(config))
        else:
            click.echo(summary(config), err=True)
        run_until_end(main)
    except HostError as error:
        _refuse_here([error], path, "fsproxy ends with exit status 1")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _refuse_here([HostError("", f"cannot write: {error.strerror}")], path, "fsproxy ends with exit status 1")
    except KeyboardInterrupt:
        log.warning("interrupted before it could drain")
        raise SystemExit(1) from None


_CANNOT_START = "fsproxy cannot start"


def _refuse_here(errors: Sequence[HostError], path: Path | None, end: str = _CANNOT_START) -> NoReturn:
    """Report why the configuration cannot run on this machine, and exit."""
    _refuse(errors if path is None else placed_in_file(errors, path), "" if path is None else str(path), end)


def _refuse(faults: Sequence[Problem | HostError], name: str, end: str = _CANNOT_START) -> NoReturn:
    """Report the faults of the file ``name``, or of the options where that is "", and exit. ``end``: the last line."""
    if writes_json():
        if name:
            log_faults(faults)
        else:
            for fault in faults:
                log.error(without_file(fault), key=fault.key_path)
        log.error(end, faults=len(faults))
    elif name:
        echo_faults(name, faults)
    else:
        for fault in faults:
            echo_error(f"fsproxy: {without_file(fault)}")
    raise SystemExit(1)
