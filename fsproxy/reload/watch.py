"""Notices when a file of the configuration may have changed, also through symlinks that are swapped.

Folders are watched, not files: a watch on a file ends when another file takes its place, as a mounted ConfigMap's does
through the symlink ``..data``. Where no watch works (network file systems, exhausted watches), reading the files every
30 seconds finds the change.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from watchfiles import awatch

from fsproxy.config.files import MOST_LIST_BYTES, PASSING, read_at_most
from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config

POLL_SECONDS = 30.0
RETRY_SECONDS = 5.0
"""A folder may have gone away while its watch was set up."""
STEP_MS = 50
"""Changes are reported when it has been quiet for so long ..."""
MOST_MS = 400
"""... or when they have been gathered for so long."""
TICK_MS = 1_000
"""After so long a new watch is surely set up, and the files are read once more."""
_MOST_LINKS = 40

Fingerprint = dict[str, str]
"""Absolute path -> sha256 of the contents; "" for a file that cannot be read."""
# It logs every change in a watched folder, whether it concerns us or not.
logging.getLogger("watchfiles").setLevel(logging.WARNING)


def fingerprint(files: Iterable[Path], known: Fingerprint) -> Fingerprint:
    """Return what the files hold now. Blocking.

    A file that cannot be read for lack of descriptors or memory counts as unchanged: what was ``known`` of it is kept.
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
    """Return whether the files hold what this configuration was made of."""
    return bool(config.hashes) and found.items() >= config.hashes.items()


def links(file: Path) -> set[Path]:
    """Return the path, every symlink in it, and where each of these leads. Blocking."""
    found: set[Path] = set()
    waiting = [Path(os.path.abspath(file))]  # noqa: PTH100 - resolves no symlink, which is the point
    while waiting and len(found) < _MOST_LINKS:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for part in (path, *path.parents):
            # A symlink that is swapped at this very moment may be gone by now.
            with contextlib.suppress(OSError):
                target = os.path.normpath(part.parent / part.readlink())
                found.add(part)
                waiting.append(Path(target, path.relative_to(part)))
    return found


class Watcher:
    """Calls ``changed`` on the event loop when a file may have changed, and every ``poll`` seconds in any case."""

    def __init__(self, files: Iterable[str], changed: Callable[[], None], poll: float = POLL_SECONDS) -> None:
        self._paths = tuple(map(Path, files))
        self._changed = changed
        self._poll = poll
        self._again = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.is_slow = False
        """No watch could be set up, so that only reading the files finds a change."""

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def follow(self, files: Iterable[str]) -> None:
        """Watch these files from now on. Symlinks to them may lead elsewhere than before."""
        self._paths = tuple(map(Path, dict.fromkeys(files)))
        self._again.set()

    async def _run(self) -> None:
        while True:
            self._again = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._watch(self._again)
            # There may have been a change between two watches, or one that no watch reports.
            self._changed()

    async def _watch(self, again: asyncio.Event) -> None:
        """Watch until a file of ours may have changed, or ``again`` is set; the caller has a timeout."""
        try:
            paths = self._paths
            of_interest = await asyncio.to_thread(lambda: set().union(*map(links, paths)))
            folders = {path.parent for path in of_interest}
            names = set(map(str, of_interest | folders))
            looked = False
            async for changes in awatch(
                *await asyncio.to_thread(lambda: sorted(filter(Path.is_dir, folders))),
                watch_filter=None,
                recursive=False,
                step=STEP_MS,
                debounce=MOST_MS,
                stop_event=again,
                rust_timeout=TICK_MS,
                yield_on_timeout=True,
            ):
                if not looked:
                    # Something may have changed before the watch was set up.
                    looked = True
                    self._changed()
                if any(path in names for _, path in changes):
                    # The caller reports it. A symlink may lead elsewhere now, which the next watch finds out.
                    return
            self.is_slow = False
        except (OSError, RuntimeError):
            self.is_slow = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS):
                    await again.wait()


class ConfigFiles(Watcher):
    """The files of the configuration in use, and of a faulty one that was tried since; watched for changes."""

    def __init__(self, config: Config, changed: Callable[[], None]) -> None:
        super().__init__(config.files, changed)
        self._tried: Fingerprint = dict(config.hashes)
        """What the files held when a configuration was last made of them."""

    def read(self) -> Fingerprint:
        """Return what the files hold now. Blocking."""
        return fingerprint(self._paths, self._tried)

    def has_tried(self, found: Fingerprint) -> bool:
        """Return whether a configuration was made of these contents already, in use or not."""
        return found == self._tried

    def use(self, config: Config, found: Fingerprint | None = None) -> None:
        """Follow the files of ``config``, which is in use. ``found``: they hold it again, and perhaps more."""
        self._tried = dict(config.hashes) if found is None else found
        self.follow(config.files)

    def note_unusable(self, found: Fingerprint) -> None:
        """Do not try these contents again."""
        self._tried = found

    async def note_faults(self, config: Config, error: ConfigError, found: Fingerprint) -> None:
        """Follow also the files that a faulty configuration names beside ``config``'s, to notice when they are mended.

        Those are read now. What was ``found`` in the others before the load counts: the load may have missed a change.
        """
        self.follow((*config.files, *error.files))
        read = await asyncio.to_thread(fingerprint, self._paths, {})
        self._tried = {} if error.passing else read | found
