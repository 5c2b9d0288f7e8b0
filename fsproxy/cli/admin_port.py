"""The admin port of a running proxy, as commands find it and ask it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from fsproxy.cli.loading import load_or_exit
from fsproxy.config.schema import AdminConfig

FC = TypeVar("FC", bound=Callable[..., Any] | click.Command)
TOKEN = "FSPROXY_ADMIN_TOKEN"  # noqa: S105 - the variable's name
DEFAULT_PORT = "http://127.0.0.1:8081"


def read_address(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Return the address of an option, without a slash at its end. A click callback."""
    parts = urlsplit(value) if value is not None else None
    if value is None or parts is None:
        return None
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or "@" in value
        or parts.query
        or parts.path not in {"", "/"}
    ):
        raise click.BadParameter("http://HOST or https://HOST, with :PORT if need be, without user, path and query")
    return value.rstrip("/")


def token_given() -> str:
    """Return the token of the environment, without the line end that one from a file has; "": there is none."""
    token = os.environ.get(TOKEN, "").strip()
    if not token.isprintable():
        raise click.ClickException(f"{TOKEN} has control characters: a token is a text on one line")
    return token


def own_address(admin: AdminConfig) -> str:
    """Return the address that a configuration gives its admin port."""
    from fsproxy.fleet.listening import reachable  # noqa: PLC0415 - slow to import

    return f"http://{reachable(admin.host)[0]}:{admin.port}"


def port_options(command: FC) -> FC:
    """Add the options ``--admin`` and ``--config``, whose parameters are ``admin`` and ``path``: see ``port_given``."""
    command = click.option(
        "--config", "path", type=click.Path(path_type=Path), help="The proxy's file, which says where its port is."
    )(command)
    return click.option(
        "--admin",
        callback=read_address,
        help=f"The admin port; {DEFAULT_PORT} without it and without --config. The token is that of {TOKEN}, else, "
        "without --admin, the file's.",
    )(command)


def port_given(admin: str | None, path: Path | None) -> tuple[str, str | None]:
    """Return the address of the admin port that the options say, and the token for it."""
    config = load_or_exit(path).admin if path is not None else None
    url = admin or (own_address(config) if config is not None else DEFAULT_PORT)
    return url, token_given() or (config.token if config is not None and admin is None else None)
