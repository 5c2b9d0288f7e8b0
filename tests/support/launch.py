"""``python launch.py serve ...``: the program in a world that a test controls by its environment.

``WORLD_NAMES``: a file of lines ``name address`` that stands for the resolver, asked anew each time.
``WORLD_CLOCK``: a file of the seconds that are added to the wall clock. ``WORLD_FILE_SIZE``: bytes that no file
may grow beyond, as on a disk that is full. ``WORLD_DESCRIPTORS``: ``SOFT:HARD``, its limit of
descriptors.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from fsproxy import cli


def _resolve_by(names: Path) -> None:
    usual = socket.getaddrinfo

    def getaddrinfo(host: Any, *more: Any, **options: Any) -> Any:
        if isinstance(host, str) and host.endswith(".test"):
            known = dict(line.split() for line in names.read_text().splitlines())
            if host not in known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = known[host]
        return usual(host, *more, **options)

    socket.getaddrinfo = getaddrinfo
    # uvloop does not ask Python for names.
    uvloop.new_event_loop = asyncio.new_event_loop


def _clock_by(file: Path) -> Callable[[], float]:
    usual = time.time  # noqa: TID251 - this is the world's clock, not a way around it

    def now() -> float:
        return usual() + float(file.read_text())

    return now


def main() -> None:
    world = os.environ
    if "WORLD_NAMES" in world:
        _resolve_by(Path(world["WORLD_NAMES"]))
    if "WORLD_CLOCK" in world:
        time.time = _clock_by(Path(world["WORLD_CLOCK"]))  # noqa: TID251 - the same
    if "WORLD_FILE_SIZE" in world:
        size = int(world["WORLD_FILE_SIZE"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if "WORLD_DESCRIPTORS" in world:
        soft, hard = map(int, world["WORLD_DESCRIPTORS"].split(":"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    cli.main()


if __name__ == "__main__":
    main()
