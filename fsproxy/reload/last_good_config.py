"""The newest configuration without a fault, kept for workers that start later than the others.

The workers watch the files themselves. A replacement must not depend on what the files hold when it starts: it begins
with what the others use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fsproxy.config.problems import ConfigError, HostError
from fsproxy.config.schema import Config
from fsproxy.proxy.generation import Generation
from fsproxy.reload.build_generation import SETTLE_SECONDS, Source, build
from fsproxy.reload.watch import ConfigFiles, is_of

DECIDED_SECONDS = 2.0
"""Seconds after which the workers too have compiled a new configuration, and decided whether to hold it back."""


class LastGoodConfig:
    """Follows the files as the workers do. The workers report faults; this does not."""

    def __init__(self, config: Config, source: Source, is_held_back: Callable[[], Awaitable[bool]]) -> None:
        """``is_held_back``: whether any worker holds the newest configuration back (``reload.max_change``)."""
        self._is_held_back = is_held_back
        self._generation: Generation | None = None
        self._config = config
        self._source = source
        self._asked = asyncio.Event()
        self._files = ConfigFiles(config, self._asked.set)
        self._task: asyncio.Task[None] | None = None

    @property
    def config(self) -> Config:
        """What a worker is to start with."""
        return self._generation.config if self._generation is not None else self._config

    async def start(self) -> None:
        """Check what only compiling shows, and watch. Raises HostError."""
        generation = self._generation = await asyncio.to_thread(Generation.compile, self._config, 1)
        self._task = asyncio.get_running_loop().create_task(self._run(generation))
        self._files.start()

    def ask(self) -> None:
        """Follow the workers, which have taken what some of them held back."""
        self._files.note_unusable({})
        self._asked.set()

    async def close(self) -> None:
        """Stop watching."""
        await self._files.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, generation: Generation) -> None:
        while True:
            await self._asked.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._asked.clear()
            generation = self._generation = await self._newest(generation)

    async def _newest(self, before: Generation) -> Generation:
        """Return what the files make now; ``before`` if it is the same, or has a fault."""
        files = self._files
        found = await asyncio.to_thread(files.read)
        if files.has_tried(found):
            return before
        if is_of(found, before.config):
            files.use(before.config, found)
            return before
        try:
            built = await asyncio.to_thread(build, self._source, before, None)
        except ConfigError as error:
            await files.note_faults(before.config, error, found)
            return before
        except HostError:
            files.note_unusable(found)
            return before
        if before.config.reload.max_change is not None:
            # The workers judge it at this moment, each by its own pages.
            await asyncio.sleep(DECIDED_SECONDS)
            if await self._is_held_back():
                files.note_unusable(found)
                return before
        files.use(built.generation.config)
        return built.generation
