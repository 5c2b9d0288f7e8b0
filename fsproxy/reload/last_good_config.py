"""The newest configuration without a fault, kept for workers that start later than the others.

The workers watch the files themselves. A replacement must not depend on what the files hold at that moment: it
begins with what the others run by.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from fsproxy.config.problems import ConfigError
from fsproxy.config.schema import Config
from fsproxy.proxy.generation import Generation
from fsproxy.proxy.geo import GeoError
from fsproxy.reload.build_generation import Source, build
from fsproxy.reload.watch import Fingerprint, Watcher, fingerprint, is_of

SETTLE_SECONDS = 0.1
"""Several files that are written one after the other are one change, as for the workers."""


class LastGoodConfig:
    """Follows the files as the workers do. Faults are reported by them, not here."""

    def __init__(self, config: Config, source: Source) -> None:
        self._generation: Generation | None = None
        self._config = config
        self._source = source
        self._files = tuple(map(Path, config.files))
        self._tried: Fingerprint = dict(config.hashes)
        self._watcher = Watcher(lambda: self._files, self._changed)
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def config(self) -> Config:
        """What a worker is to start with."""
        return self._generation.config if self._generation is not None else self._config

    async def start(self) -> None:
        """Check what only compiling shows, and watch. Raises GeoError."""
        self._generation = await asyncio.to_thread(Generation.compile, self._config, 1)
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._watcher.start()

    async def close(self) -> None:
        """Stop."""
        await self._watcher.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _changed(self) -> None:
        self._asked.set()

    async def _run(self) -> None:
        while True:
            await self._asked.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._asked.clear()
            await self._look()

    async def _look(self) -> None:
        found = await asyncio.to_thread(fingerprint, self._files, self._tried)
        if found == self._tried or self._generation is None:
            return
        self._tried = found
        if is_of(found, self._generation.config):
            self._watch(self._generation.config.files)
            return
        try:
            built = await asyncio.to_thread(build, self._source, self._generation, None)
        except ConfigError as error:
            self._watch((*self.config.files, *error.files))
            read = await asyncio.to_thread(fingerprint, self._files, {})
            self._tried = {} if error.passing else read | found
        except (GeoError, OSError, ssl.SSLError):
            pass
        else:
            self._generation = built.generation
            self._tried = dict(built.generation.config.hashes)
            self._watch(built.generation.config.files)

    def _watch(self, files: tuple[str, ...]) -> None:
        self._files = tuple(map(Path, dict.fromkeys(files)))
        self._watcher.again()
