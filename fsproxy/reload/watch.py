"""Tells when a file of the configuration may have changed, also through symlinks that are swapped.

Folders are watched, not files: a watch on a file goes deaf when another one takes its place, as a mounted
ConfigMap does through the symlink ``..data``. What no watch tells (network file systems, exhausted watches)
a slow look at the files' contents finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from watchfiles import awatch

from fsproxy.config.files import MOST_LIST_BYTES, PASSING, read_at_most
from fsproxy.config.schema import Config

POLL_SECONDS = 30.0
RETRY_SECONDS = 5.0
"""A folder may have gone away while its watch was set up."""
STEP_MS = 50
"""How long it must be quiet for before changes are told ..."""
MOST_MS = 400
"""... and for how long they are gathered at the most."""
TICK_MS = 1_000
"""After so long a new watch stands for sure, and the files are looked at once more."""
_MOST_LINKS = 40

Fingerprint = dict[str, str]
"""Absolute path -> sha256 of the contents; "" for a file that cannot be read."""
log = structlog.get_logger("fsproxy")
# It tells of every change in a watched folder, whether it concerns us or not.
logging.getLogger("watchfiles").setLevel(logging.WARNING)


def fingerprint(files: Iterable[Path], known: Fingerprint) -> Fingerprint:
    """Return what the files hold now. Blocking.

    A file that cannot be read for lack of descriptors or memory counts as what was ``known`` of it: it is as it was,
    for all that can be said.
    """
    found = {}
    for file in map(str, files):
        try:
            found[file] = hashlib.sha256(read_at_most(Path(file), MOST_LIST_BYTES)).hexdigest()
        except (OSError, ValueError) as error:
            passing = isinstance(error, OSError) and error.errno in PASSING
            found[file] = known.get(file, "") if passing else ""
    return found


def is_of(found: Fingerprint, config: Config) -> bool:
    """Whether the files hold what this configuration was made of."""
    return bool(config.hashes) and found.items() >= config.hashes.items()


def links(file: Path) -> set[Path]:
    """The path, every symlink that stands in it, and where each of these leads. Blocking."""
    found: set[Path] = set()
    waiting = [Path(os.path.abspath(file))]  # noqa: PTH100 - resolves no symlink, which is the point
    while waiting and len(found) < _MOST_LINKS:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for part in (path, *path.parents):
            # One that is swapped at this very moment may be none by now.
            with contextlib.suppress(OSError):
                target = os.path.normpath(part.parent / part.readlink())
                found.add(part)
                waiting.append(Path(target, path.relative_to(part)))
    return found


class Watcher:
    """Calls ``changed`` on the event loop when a file may have changed, and now and then when none has."""

    def __init__(
        self, files: Callable[[], Iterable[Path]], changed: Callable[[], None], poll: float = POLL_SECONDS
    ) -> None:
        self._files = files
        self._changed = changed
        self._poll = poll
        self._again = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told = False

    def start(self) -> None:
        """Watch."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def again(self) -> None:
        """The files are others now, or stand elsewhere."""
        self._again.set()

    async def _run(self) -> None:
        while True:
            self._again = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._watch(self._again)
            # A change between two watches, or one that no watch could tell.
            self._changed()

    async def _watch(self, again: asyncio.Event) -> None:
        """Until the timeout, or until asked to start again."""
        try:
            of_interest = await asyncio.to_thread(_all_links, tuple(self._files()))
            folders = {path.parent for path in of_interest}
            names = set(map(str, of_interest | folders))
            looked = False
            async for changes in awatch(
                *await asyncio.to_thread(_existing, folders),
                watch_filter=None,
                recursive=False,
                step=STEP_MS,
                debounce=MOST_MS,
                stop_event=again,
                rust_timeout=TICK_MS,
                yield_on_timeout=True,
            ):
                if not looked:
                    # Something may have changed before the watch stood.
                    looked = True
                    self._changed()
                if any(path in names for _, path in changes):
                    # What a symlink leads to is watched from the next round on.
                    return
            self._told = False
        except (OSError, RuntimeError) as error:
            if not self._told:
                self._told = True
                log.warning("changes of the configuration are found by a slow look at it alone", error=error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS):
                    await again.wait()


def _all_links(files: Iterable[Path]) -> set[Path]:
    return set().union(*map(links, files))


def _existing(folders: Iterable[Path]) -> list[Path]:
    return sorted(folder for folder in folders if folder.is_dir())
